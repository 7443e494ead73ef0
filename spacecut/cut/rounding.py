"""Rounding up: every architecture beside the one that takes its place, and the largest difference between the two.

The latency of both is a sum over the same factors, so that the maximum over all architectures of rounded latency less
a multiple of latency is found exactly by max-sum over the factors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.latency import LatencyModel, SumTable, Trellis
from spacecut.latency.elimination import minimum

__all__ = ["Rounding", "picked"]


class Rounding:
    """A round-up map over a space.

    Args:
        model: Latency over the full space.
        maps: For each choice, the candidate number that each candidate is rounded up to.
        possible: For each choice, the candidate numbers that count.

    Attributes:
        images: For each choice, what each of the candidates that count is rounded up to.
    """

    def __init__(self, model: LatencyModel, maps: Sequence[np.ndarray], possible: Sequence[np.ndarray]) -> None:
        self._model, self.possible = model, possible
        self.images = [chosen[numbers] for chosen, numbers in zip(maps, possible, strict=True)]
        self._before = [table.over(possible) for table in model.tables]
        self._after = [table.over(self.images) for table in model.tables]
        self._lengths = [len(numbers) for numbers in possible]

    def largest(self, weight: float) -> tuple[float, np.ndarray]:
        """Maximum of rounded latency less ``weight`` times latency, ms, and where: positions in ``possible``."""
        tables = [
            SumTable(old.scope, weight * old.values - new.values)
            for old, new in zip(self._before, self._after, strict=True)
        ]
        value, taken = minimum(Trellis(self._lengths, tables))
        return (1 - weight) * self._model.correction.overhead_ms - value, taken

    def latencies(self, taken: np.ndarray) -> tuple[float, float]:
        """Latency in ms of an architecture, given by positions in ``possible``, and of what it is rounded up to."""
        old, new = (picked(numbers, taken) for numbers in (self.possible, self.images))
        return float(self._model.predict(old[None])[0]), float(self._model.predict(new[None])[0])


def picked(numbers: Sequence[np.ndarray], taken: np.ndarray) -> np.ndarray:
    """Candidate numbers at some positions."""
    return np.asarray([row[position] for row, position in zip(numbers, taken, strict=True)], dtype=np.int64)
