"""Values that depend on choices: one array axis for each choice that they depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Table", "combine", "constant"]


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


def combine(function: Callable[..., Any], *tables: Table) -> Table:
    """Apply an element-wise ``function`` over the union of the scopes."""
    scope = tuple(sorted({position for table in tables for position in table.scope}))
    return Table(scope, np.asarray(function(*(table.over(scope) for table in tables))))
