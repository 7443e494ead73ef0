"""A sum over a factor graph, laid out as a trellis: stages of states joined by edges, one stage a choice.

Choices are taken one after another. A state of a stage is a joint assignment of those choices already taken that a
later table still needs; an edge takes one candidate of the stage's choice and carries what the tables completed by it
cost. Every architecture is one path, and its sum the path's length, so that minimum, count, k best and samples are
plain dynamic programs over the stages (variable elimination along a path decomposition; Dechter, Constraint
Processing, ch. 4). For chains of factors, which real spaces come close to, states are few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.errors import InputError
from spacecut.space.table import Table, constant

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
        settled: Choices of which an edge settles what they add to a quality, with the candidate's number for each
            edge, or the number of candidates where the choice has no effect; ``[states, candidates]``, or
            ``[1, candidates]`` where the state does not matter.
    """

    choice: int
    cost: np.ndarray
    target: np.ndarray
    settled: tuple[tuple[int, np.ndarray], ...]

    def quality(self, entries: Sequence[np.ndarray], candidate: int) -> np.ndarray:
        """What edges of one candidate add to qualities, ``[states, qualities]`` or ``[1, qualities]``.

        Args:
            entries: For each choice, the worth of each candidate and, last, of having no effect, ``[:, qualities]``.
            candidate: Its number.
        """
        total = np.zeros((1, entries[0].shape[1]))
        for choice, number in self.settled:
            total = total + entries[choice][number[:, candidate]]
        return total


class Trellis:
    """Lay out a sum of tables.

    Args:
        lengths: Number of candidates of each choice.
        tables: The summands.
        effects: For each choice, whether it has an effect; always where not given. Qualities rest on it, not the sum.

    Attributes:
        stages: One for each choice, in the order of elimination. The first has one state, and so has what follows
            the last.
        constant: Sum of the tables that depend on no choice.

    Raises:
        InputError: A stage would be too large to hold.
    """

    def __init__(
        self, lengths: Sequence[int], tables: Sequence[SumTable], effects: Sequence[Table] | None = None
    ) -> None:
        self.lengths = tuple(lengths)
        self.constant = float(sum(float(table.values) for table in tables if not table.scope))
        waiting = [table for table in tables if table.scope]
        every = [constant(True)] * len(self.lengths) if effects is None else effects
        settling = [_settling(choice, length, every[choice]) for choice, length in enumerate(self.lengths)]
        order = _order(self.lengths, [table.scope for table in (*waiting, *settling)])
        self.stages: list[Stage] = []
        frontier: Scope = ()
        taken: set[int] = set()
        for choice in order:
            taken.add(choice)
            complete = [table for table in waiting if taken.issuperset(table.scope)]
            waiting = [table for table in waiting if not taken.issuperset(table.scope)]
            settled = {
                n: table for n, table in enumerate(settling) if choice in table.scope and taken >= {*table.scope}
            }
            open_ones = [table for table in settling if not taken.issuperset(table.scope)]
            needed = {position for table in (*waiting, *open_ones) for position in table.scope}
            stage, frontier = self._stage(choice, frontier, complete, settled, needed)
            self.stages.append(stage)

    def _stage(
        self,
        choice: int,
        frontier: Scope,
        complete: list[SumTable],
        settled: Mapping[int, SumTable],
        needed: set[int],
    ) -> tuple[Stage, Scope]:
        joint = (*frontier, choice)
        shape = tuple(self.lengths[position] for position in joint)
        if math.prod(shape) > MAX_EDGES:
            raise InputError(
                f"the choices are too entangled for an exact answer: {len(joint)} of them must be held at once, in "
                f"{math.prod(shape)} combinations (at most {MAX_EDGES}); cut the space first or tie some choices"
            )
        cost = np.zeros(shape)
        for table in complete:
            cost += self._along(table, joint)
        after = tuple(position for position in joint if position in needed)
        target = np.zeros(shape, dtype=np.int64)
        for position in after:
            axis = [1] * len(joint)
            axis[joint.index(position)] = self.lengths[position]
            target = target * self.lengths[position] + np.arange(self.lengths[position]).reshape(axis)
        states = math.prod(shape[:-1])
        numbers = [
            table.values[None]
            if table.scope == (choice,)
            else np.broadcast_to(self._along(table, joint), shape).reshape(states, -1)
            for table in settled.values()
        ]
        flat = cost.reshape(states, -1), target.reshape(states, -1)
        return Stage(choice, *flat, tuple(zip(settled, numbers, strict=True))), after

    def _along(self, table: SumTable, joint: Scope) -> np.ndarray:
        """Values of a table with an axis for each of some choices, of length one where it does not depend on it."""
        axes = [table.scope.index(position) for position in joint if position in table.scope]
        extended = [self.lengths[position] if position in table.scope else 1 for position in joint]
        return table.values.transpose(axes).reshape(extended)

    def assignment(self, taken: np.ndarray) -> np.ndarray:
        """Candidate numbers in the order of choices from those in the order of stages, along the last axis."""
        result = np.empty_like(taken)
        for column, stage in enumerate(self.stages):
            result[..., stage.choice] = taken[..., column]
        return result


def _settling(choice: int, length: int, effect: Table) -> SumTable:
    """The number of a choice's candidate, or ``length`` where the choice has no effect."""
    scope = tuple(sorted({choice, *effect.scope}))
    own = Table((choice,), np.arange(length)).over(scope)
    return SumTable(scope, np.where(effect.over(scope), own, length))


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
