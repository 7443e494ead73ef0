"""Sums looked up for many architectures are those that the tables make one by one."""

from __future__ import annotations

import numpy as np
from graphs import Graph, chain, graphs
from hypothesis import given

from spacecut.latency.lookup import Lookup


@given(graphs())
def test_sums_are_those_of_the_tables(graph: Graph):
    assert np.allclose(Lookup(graph.tables).total(graph.numbers), graph.sums)


def test_tables_too_large_to_join_and_more_architectures_than_are_looked_up_at_once():
    graph = chain(9, 40)
    numbers = np.random.default_rng(1).integers(0, 40, (40_000, 9))
    assert np.allclose(Lookup(graph.tables).total(numbers), graph.sums_of(numbers))
    assert Lookup(graph.tables).total(numbers[:0]).shape == (0,)
