"""Taking a drift of the whole machine out of runs.

A shared machine is faster in one spell than in another, for all networks alike. Runs of different networks take turns,
those of one far apart in time. So whether the machine was slow at some moment is told by what the *other* runs around
it took, each in comparison with the rest of its own network's: a two-way layout of networks and moments, fitted by
medians in turn (Tukey, Exploratory Data Analysis, 1977, ch. 11: median polish), where a moment is the seconds around a
run. How much of that is believed is decided by how well it foretells runs that it was not computed from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from scipy.ndimage import median

from spacecut.measure.run import Run

__all__ = ["steadied"]

_AROUND = 4.0
"""Runs within so many seconds of each other meet the same machine."""
_FEWEST = 4
"""So many other runs around one tell how fast the machine was."""
_ROUNDS = 6
_FAR = 0.1
"""Larger logarithms of ratios count no more: they are of single runs that something disturbed."""


def steadied(runs: Sequence[Run]) -> list[Run]:
    """The runs, with the milliseconds that they would have had, had the machine been as fast all the time.

    As fast as it was in the middle, over the time that the runs took. Failed runs, those that do not say when they were
    made, those without enough others around them and all where the others foretell nothing are as they were.

    Args:
        runs: Of one platform and process, several of a network.
    """
    timed = [number for number, run in enumerate(runs) if run.error is None and run.taken_at and run.low_ms > 0]
    drift = _drift([runs[number] for number in timed])
    result = list(runs)
    for number, share in zip(timed, np.exp(-drift), strict=True):
        if share != 1:
            result[number] = _scaled(runs[number], float(share))
    return result


def _drift(runs: Sequence[Run]) -> np.ndarray:
    """Logarithm of how much slower the machine was at each of the successful runs than in the middle."""
    drift = np.zeros(len(runs))
    numbers: dict[tuple[str, bool], int] = {}
    task = np.asarray([numbers.setdefault((run.task.network, run.task.nodes), len(numbers)) for run in runs], np.int64)
    again = np.bincount(task)[task] > 1
    if again.sum() <= _FEWEST:
        return drift
    moment = np.asarray([datetime.fromisoformat(run.taken_at).timestamp() for run in runs])
    took = np.log([run.low_ms for run in runs])
    telling = np.flatnonzero(again)[np.argsort(moment[again], kind="stable")]
    first = np.searchsorted(moment[telling], moment - _AROUND, "left")
    last = np.searchsorted(moment[telling], moment + _AROUND, "right")
    told = last - first - again >= _FEWEST
    if not told.any():
        return drift
    others = {run: (near := telling[first[run] : last[run]])[near != run] for run in np.flatnonzero(told)}
    judged = told & again
    around = np.zeros(len(runs))
    for _ in range(_ROUNDS):
        deviation = took - median(took - drift, task, range(len(numbers)))[task]
        for run, near in others.items():
            around[run] = np.median(deviation[near])
        seen = np.clip(deviation[judged], -_FAR, _FAR)
        square = float(around[judged] @ around[judged])
        drift = around * np.clip(seen @ around[judged] / square, 0.0, 1.0) if square else np.zeros(len(runs))
    seconds, second = np.unique(moment[told], return_inverse=True)
    # Of all the time: a second with many runs counts as much as one with few.
    usual = np.median(median(drift[told], second, range(len(seconds))))
    return np.where(told, drift - usual, 0.0)


def _scaled(run: Run, share: float) -> Run:
    """A run that took as much of its time."""
    return replace(
        run,
        total_ms=tuple(share * sample for sample in run.total_ms),
        node_ms={node: tuple(share * sample for sample in samples) for node, samples in run.node_ms.items()},
        watched_ms=tuple(share * sample for sample in run.watched_ms),
    )
