"""Small random factor graphs, and what enumeration says of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from spacecut.latency import SumTable, Trellis


@dataclass(frozen=True)
class Graph:
    """Choices and the tables that are summed over them."""

    lengths: tuple[int, ...]
    tables: tuple[SumTable, ...]

    @cached_property
    def trellis(self) -> Trellis:
        return Trellis(self.lengths, self.tables)

    @cached_property
    def numbers(self) -> np.ndarray:
        """Every architecture, ``[architectures, choices]``."""
        return np.indices(self.lengths).reshape(len(self.lengths), -1).T

    @cached_property
    def sums(self) -> np.ndarray:
        """The sum of every architecture."""
        return self.sums_of(self.numbers)

    def sums_of(self, numbers: np.ndarray) -> np.ndarray:
        return sum(
            (table.values[tuple(numbers[:, position] for position in table.scope)] for table in self.tables),
            np.zeros(len(numbers)),
        )

    def with_values(self, seed: int) -> Graph:
        """The same scopes with other whole numbers."""
        generator = np.random.default_rng(seed)
        return Graph(
            self.lengths,
            tuple(SumTable(table.scope, generator.integers(0, 6, table.values.shape) * 1.0) for table in self.tables),
        )


@st.composite
def graphs(draw: st.DrawFn, whole: bool = False, least: float = -8.0) -> Graph:
    """One to five choices of one to four candidates under tables of up to three of them.

    Scopes are free, so that there are loops, disconnected choices and choices in no table.

    Args:
        draw: Given by hypothesis.
        whole: Only whole numbers.
        least: No value is below this one.
    """
    lengths = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    positions = st.integers(0, len(lengths) - 1)
    scopes = draw(st.lists(st.sets(positions, max_size=3), max_size=7))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tables = []
    for scope in map(sorted, scopes):
        shape = tuple(lengths[position] for position in scope)
        values = generator.uniform(least, 8.0, shape)
        tables.append(SumTable(tuple(scope), np.rint(values) if whole else values))
    return Graph(lengths, tuple(tables))


def chain(length: int, candidates: int, seed: int = 0) -> Graph:
    """Choices in a row with a table for each two neighbours."""
    generator = np.random.default_rng(seed)
    tables = tuple(
        SumTable((position, position + 1), generator.uniform(0.0, 1.0, (candidates, candidates)))
        for position in range(length - 1)
    )
    return Graph((candidates,) * length, tables)
