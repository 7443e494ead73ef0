"""Telling quiet runs from disturbed ones on a machine that others use too.

Disturbances come and go, and mostly add time; now and then a spell is fast. So of the runs of a network those count
that are not far slower than the fastest, by their median. It is settled once two runs agree with the fastest and one of
them was calm: beside every run the worker times one small reference network, which slows down with the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

import numpy as np

from spacecut.measure.run import Run

__all__ = ["AGREEING", "DISTURBED", "is_calm", "quiet_reference", "quiet_runs", "settled"]

AGREEING = 1.03
"""Runs of a network agree while one takes less than so many times what the other takes."""
_FAR_SLOWER = 1.25
"""So many times what the fastest run takes is more than runs of a network differ by on a quiet machine."""
DISTURBED = 1.1
"""A run was not calm when its reference took so many times what it takes while the machine is quiet."""
_QUIET_SHARE = 10  # percentile of the references that stands for a quiet machine


def quiet_reference(runs: Iterable[Run]) -> float:
    """Milliseconds that the reference takes while the machine is quiet; NaN where no run has one."""
    references = [run.reference_ms for run in runs if run.reference_ms > 0]
    return float(np.percentile(references, _QUIET_SHARE)) if references else float("nan")


def is_calm(run: Run, quiet: float) -> bool:
    """Whether the reference beside the run took about the ``quiet`` ms; a run without reference passes for calm."""
    return not run.reference_ms > DISTURBED * quiet


def quiet_runs(runs: Sequence[Run], latency: Callable[[Run], float] = attrgetter("low_ms")) -> list[Run]:
    """Those of one task's successful runs that were not far slower than the fastest; ``latency`` gives a run's ms."""
    return _within(_FAR_SLOWER, runs, latency)


def settled(runs: Sequence[Run], quiet: float) -> bool:
    """Whether one task's successful runs tell what it takes on a quiet machine, whose reference takes ``quiet`` ms."""
    kept = _within(AGREEING, runs, attrgetter("low_ms"))
    return len(kept) > 1 and any(is_calm(run, quiet) for run in kept)


def _within(factor: float, runs: Sequence[Run], latency: Callable[[Run], float]) -> list[Run]:
    """Those that took at most so many times what the fastest took."""
    fastest = min(latency(run) for run in runs)
    return [run for run in runs if latency(run) <= factor * fastest]
