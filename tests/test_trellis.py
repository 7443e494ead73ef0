"""Exact answers over a trellis, against enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Graph, chain, graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from spacecut.errors import InputError
from spacecut.latency import SumTable, Trellis, trellis
from spacecut.latency.elimination import k_best, min_marginals, minimum

moderate = settings(deadline=None, max_examples=80)


def path_sum(graph: Graph, row: np.ndarray) -> float:
    """The length of an architecture's path, edge by edge."""
    total, state = graph.trellis.constant, 0
    for stage in graph.trellis.stages:
        total += stage.cost[state, row[stage.choice]]
        state = stage.target[state, row[stage.choice]]
    assert state == 0
    return float(total)


@moderate
@given(graphs())
def test_every_path_is_as_long_as_the_tables_sum(graph: Graph) -> None:
    assert sorted(stage.choice for stage in graph.trellis.stages) == list(range(len(graph.lengths)))
    np.testing.assert_allclose([path_sum(graph, row) for row in graph.numbers], graph.sums, atol=1e-12)


@moderate
@given(graphs())
def test_minimum_is_the_least_sum_and_is_reached(graph: Graph) -> None:
    value, row = minimum(graph.trellis)
    assert value == pytest.approx(graph.sums.min(), abs=1e-12)
    assert graph.sums_of(row[None])[0] == pytest.approx(value, abs=1e-12)


@moderate
@given(graphs())
def test_min_marginals_are_the_least_sums_with_each_candidate(graph: Graph) -> None:
    marginals = min_marginals(graph.trellis)
    assert [len(values) for values in marginals] == list(graph.lengths)
    for position, values in enumerate(marginals):
        for candidate, value in enumerate(values):
            least = graph.sums[graph.numbers[:, position] == candidate].min()
            assert value == pytest.approx(least, abs=1e-12)


@moderate
@given(graphs(), st.integers(1, 60))
def test_k_best_are_the_k_least_sums_of_distinct_architectures(graph: Graph, k: int) -> None:
    values, rows = k_best(graph.trellis, k)
    assert len(values) == len(rows) == min(k, len(graph.sums))
    assert (np.diff(values) >= 0).all()
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    np.testing.assert_allclose(graph.sums_of(rows), values, atol=1e-12)
    np.testing.assert_allclose(values, np.sort(graph.sums)[:k], atol=1e-12)


@moderate
@given(graphs(whole=True), st.integers(1, 60))
def test_k_best_with_ties_are_still_distinct(graph: Graph, k: int) -> None:
    values, rows = k_best(graph.trellis, k)
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    assert values.tolist() == np.sort(graph.sums)[:k].tolist()


def test_k_best_merges_in_pieces_too(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = chain(5, 3)
    whole = k_best(graph.trellis, 20)
    monkeypatch.setattr("spacecut.latency.elimination._CHUNK", 1)
    for one, other in zip(whole, k_best(graph.trellis, 20), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_choice_is_one_architecture() -> None:
    alone = Trellis([], [SumTable((), np.asarray(2.5)), SumTable((), np.asarray(0.5))])
    assert minimum(alone)[0] == 3.0
    values, rows = k_best(alone, 5)
    assert values.tolist() == [3.0]
    assert rows.shape == (1, 0)
    assert min_marginals(alone) == []


def test_a_chain_holds_one_choice_at_a_time() -> None:
    stages = chain(30, 7).trellis.stages
    assert max(len(stage.cost) for stage in stages) == 7


def test_a_star_is_taken_from_its_rays() -> None:
    rays = [SumTable((position, 6), np.ones((4, 2))) for position in range(6)]
    stages = Trellis([4] * 6 + [2], rays).stages
    assert max(stage.cost.size for stage in stages) <= 4 * 2


def test_what_is_too_entangled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trellis, "MAX_EDGES", 26)
    with pytest.raises(InputError, match=r"too entangled.*3 of them.*27 combinations \(at most 26\)"):
        Trellis([3, 3, 3], [SumTable((0, 1, 2), np.zeros((3, 3, 3)))])
    assert len(chain(8, 3).trellis.stages) == 8
