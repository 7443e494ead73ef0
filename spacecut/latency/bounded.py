"""The most valuable architectures under a latency bound, and the latency-value front, without enumeration.

Along the stages a table over (state, budget left) holds the highest value still reachable. Latencies are rounded up
to the grid of the budget, so that whatever is found truly is within the bound; what lies closer to the bound than the
rounding may be missed.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.latency.counting import budget_grid
from spacecut.latency.trellis import SumTable, Trellis

__all__ = ["Bounded"]

BINS = 2048


@dataclass
class _Path:
    value: float
    stage: int
    state: int
    left: int
    taken: tuple[int, ...]


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
                np.maximum(
                    fresh[state, shift:], reached + value_stage.cost[state, candidate], out=fresh[state, shift:]
                )
            table = fresh
            self._to_go.append(table)
        self._to_go.reverse()

    def best(self, k: int) -> np.ndarray:
        """Candidate numbers ``[k, choices]`` of the ``k`` highest values within the bound, highest first."""
        empty = np.empty((0, len(self._cost.stages)), dtype=np.int64)
        if self._grid is None or not np.isfinite(self._to_go[0][0, -1]):
            return empty
        costs, budget = self._grid
        heap: list[tuple[float, int, _Path]] = [(-self._to_go[0][0, budget], 0, _Path(0.0, 0, 0, budget, ()))]
        found: list[tuple[int, ...]] = []
        pushed = 1
        while heap and len(found) < k:
            _, _, path = heapq.heappop(heap)
            if path.stage == len(costs):
                found.append(path.taken)
                continue
            cost = costs[path.stage][path.state]
            target = self._cost.stages[path.stage].target[path.state]
            gain = self._value.stages[path.stage].cost[path.state]
            for candidate in np.flatnonzero(cost <= path.left):
                left = path.left - int(cost[candidate])
                value = path.value + float(gain[candidate])
                hope = value + self._to_go[path.stage + 1][target[candidate], left]
                if np.isfinite(hope):
                    step = _Path(value, path.stage + 1, int(target[candidate]), left, (*path.taken, int(candidate)))
                    heapq.heappush(heap, (-hope, pushed, step))
                    pushed += 1
        return self._cost.assignment(np.asarray(found, dtype=np.int64).reshape(-1, len(costs)))

    def front(self) -> np.ndarray:
        """Candidate numbers of the latency-value Pareto front up to the bound, fastest first."""
        if self._grid is None:
            return np.empty((0, len(self._cost.stages)), dtype=np.int64)
        costs, _ = self._grid
        reachable = self._to_go[0][0]
        better = np.flatnonzero(np.diff(reachable, prepend=-np.inf) > 0)
        taken = np.empty((len(better), len(costs)), dtype=np.int64)
        for row, start in enumerate(better):
            state, left = 0, int(start)
            for column, (stage, cost) in enumerate(zip(self._cost.stages, costs, strict=True)):
                remaining = left - cost[state]
                target = stage.target[state]
                hope = self._value.stages[column].cost[state] + np.where(
                    remaining >= 0, self._to_go[column + 1][target, np.maximum(remaining, 0)], -np.inf
                )
                taken[row, column] = int(np.argmax(hope))
                left, state = int(remaining[taken[row, column]]), int(target[taken[row, column]])
        return self._cost.assignment(taken)


def _zeros(tables: Sequence[SumTable]) -> list[SumTable]:
    return [SumTable(table.scope, np.zeros_like(table.values)) for table in tables]
