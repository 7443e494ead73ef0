"""Taking a drift of the whole machine out of runs.

A shared machine is faster in one spell than in another, by more than networks differ, and for all of them alike. Runs
of different networks take turns, those of one far apart in time. So whether the machine was slow at some moment is told
by what the *other* runs around it took, each in comparison with the rest of its own network's: a two-way layout of
networks and moments, fitted by medians in turn (Tukey, Exploratory Data Analysis, 1977, ch. 11: median polish), where a
moment is the seconds around a run. How much of that is believed is decided by how well it foretells runs that it was
not computed from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

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
    none = np.zeros(len(runs))
    numbers: dict[tuple[str, bool], int] = {}
    task = np.asarray([numbers.setdefault((run.task.network, run.task.nodes), len(numbers)) for run in runs], np.int64)
    again = np.bincount(task)[task] > 1 if len(runs) else none > 0
    if again.sum() <= _FEWEST:
        return none
    moment = np.asarray([datetime.fromisoformat(run.taken_at).timestamp() for run in runs])
    took = np.log([run.low_ms for run in runs])
    telling = np.flatnonzero(again)[np.argsort(moment[again], kind="stable")]
    first = np.searchsorted(moment[telling], moment - _AROUND, "left")
    last = np.searchsorted(moment[telling], moment + _AROUND, "right")
    told = last - first - again >= _FEWEST
    if not told.any():
        return none
    drift = none
    for _ in range(_ROUNDS):
        deviation = took - _middles(took - drift, task)[task]
        around = none.copy()
        for run in np.flatnonzero(told):
            others = telling[first[run] : last[run]]
            around[run] = np.median(deviation[others[others != run]])
        judged = told & again
        seen = np.clip(deviation[judged], -_FAR, _FAR)
        square = float(around[judged] @ around[judged])
        drift = around * np.clip(seen @ around[judged] / square, 0.0, 1.0) if square else none
    _, second = np.unique(moment[told], return_inverse=True)
    usual = np.median(_middles(drift[told], second))  # of all the time, to which a second with many runs adds no more
    return np.where(told, drift - usual, 0.0)


def _middles(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The median of each group's values; groups are numbered from 0, and none is empty."""
    order = np.lexsort((values, group))
    counts = np.bincount(group)
    start = np.cumsum(counts) - counts
    ordered = values[order]
    return np.asarray((ordered[start + (counts - 1) // 2] + ordered[start + counts // 2]) / 2)


def _scaled(run: Run, share: float) -> Run:
    """A run that took as much of its time."""
    return replace(
        run,
        total_ms=tuple(share * sample for sample in run.total_ms),
        node_ms={node: tuple(share * sample for sample in samples) for node, samples in run.node_ms.items()},
        watched_ms=tuple(share * sample for sample in run.watched_ms),
    )
