"""Choosing what to keep of a space that is small enough to list, by draws of every architecture's accuracy.

Where accuracies of architectures are known, and their interactions with them, no sum over the choices has to stand for
quality. What a selection loses is the share of the hypervolume of each draw's front of latency and accuracy, from the
slowest latency and the lowest accuracy (Zitzler & Thiele, PPSN 1998), on average and in the worst of the draws, as they
differ in what they need. Candidates are dropped one by one, as in :mod:`spacecut.cut.joint`: always the one that costs
least for the share of the space that goes with it. Then candidates are exchanged while that helps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from spacecut.cut.joint import SEED, Banded
from spacecut.latency.elimination import SUM_ERROR
from spacecut.quality import AccuracyProcess

__all__ = ["LISTED", "listed_selection"]

LISTED = 32_768
"""Spaces of up to so many architectures are listed."""
_DRAWS = 64
_TAIL_POWER = 4  # of the mean over draws that stands for the worst of them
_GAIN = 1e-6  # of the hypervolume, that an exchange must bring


class _Fronts:
    """Draws of accuracies over architectures in the order of their latency on a platform.

    Args:
        numbers: Candidate numbers, ``[architectures, choices]``.
        ms: Latencies, ``[architectures]``.
        accuracy: ``[draws, architectures]``.
        slowest: Slower architectures do not count, ms.
    """

    def __init__(self, numbers: np.ndarray, ms: np.ndarray, accuracy: np.ndarray, slowest: float) -> None:
        order = np.argsort(ms, kind="stable")
        order = order[ms[order] <= slowest * (1 + SUM_ERROR)]
        self._numbers, self._ms = numbers[order], ms[order]
        self._above = (accuracy[:, order] - accuracy.min(axis=1, keepdims=True)).astype(np.float32)
        self._slowest = slowest
        self._whole = self._volume(np.arange(len(order)))

    def lost(self, kept: Sequence[np.ndarray]) -> float:
        """Share of the hypervolume that is lost where only some candidates are left: the mean and the worst, added."""
        inside = np.ones(len(self._ms), dtype=bool)
        for column, numbers in zip(self._numbers.T, kept, strict=True):
            inside &= np.isin(column, numbers)
        lost = 1 - self._volume(np.flatnonzero(inside)) / self._whole
        return float(lost.mean() + (lost**_TAIL_POWER).mean() ** (1 / _TAIL_POWER))

    def _volume(self, some: np.ndarray) -> np.ndarray:
        """Area between each draw's front and the corner, ``[draws]``."""
        best = np.maximum.accumulate(self._above[:, some], axis=1)
        return np.asarray(best @ np.diff(np.append(self._ms[some], self._slowest)))


def listed_selection(
    platforms: Sequence[Banded],
    process: AccuracyProcess,
    start: Sequence[np.ndarray],
    protected: Sequence[np.ndarray],
    target_size: int,
) -> list[np.ndarray] | None:
    """Which candidates of each choice to keep, so that the fronts of all platforms lose least.

    Args:
        platforms: Latency over the full space, and the latencies that count.
        process: What is known of accuracy.
        start: For each choice, the candidate numbers to choose from.
        protected: For each choice, whether a candidate must stay, ``[candidates]``.
        target_size: How many architectures may be left.

    Returns:
        Candidate numbers of each choice; None where what must stay is more than the target.
    """
    grid = np.stack(np.meshgrid(*start, indexing="ij"), axis=-1).reshape(-1, len(start))
    accuracy = process.draws(grid, _DRAWS, SEED)
    fronts = [_Fronts(grid, one.model.predict(grid), accuracy, one.band[1]) for one in platforms]

    def lost(kept: Sequence[np.ndarray]) -> float:
        return sum(each.lost(kept) for each in fronts) / len(fronts)

    kept, least = list(start), 0.0
    while _size(kept) > target_size:
        options = [(smaller, lost(smaller)) for smaller in _smaller(kept, protected)]
        if not options:
            return None
        size = _size(kept)
        kept, least = min(options, key=lambda option: (option[1] - least) / math.log(size / _size(option[0])))
    while True:
        others = [other for larger in _larger(kept, start) for other in (larger, *_smaller(larger, protected))]
        losses = [(lost(other), number) for number, other in enumerate(others) if _size(other) <= target_size]
        if not losses or min(losses)[0] >= least - _GAIN:
            return kept
        least, number = min(losses)
        kept = others[number]


def _size(kept: Sequence[np.ndarray]) -> int:
    return math.prod(map(len, kept))


def _smaller(kept: Sequence[np.ndarray], protected: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """All selections with one candidate less."""
    for choice, numbers in enumerate(kept):
        if len(numbers) > 1:
            for number in numbers[~protected[choice][numbers]].tolist():
                yield [np.setdiff1d(left, [number]) if at == choice else left for at, left in enumerate(kept)]


def _larger(kept: Sequence[np.ndarray], start: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """All selections with one candidate more."""
    for choice, (numbers, every) in enumerate(zip(kept, start, strict=True)):
        for number in np.setdiff1d(every, numbers).tolist():
            yield [np.union1d(left, [number]) if at == choice else left for at, left in enumerate(kept)]
