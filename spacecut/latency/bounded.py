"""The most valuable architectures under a latency bound, and the latency-value front, without enumeration.

Along the stages a table over (state, budget left) holds the highest value still reachable. Latencies are rounded up
to the grid of the budget, so that whatever is found truly is within the bound; what lies closer to the bound than the
rounding may be missed.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

import numpy as np

from spacecut.latency.counting import budget_grid
from spacecut.latency.trellis import SumTable, Trellis

__all__ = ["Bounded"]

BINS = 2048


class Bounded:
    """Latency and value laid out together.

    Args:
        lengths: Number of candidates of each choice.
        latency: Tables of milliseconds, which are at least 0 in sum.
        value: Tables of what is to be large.
        max_ms: The bound.
        bins: Steps of the budget between the least possible latency and the bound.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        latency: Sequence[SumTable],
        value: Sequence[SumTable],
        max_ms: float,
        bins: int = BINS,
    ) -> None:
        # Each layout carries the other's scopes as zeros, so that both have the same states.
        self._cost = Trellis(lengths, [*latency, *_zeros(value)])
        self._value = Trellis(lengths, [*value, *_zeros(latency)])
        grid = budget_grid(self._cost, max_ms, bins, np.ceil)
        self._grid = grid
        self._to_go: list[np.ndarray] = []
        if grid is None:
            return
        costs, budget = grid
        table = np.zeros((1, budget + 1))
        self._to_go.append(table)
        for stage, cost, value_stage in zip(
            reversed(self._cost.stages), reversed(costs), reversed(self._value.stages), strict=True
        ):
            fresh = np.full((stage.cost.shape[0], budget + 1), -np.inf)
            for state, candidate in np.argwhere(cost <= budget):
                shift = cost[state, candidate]
                reached = table[stage.target[state, candidate], : budget + 1 - shift]
                np.maximum(fresh[state, shift:], reached + value_stage.cost[state, candidate], out=fresh[state, shift:])
            table = fresh
            self._to_go.append(table)
        self._to_go.reverse()

    def _onward(self, column: int, state: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The budget that each candidate leaves and the highest value within it; both ``[paths, candidates]``."""
        assert self._grid is not None
        remaining = left[:, None] - self._grid[0][column][state]
        reachable = self._to_go[column + 1][self._cost.stages[column].target[state], np.maximum(remaining, 0)]
        return remaining, np.where(remaining >= 0, self._value.stages[column].cost[state] + reachable, -np.inf)

    def best(self, k: int) -> np.ndarray:
        """Candidate numbers ``[k, choices]`` of the ``k`` highest values within the bound, highest first."""
        found: list[tuple[int, ...]] = []
        # Ordered by the value lost so far; of equal ones the longest comes first, or every tie would be searched.
        heap: list[tuple[float, int, int, int, int, tuple[int, ...]]] = []
        if self._grid is not None:
            heap.append((0.0, 0, 0, 0, self._grid[1], ()))
        pushed = itertools.count(1)
        while heap and len(found) < k:
            loss, depth, _, state, left, taken = heapq.heappop(heap)
            column = -depth
            if column == len(self._cost.stages):
                found.append(taken)
                continue
            remaining, hope = (row[0] for row in self._onward(column, np.asarray([state]), np.asarray([left])))
            losses = loss + (self._to_go[column][state, left] - hope)
            for candidate in np.flatnonzero(np.isfinite(hope)).tolist():
                target = int(self._cost.stages[column].target[state, candidate])
                step = (target, int(remaining[candidate]), (*taken, candidate))
                heapq.heappush(heap, (float(losses[candidate]), depth - 1, next(pushed), *step))
        return self._cost.assignment(np.asarray(found, dtype=np.int64).reshape(len(found), len(self._cost.stages)))

    def front(self) -> np.ndarray:
        """Candidate numbers of the latency-value Pareto front up to the bound, fastest first."""
        if self._grid is None:
            return np.empty((0, len(self._cost.stages)), dtype=np.int64)
        left = np.flatnonzero(np.diff(self._to_go[0][0], prepend=-np.inf) > 0)
        paths = np.arange(len(left))
        state = np.zeros(len(left), dtype=np.int64)
        taken = np.empty((len(left), len(self._cost.stages)), dtype=np.int64)
        spent, value = np.zeros(len(left)), np.zeros(len(left))
        for column, (cost, gain) in enumerate(zip(self._cost.stages, self._value.stages, strict=True)):
            remaining, hope = self._onward(column, state, left)
            best = hope.argmax(axis=1)
            spent += cost.cost[state, best]
            value += gain.cost[state, best]
            taken[:, column] = best
            left, state = remaining[paths, best], cost.target[state, best]
        # Rounded up by unequal amounts, they need not be in order, nor all on the front.
        order = np.lexsort((-value, spent))
        highest = np.maximum.accumulate(value[order])
        return self._cost.assignment(taken[order[np.diff(highest, prepend=-np.inf) > 0]])


def _zeros(tables: Sequence[SumTable]) -> list[SumTable]:
    return [SumTable(table.scope, np.zeros_like(table.values)) for table in tables]
