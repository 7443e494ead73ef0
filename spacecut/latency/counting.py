"""How many architectures stay under a bound, and uniform samples of them, without enumeration.

Costs are rounded to a grid of ``bins`` units between the least possible and the bound; along the stages a table over
(state, budget left) is filled. Counts are exact whole numbers for the rounded costs, however large: they are kept as
limbs of 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spacecut.latency.elimination import to_go
from spacecut.latency.trellis import Trellis

__all__ = ["BINS", "budget_grid", "count_within", "sample_within"]

BINS = 4096
_MAX_CELLS = 30_000_000
_LIMB = np.uint64(32)
_MASK = np.uint64(0xFFFFFFFF)


def budget_grid(
    trellis: Trellis, bound: float, bins: int, rounding: Callable[[Any], Any]
) -> tuple[list[np.ndarray], int] | None:
    """What each edge costs beyond the cheapest way on, in units of the grid, and the budget; None if nothing fits."""
    values = to_go(trellis)
    slack = bound - (trellis.constant + float(values[0][0]))
    if not slack >= 0:
        return None
    unit = max(slack / bins, float(np.finfo(float).tiny))
    with np.errstate(over="ignore"):  # what is too dear for any budget may be infinitely so
        costs = [
            np.minimum(rounding((stage.cost + after[stage.target] - before[:, None]) / unit), bins + 1).astype(np.int64)
            for stage, before, after in zip(trellis.stages, values[:-1], values[1:], strict=True)
        ]
    return costs, bins


def count_within(trellis: Trellis, bound: float, bins: int = BINS, rounding: Callable[[Any], Any] = np.rint) -> int:
    """Number of paths whose sum is at most ``bound``.

    Args:
        trellis: The sum.
        bound: In the unit of the costs.
        bins: Each edge's cost is off by at most half of ``(bound - least possible) / bins``.
        rounding: ``np.rint``; ``np.ceil`` gives a count that is certainly not too high, ``np.floor`` one that is
            certainly not too low.
    """
    grid = budget_grid(trellis, bound, bins, rounding)
    if grid is None:
        return 0
    costs, budget = grid
    limbs = int(np.ceil(sum(np.log2(trellis.lengths, dtype=float)) / 32)) + 1 if trellis.lengths else 1
    values = np.zeros((1, budget + 1, limbs), dtype=np.uint64)
    values[:, :, 0] = 1  # within any budget left the end is reached in one way
    for stage, cost in zip(reversed(trellis.stages), reversed(costs), strict=True):
        fresh = np.zeros((stage.cost.shape[0], budget + 1, limbs), dtype=np.uint64)
        for state, candidate in np.argwhere(cost <= budget):
            shift = cost[state, candidate]
            fresh[state, shift:] += values[stage.target[state, candidate], : budget + 1 - shift]
        for limb in range(limbs - 1):
            fresh[:, :, limb + 1] += fresh[:, :, limb] >> _LIMB
            fresh[:, :, limb] &= _MASK
        values = fresh
    return sum(int(value) << (32 * limb) for limb, value in enumerate(values[0, budget]))


def sample_within(trellis: Trellis, bound: float, count: int, seed: int = 0, bins: int = BINS) -> np.ndarray:
    """Uniform samples of the paths whose sum is at most ``bound``.

    Costs are rounded up, so that every sample truly is within the bound; paths closer to it than the rounding may be
    left out.

    Returns:
        Candidate numbers, shape ``[count, choices]``; ``[0, choices]`` where no path is within the bound.
    """
    cells = sum(stage.cost.shape[0] for stage in trellis.stages) * bins
    bins = max(64, bins * _MAX_CELLS // cells) if cells > _MAX_CELLS else bins
    grid = budget_grid(trellis, bound, bins, np.ceil)
    empty = np.empty((0, len(trellis.stages)), dtype=np.int64)
    if grid is None:
        return empty
    costs, budget = grid
    ways = [np.ones((1, budget + 1))]
    for stage, cost in zip(reversed(trellis.stages), reversed(costs), strict=True):
        fresh = np.zeros((stage.cost.shape[0], budget + 1))
        for state, candidate in np.argwhere(cost <= budget):
            shift = cost[state, candidate]
            fresh[state, shift:] += ways[-1][stage.target[state, candidate], : budget + 1 - shift]
        ways.append(fresh / fresh.max() if fresh.max() > 1e200 else fresh)
    ways.reverse()
    if ways[0][0, budget] == 0:
        return empty
    generator = np.random.default_rng(seed)
    state = np.zeros(count, dtype=np.int64)
    left = np.full(count, budget)
    taken = np.empty((count, len(trellis.stages)), dtype=np.int64)
    for column, (stage, cost, after) in enumerate(zip(trellis.stages, costs, ways[1:], strict=True)):
        remaining = left[:, None] - cost[state]
        weight = np.where(remaining >= 0, after[stage.target[state], np.maximum(remaining, 0)], 0.0)
        cumulative = weight.cumsum(axis=1)
        point = generator.random(count) * cumulative[:, -1]
        taken[:, column] = (cumulative <= point[:, None]).sum(axis=1)
        left = np.take_along_axis(remaining, taken[:, column, None], 1)[:, 0]
        state = stage.target[state, taken[:, column]]
    return trellis.assignment(taken)
