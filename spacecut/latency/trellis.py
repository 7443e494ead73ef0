"""A sum over a factor graph, laid out as a trellis: stages of states joined by edges, one stage a choice.

Choices are taken one after another. A state of a stage is a joint assignment of those choices already taken that a
later table still needs; an edge takes one candidate of the stage's choice and carries what the tables completed by it
cost. Every architecture is one path, and its sum the path's length, so that minimum, count, k best and samples are
plain dynamic programs over the stages (variable elimination along a path decomposition; Dechter, Constraint
Processing, ch. 4). For chains of factors, which real spaces come close to, states are few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.errors import InputError

__all__ = ["Scope", "Stage", "SumTable", "Trellis"]

MAX_EDGES = 30_000_000
"""Largest number of edges of one stage that is still laid out."""

Scope = tuple[int, ...]


@dataclass(frozen=True)
class SumTable:
    """One summand: values over the candidates of the choices in its scope (positions, ascending)."""

    scope: Scope
    values: np.ndarray

    def over(self, kept: Sequence[np.ndarray]) -> SumTable:
        """The table over some of the candidates, given by their numbers for every choice."""
        if not self.scope:
            return self
        return SumTable(self.scope, self.values[np.ix_(*(kept[position] for position in self.scope))])


@dataclass(frozen=True)
class Stage:
    """One choice being taken.

    Attributes:
        choice: Position of the choice.
        cost: What each edge costs, shape ``[states, candidates]``.
        target: State of the next stage that each edge leads to, same shape.
    """

    choice: int
    cost: np.ndarray
    target: np.ndarray


class Trellis:
    """Lay out a sum of tables.

    Args:
        lengths: Number of candidates of each choice.
        tables: The summands.

    Attributes:
        stages: One for each choice, in the order of elimination. The first has one state, and so has what follows
            the last.
        constant: Sum of the tables that depend on no choice.

    Raises:
        InputError: A stage would be too large to hold.
    """

    def __init__(self, lengths: Sequence[int], tables: Sequence[SumTable]) -> None:
        self.lengths = tuple(lengths)
        self.constant = float(sum(float(table.values) for table in tables if not table.scope))
        waiting = [table for table in tables if table.scope]
        order = _order(self.lengths, [table.scope for table in waiting])
        self.stages: list[Stage] = []
        frontier: Scope = ()
        taken: set[int] = set()
        for choice in order:
            taken.add(choice)
            complete = [table for table in waiting if taken.issuperset(table.scope)]
            waiting = [table for table in waiting if not taken.issuperset(table.scope)]
            needed = {position for table in waiting for position in table.scope}
            stage, frontier = self._stage(choice, frontier, complete, needed)
            self.stages.append(stage)

    def _stage(self, choice: int, frontier: Scope, complete: list[SumTable], needed: set[int]) -> tuple[Stage, Scope]:
        joint = (*frontier, choice)
        shape = tuple(self.lengths[position] for position in joint)
        if math.prod(shape) > MAX_EDGES:
            raise InputError(
                f"the choices are too entangled for an exact answer: {len(joint)} of them must be held at once, in "
                f"{math.prod(shape)} combinations (at most {MAX_EDGES}); cut the space first or tie some choices"
            )
        cost = np.zeros(shape)
        for table in complete:
            axes = [table.scope.index(position) for position in joint if position in table.scope]
            extended = [self.lengths[position] if position in table.scope else 1 for position in joint]
            cost += table.values.transpose(axes).reshape(extended)
        after = tuple(position for position in joint if position in needed)
        target = np.zeros(shape, dtype=np.int64)
        for position in after:
            axis = [1] * len(joint)
            axis[joint.index(position)] = self.lengths[position]
            target = target * self.lengths[position] + np.arange(self.lengths[position]).reshape(axis)
        states = math.prod(shape[:-1])
        return Stage(choice, cost.reshape(states, -1), target.reshape(states, -1)), after

    def assignment(self, taken: np.ndarray) -> np.ndarray:
        """Candidate numbers in the order of choices from those in the order of stages, along the last axis."""
        result = np.empty_like(taken)
        for column, stage in enumerate(self.stages):
            result[..., stage.choice] = taken[..., column]
        return result


def _order(lengths: Sequence[int], scopes: Sequence[Scope]) -> list[int]:
    """The better of two orders, by the most states that they must hold at once: the natural one, and a greedy one."""
    orders = _greedy(lengths, scopes), list(range(len(lengths)))
    return min(orders, key=lambda order: _most_held(order, lengths, scopes))


def _most_held(order: Sequence[int], lengths: Sequence[int], scopes: Sequence[Scope]) -> float:
    """The logarithm of the most edges that a stage has."""
    place = {choice: number for number, choice in enumerate(order)}
    last = {choice: number for choice, number in place.items()}
    for scope in scopes:
        end = max(place[choice] for choice in scope)
        for choice in scope:
            last[choice] = max(last[choice], end)
    return max(
        (
            sum(math.log(lengths[choice]) for choice in order[: number + 1] if last[choice] >= number)
            for number in range(len(order))
        ),
        default=0.0,
    )


def _greedy(lengths: Sequence[int], scopes: Sequence[Scope]) -> list[int]:
    """Take next the choice that leaves the smallest set of states to hold; the natural order breaks ties."""
    left = list(range(len(lengths)))
    taken: set[int] = set()
    order: list[int] = []
    touching = {choice: [scope for scope in scopes if choice in scope] for choice in left}

    def held(choice: int) -> tuple[float, int]:
        now = taken | {choice}
        frontier = (p for p in now if any(not now.issuperset(scope) for scope in touching[p]))
        return sum(math.log(lengths[p]) for p in frontier), choice

    while left:
        best = min(left, key=held)
        left.remove(best)
        taken.add(best)
        order.append(best)
    return order
