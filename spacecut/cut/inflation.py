"""Front inflation: how much slower the reduced space's best network is than the full space's, at equal quality.

For one quality function the least latency at every level of quality is found exactly by dynamic programming along the
trellis: qualities are whole numbers, and latencies are not rounded. The figures are taken over a family of quality
functions and a band of latencies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.latency import LatencyModel, Stage, Trellis
from spacecut.quality import Quality

__all__ = ["BAND", "Fronts", "Inflation", "affordable_functions", "best_at", "latency_band", "least_latency"]

BAND = (0.1, 0.9)
"""From which to which share of the range between the fastest and the slowest architecture fronts are compared."""
_POINTS = 33  # of a curve over the band
_AFFORDABLE = 500_000  # edges of the trellis, over all functions


@dataclass(frozen=True)
class Inflation:
    """How much slower the reduced space's front is, over a family of quality functions; 0.01 is 1 % slower.

    Attributes:
        mean: Over the functions and the band.
        worst: Of any function at any level of quality whose best network lies in the band.
        functions: How many quality functions.
        band: Latencies in ms of the full space's front between which the fronts are compared.
        latency_ms: Points of the band, ms.
        mean_curve, worst_curve: Mean and largest inflation over the functions at these points.
    """

    mean: float
    worst: float
    functions: int
    band: tuple[float, float]
    latency_ms: np.ndarray
    mean_curve: np.ndarray
    worst_curve: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """The inflation as plain data; None for what is infinite, where the reduced space lacks that quality."""
        finite = {name: getattr(self, name) for name in ("mean", "worst")}
        return {
            **{name: value if np.isfinite(value) else None for name, value in finite.items()},
            "functions": self.functions,
            "band_ms": list(self.band),
            "curve": [
                [float(value) if np.isfinite(value) else None for value in row]
                for row in zip(self.latency_ms, self.mean_curve, self.worst_curve, strict=True)
            ],
        }


def latency_band(model: LatencyModel, max_latency: float = np.inf) -> tuple[float, float]:
    """The latencies in ms that fronts are compared between; not above ``max_latency``."""
    fastest, slowest = model.fastest()[0], model.slowest()[0]
    low, high = (fastest + share * (slowest - fastest) for share in BAND)
    if max_latency < high:
        low, high = fastest + BAND[0] * (max_latency - fastest), max_latency
    return low, high


def affordable_functions(trellis: Trellis) -> int:
    """How many quality functions are compared in about ten seconds, from 4 to 48."""
    return int(np.clip(_AFFORDABLE / max(sum(stage.cost.size for stage in trellis.stages), 1), 4, 48))


def least_latency(trellis: Trellis, quality: Quality) -> np.ndarray:
    """Least sum of any architecture of at least each quality, ``[best + 1]``; infinite where there is none.

    The trellis must tell qualities (:meth:`LatencyModel.quality_trellis_over`).
    """
    (values,) = deque(_from_the_end(trellis, quality), maxlen=1)
    return np.asarray(trellis.constant + values[0])


def best_at(trellis: Trellis, quality: Quality, level: int) -> np.ndarray:
    """Candidate numbers ``[choices]`` of the fastest architecture of at least a quality.

    Raises:
        InputError: No architecture is so good.
    """
    stages = list(_from_the_end(trellis, quality))[::-1]
    if level > quality.best or not np.isfinite(stages[0][0, max(level, 0)]):
        raise InputError(f"no architecture has a quality of {level}; the best has {quality.best}")
    state, left, taken = 0, max(level, 0), []
    for stage, after in zip(trellis.stages, stages[1:], strict=True):
        remaining = np.maximum(left - _added(stage, quality)[state], 0)
        candidate = int(np.argmin(stage.cost[state] + after[stage.target[state], remaining]))
        taken.append(candidate)
        state, left = int(stage.target[state, candidate]), int(remaining[candidate])
    return trellis.assignment(np.asarray(taken, dtype=np.int64))


def _from_the_end(trellis: Trellis, quality: Quality) -> Iterator[np.ndarray]:
    """Least cost from each state to the end at each quality yet to be had, ``[states, best + 1]``; the end first."""
    best = quality.best
    values = np.full((1, best + 1), np.inf)
    values[0, 0] = 0.0
    yield values
    for stage in reversed(trellis.stages):
        fresh = np.full((stage.cost.shape[0], best + 1), np.inf)
        for candidate, added in enumerate(_added(stage, quality).T):
            onward = values[stage.target[:, candidate]] + stage.cost[:, candidate, None]
            for worth in np.unique(added).tolist():
                rows = np.flatnonzero(added == worth)
                some = slice(None) if len(rows) == len(added) else rows
                before, after = onward[some], fresh[some]
                np.minimum(after[:, :worth], before[:, :1], out=after[:, :worth])
                np.minimum(after[:, worth:], before[:, : best + 1 - worth], out=after[:, worth:])
                fresh[some] = after
        values = fresh
        yield values


def _added(stage: Stage, quality: Quality) -> np.ndarray:
    """What each edge of a stage adds to the quality, ``[states, candidates]``."""
    entries = [values[:, None] for values in quality.entries]
    columns = [stage.quality(entries, candidate)[:, 0] for candidate in range(stage.cost.shape[1])]
    each = [np.broadcast_to(column, len(stage.cost)) for column in columns]
    return np.asarray(np.stack(each, axis=1), dtype=np.int64)


class Fronts:
    """The fronts of a space under a family of quality functions, to compare reduced spaces with.

    Args:
        model: Latency over the full space.
        family: Quality functions over the full space.
        band: Latencies in ms of these fronts between which to compare.
        candidates: For each choice, the numbers of the candidates that the space has; all where not given.

    Raises:
        InputError: No network of any front lies in the band.
    """

    def __init__(
        self,
        model: LatencyModel,
        family: Sequence[Quality],
        band: tuple[float, float],
        candidates: Sequence[np.ndarray] | None = None,
    ) -> None:
        self._model = model
        self._band = band
        every = [np.arange(length) for length in model.space.lengths] if candidates is None else candidates
        trellis = model.quality_trellis_over(every)
        self._fronts = []
        for quality in family:
            least = least_latency(trellis, quality.over(every))
            inside = np.flatnonzero((least >= band[0]) & (least <= band[1]))
            if len(inside):
                self._fronts.append((quality, inside, least[inside]))
        if not self._fronts:
            raise InputError(f"no network of any front takes {band[0]:.6g} to {band[1]:.6g} ms; widen the band")

    def inflation(self, kept: Sequence[np.ndarray]) -> Inflation:
        """How much slower the fronts are where only the candidates ``kept`` of each choice, by number, are left."""
        trellis = self._model.quality_trellis_over(kept)
        points = np.linspace(*self._band, _POINTS)
        slower, curves = [], []
        for quality, inside, full in self._fronts:
            least = least_latency(trellis, quality.over(kept))
            reached = np.append(least, np.inf)[np.minimum(inside, len(least))]
            slower.append(reached / full - 1)
            curves.append(slower[-1][np.searchsorted(full, points).clip(max=len(full) - 1)])
        every = np.concatenate(slower)
        stacked = np.stack(curves)
        return Inflation(
            float(every.mean()),
            float(every.max()),
            len(self._fronts),
            self._band,
            points,
            stacked.mean(axis=0),
            stacked.max(axis=0),
        )
