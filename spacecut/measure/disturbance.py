"""Telling quiet runs from disturbed ones on a machine that others use too.

Beside every run the worker times one small reference network. While something else slows the machine down, the
reference slows down with it: such a run says little about the network, and is left out where a quiet one exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from spacecut.measure.run import Run

__all__ = ["DISTURBED", "quiet_reference", "quiet_runs"]

DISTURBED = 1.1
"""A run is disturbed when its reference took so many times what it takes while the machine is quiet."""
_QUIET_SHARE = 10  # percentile of the references that stands for a quiet machine


def quiet_reference(runs: Iterable[Run]) -> float:
    """Milliseconds that the reference takes while the machine is quiet; NaN where no run has one."""
    references = [run.reference_ms for run in runs if run.reference_ms > 0]
    return float(np.percentile(references, _QUIET_SHARE)) if references else float("nan")


def quiet_runs(runs: Sequence[Run], quiet: float) -> list[Run]:
    """Those of a network's runs that were not disturbed; none where all were."""
    return [run for run in runs if not run.reference_ms > DISTURBED * quiet]
