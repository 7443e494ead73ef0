"""Values that depend on choices: one array axis for each choice that they depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spacecut.errors import InputError

__all__ = [
    "MAX_COMBINATIONS",
    "MAX_CONDITION",
    "Table",
    "combinations",
    "combine",
    "constant",
    "held",
    "levels",
    "union",
]

MAX_COMBINATIONS = 4_000_000
MAX_CONDITION = 20_000
"""Whether something is read is told exactly while it depends on no more combinations of candidates than these."""
_SPARSE = 4  # a range so many times as long as there are values is better sorted than counted


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
        if scope == self.scope:
            return self.values
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
            before = (slice(None),) * axis
            first, last = values[(*before, slice(0, 1))], values[(*before, slice(-1, None))]
            if (last == first).all() and (values == first).all():  # most differ at the ends, which is soon told
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
    return _over(union(tables), function, tables)


def held(otherwise: Table, function: Callable[..., Any], *tables: Table) -> Table:
    """The same, or ``otherwise`` where it would depend on too many choices at once to be worth telling exactly."""
    lengths = _lengths(tables)
    if math.prod(lengths.values()) > MAX_CONDITION:
        return otherwise
    return _over(tuple(sorted(lengths)), function, tables)


def levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of some integers, ascending, and the place of each among them: ``np.unique``, but quicker.

    Integers of a small range are counted instead of sorted.
    """
    if not values.size or int(values.max()) - int(values.min()) > _SPARSE * values.size:
        distinct, place = np.unique(values, return_inverse=True)
        return distinct, place.reshape(values.shape)
    low = int(values.min())
    there = np.bincount((values - low).ravel()) > 0
    return np.flatnonzero(there) + low, (np.cumsum(there) - 1)[values - low]


def _over(scope: tuple[int, ...], function: Callable[..., Any], tables: Iterable[Table]) -> Table:
    return Table(scope, np.asarray(function(*(table.over(scope) for table in tables))))


def _lengths(tables: Iterable[Table]) -> dict[int, int]:
    lengths: dict[int, int] = {}
    for table in tables:
        lengths.update(zip(table.scope, table.values.shape, strict=True))
    return lengths
