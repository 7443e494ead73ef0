"""The one rule of the cut: drop a candidate when a better one is not slower on the platform, in every context.

A candidate's context is what the neighbouring choices take. Two candidates are compared through every operator that
they touch. The better one must not be slower in any context by more than the noise explains, nor on average over the
contexts, where the noise is smaller; a tolerance, as a share of the latency of the layers touched, widens both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.latency import LatencyModel
from spacecut.operators import Factor

__all__ = ["SIGMAS", "Comparison", "Drop", "compare", "dominated", "rounded_up"]

SIGMAS = 2.0
"""A difference within so many standard errors is not a difference."""


@dataclass(frozen=True)
class Comparison:
    """All pairs of one choice's candidates; arrays ``[i, j]`` tell of replacing candidate ``i`` by ``j``.

    Attributes:
        own: Mean milliseconds of the layers touched, with candidate ``i``; shape ``[i]``.
        mean: Mean slow-down over the contexts, ms.
        mean_noise: Its standard error, ms.
        worst: Largest slow-down in any context, ms.
        pieces: For each set of neighbours, the slow-down beyond the noise in each context, and the cost that a
            tolerance is a share of; both ``[i, j, contexts]``.
    """

    own: np.ndarray
    mean: np.ndarray
    mean_noise: np.ndarray
    worst: np.ndarray
    pieces: tuple[tuple[np.ndarray, np.ndarray], ...]

    def not_slower(self, tolerance: float) -> np.ndarray:
        """Boolean ``[i, j]``: candidate ``j`` is not slower than ``i`` but for noise and tolerance."""
        beyond = sum((excess - tolerance * cost).max(axis=2) for excess, cost in self.pieces)
        average = self.mean - SIGMAS * self.mean_noise - tolerance * self.own[:, None]
        return np.asarray((beyond <= 0) & (average <= 0))


@dataclass(frozen=True)
class Drop:
    """A candidate that falls, by number, and the better one that takes its place; None where there is none."""

    candidate: int
    dominator: int | None


def compare(model: LatencyModel, position: int) -> Comparison:
    """Compare all candidates of the choice at ``position``, in every context."""
    count = model.space.lengths[position]
    cost = np.append(model.costs.mean, 0.0)
    variance = np.append(np.square(model.costs.error), 0.0)
    groups: dict[tuple[int, ...], list[Factor]] = {}
    for factor in model.factors:
        if position in factor.scope:
            groups.setdefault(factor.scope, []).append(factor)
    own, mean, squared = np.zeros(count), np.zeros((count, count)), np.zeros((count, count))
    worst = np.zeros((count, count))
    pieces = []
    for scope, factors in groups.items():
        axis = scope.index(position)
        base = np.zeros(())
        slower = np.zeros(())
        doubt = np.zeros(())
        for factor in factors:
            index = np.moveaxis(factor.index, axis, 0).reshape(count, -1)
            differs = index[:, None] != index[None, :]
            base = base + cost[index]
            slower = slower + (cost[index][None, :] - cost[index][:, None])
            doubt = doubt + np.where(differs, variance[index][None, :] + variance[index][:, None], 0.0)
        own += base.mean(axis=1)
        mean += slower.mean(axis=2)
        squared += doubt.mean(axis=2) / base.shape[1]
        worst += slower.max(axis=2)
        pieces.append((slower - SIGMAS * np.sqrt(doubt), np.broadcast_to(base[:, None], slower.shape)))
    return Comparison(own, mean, np.sqrt(squared), worst, tuple(pieces))


def dominated(comparisons: Sequence[Comparison], not_worse: np.ndarray, tolerance: float) -> list[Drop]:
    """Which candidates fall, each to a better one that is kept and that is not slower on any platform.

    Args:
        comparisons: Of all pairs, one for each platform.
        not_worse: The quality order, ``[i, j]``: ``j`` is at least as good as ``i``.
        tolerance: Share of the touched layers' latency that a replacement may cost.
    """
    count = len(not_worse)
    allowed = not_worse & ~np.eye(count, dtype=bool)
    for comparison in comparisons:
        allowed &= comparison.not_slower(tolerance)
    # Better ones first, so that a dominator is known to be kept; of equally good ones the fastest.
    own = np.sum([_relative(comparison, comparison.own) for comparison in comparisons], axis=0)
    order = sorted(range(count), key=lambda number: (int(not_worse[number].sum()), own[number], -number))
    kept = np.zeros(count, dtype=bool)
    drops = []
    for candidate in order:
        dominators = np.flatnonzero(allowed[candidate] & kept)
        if len(dominators):
            drops.append(Drop(candidate, _fastest(comparisons, candidate, dominators)))
        else:
            kept[candidate] = True
    return drops


def rounded_up(
    comparisons: Sequence[Comparison], not_worse: np.ndarray, start: np.ndarray, kept: np.ndarray
) -> list[Drop]:
    """What takes the place of those candidates that were dropped: the fastest of the better ones that are kept.

    Args:
        comparisons: Of all pairs, one for each platform.
        not_worse: The quality order, ``[i, j]``: ``j`` is at least as good as ``i``.
        start: Candidate numbers there were.
        kept: Candidate numbers there are.
    """
    found = []
    for candidate in np.setdiff1d(start, kept).tolist():
        better = kept[not_worse[candidate, kept]]
        found.append(Drop(candidate, _fastest(comparisons, candidate, better) if len(better) else None))
    return found


def _fastest(comparisons: Sequence[Comparison], candidate: int, others: np.ndarray) -> int:
    """Which of some others slows a candidate's place down least, over all platforms."""
    slower = np.sum([_relative(comparison, comparison.mean[candidate, others]) for comparison in comparisons], axis=0)
    return int(others[np.argmin(slower)])


def _relative(comparison: Comparison, values: np.ndarray) -> np.ndarray:
    """Milliseconds as shares of what the layers touched take on that platform, so that platforms can be added up."""
    return np.asarray(values / max(float(comparison.own.mean()), np.finfo(float).tiny))
