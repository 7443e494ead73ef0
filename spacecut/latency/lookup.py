"""Sums of tables for many architectures at once, by as few look-ups as fit in the cache."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spacecut.latency.trellis import SumTable
from spacecut.space.table import Table, combinations, combine

__all__ = ["Lookup"]

_JOINED = 1 << 15
"""Most entries of a table that several are added up in; with the indices it stays in the second-level cache."""
_PIECE = 1 << 14
"""So many architectures are looked up at a time, for the same reason."""


class Lookup:
    """A sum of tables, laid out to be looked up.

    Args:
        tables: The summands, in the order of their scopes, so that neighbours share choices.
    """

    def __init__(self, tables: Iterable[SumTable]) -> None:
        joined: list[Table] = []
        for summand in tables:
            table = Table(summand.scope, summand.values)
            if joined and combinations((joined[-1], table)) <= _JOINED:
                joined[-1] = combine(np.add, joined[-1], table)
            else:
                joined.append(table)
        self._flat = [(table.scope, table.values.shape, np.ascontiguousarray(table.values).ravel()) for table in joined]

    def total(self, numbers: np.ndarray) -> np.ndarray:
        """The sum for architectures given as candidate numbers ``[architectures, choices]``."""
        total = np.empty(len(numbers))
        for start in range(0, len(numbers), _PIECE):
            columns = np.ascontiguousarray(numbers[start : start + _PIECE].T)
            piece = np.zeros(columns.shape[1])
            for scope, shape, values in self._flat:
                index = np.zeros((), dtype=np.int64)
                for position, length in zip(scope, shape, strict=True):
                    index = index * length + columns[position]
                piece += values[index]
            total[start : start + _PIECE] = piece
        return total
