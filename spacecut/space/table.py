"""Values that depend on choices: one array axis for each choice that they depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spacecut.errors import InputError

__all__ = ["MAX_COMBINATIONS", "MAX_CONDITION", "Table", "combinations", "combine", "constant", "held", "union"]

MAX_COMBINATIONS = 4_000_000
MAX_CONDITION = 20_000
"""Whether something is read is told exactly while it depends on no more combinations of candidates than these."""


@dataclass(frozen=True)
class Table:
    """A value for every combination of the choices in its scope.

    Attributes:
        scope: Positions of choices in their space, ascending.
        values: Array with one axis for each choice of the scope, as long as the choice has candidates.
        attributes: For a reference to a choice itself: its candidates' named attributes.
    """

    scope: tuple[int, ...]
    values: np.ndarray
    attributes: Mapping[str, Table] = field(default_factory=dict, compare=False, repr=False)

    def over(self, scope: tuple[int, ...]) -> np.ndarray:
        """Values with one axis for each choice of a wider ``scope``; axes it lacks have length one."""
        shape = [1] * len(scope)
        for axis, position in enumerate(self.scope):
            shape[scope.index(position)] = self.values.shape[axis]
        return self.values.reshape(shape)

    def at(self, candidates: np.ndarray) -> Any:
        """The value where choice ``i`` takes its candidate number ``candidates[i]``."""
        return self.values[tuple(candidates[position] for position in self.scope)]

    def reduced(self) -> Table:
        """The same values without the axes that they do not depend on."""
        scope, values = self.scope, self.values
        for position in self.scope:
            axis = scope.index(position)
            first = values.take([0], axis=axis)
            if np.all(values == first):
                values = first.squeeze(axis)
                scope = scope[:axis] + scope[axis + 1 :]
        return Table(scope, values)


def constant(value: Any) -> Table:
    """A table that depends on no choice."""
    return Table((), np.asarray(value))


def combinations(tables: Iterable[Table]) -> int:
    """How many combinations of candidates the choices have that any of the tables depends on."""
    return math.prod(_lengths(tables).values())


def union(tables: Iterable[Table]) -> tuple[int, ...]:
    """The scope of several tables together.

    Raises:
        InputError: A table over it would be too large.
    """
    lengths = _lengths(tables)
    if math.prod(lengths.values()) > MAX_COMBINATIONS:
        raise InputError(
            f"it depends on {len(lengths)} choices with more than {MAX_COMBINATIONS} combinations; tie some of them"
        )
    return tuple(sorted(lengths))


def combine(function: Callable[..., Any], *tables: Table) -> Table:
    """Apply an element-wise ``function`` over the union of the scopes.

    Raises:
        InputError: The result would be too large.
    """
    scope = union(tables)
    return Table(scope, np.asarray(function(*(table.over(scope) for table in tables))))


def held(otherwise: Table, function: Callable[..., Any], *tables: Table) -> Table:
    """The same, or ``otherwise`` where it would depend on too many choices at once to be worth telling exactly."""
    return combine(function, *tables) if combinations(tables) <= MAX_CONDITION else otherwise


def _lengths(tables: Iterable[Table]) -> dict[int, int]:
    return {
        position: length for table in tables for position, length in zip(table.scope, table.values.shape, strict=True)
    }
