"""Counts and samples under a bound, against enumeration and known truth."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from graphs import Graph, chain, graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from spacecut.latency import SumTable, Trellis
from spacecut.latency.counting import count_within, sample_within
from spacecut.latency.elimination import minimum

moderate = settings(deadline=None, max_examples=80)
shares = st.floats(0.0, 1.2)


def bound_at(graph: Graph, share: float) -> float:
    return float(graph.sums.min() + share * np.ptp(graph.sums))


def slack_of(graph: Graph, bound: float) -> int:
    """The bound beyond the least sum: with as many bins, whole numbers lie on the grid."""
    return max(int(bound - graph.sums.min()), 1)


@moderate
@given(graphs(), shares, st.sampled_from([1, 7, 64, 4096]))
def test_rounding_up_and_down_bracket_the_count(graph: Graph, share: float, bins: int) -> None:
    bound = bound_at(graph, share) + 1e-9
    low, middle, high = (count_within(graph.trellis, bound, bins, way) for way in (np.ceil, np.rint, np.floor))
    assert low <= int((graph.sums <= bound).sum()) <= high
    assert low <= middle <= high


@moderate
@given(graphs(whole=True), shares)
def test_the_count_is_exact_where_costs_lie_on_the_grid(graph: Graph, share: float) -> None:
    bound = float(np.floor(bound_at(graph, share)))
    within = int((graph.sums <= bound).sum())
    for rounding in (np.ceil, np.rint, np.floor):
        assert count_within(graph.trellis, bound, slack_of(graph, bound), rounding) == within


@moderate
@given(graphs())
def test_at_the_minimum_the_minimum_counts_and_below_it_nothing(graph: Graph) -> None:
    least = minimum(graph.trellis)[0]
    for rounding in (np.ceil, np.rint, np.floor):
        assert count_within(graph.trellis, least, rounding=rounding) >= 1
        assert count_within(graph.trellis, np.nextafter(least, -np.inf), rounding=rounding) == 0
    rows = sample_within(graph.trellis, least, 5)
    np.testing.assert_allclose(graph.sums_of(rows), [least] * 5, atol=1e-12)
    assert sample_within(graph.trellis, np.nextafter(least, -np.inf), 5).shape == (0, len(graph.lengths))
    assert count_within(graph.trellis, float("nan")) == 0


def test_the_minimum_is_within_itself_whatever_the_order_of_adding() -> None:
    costs = [SumTable((position,), np.asarray([0.1, 0.3 + position])) for position in range(10)]
    trellis = Trellis([2] * 10, costs)
    assert count_within(trellis, minimum(trellis)[0]) == 1


@pytest.mark.parametrize(("length", "candidates"), [(13, 31), (200, 3), (64, 2), (33, 4)])
def test_huge_spaces_are_counted_exactly(length: int, candidates: int) -> None:
    graph = chain(length, candidates)
    above = float(2 * length)
    for rounding in (np.ceil, np.rint, np.floor):
        assert count_within(graph.trellis, above, 1024, rounding) == candidates**length


def test_a_huge_space_is_counted_exactly_at_a_bound_of_binomials() -> None:
    """Of 200 coins, those with at most 90 heads."""
    trellis = Trellis([2] * 200, [SumTable((position,), np.asarray([0.0, 1.0])) for position in range(200)])
    row = [1]
    for _ in range(200):
        row = [a + b for a, b in zip([0, *row], [*row, 0], strict=True)]
    assert count_within(trellis, 90.0, 90) == sum(row[:91])


@moderate
@given(graphs(), shares, st.integers(0, 5))
def test_samples_are_within_the_bound_and_the_same_by_seed(graph: Graph, share: float, seed: int) -> None:
    bound = bound_at(graph, share)
    rows = sample_within(graph.trellis, bound, 40, seed)
    assert (graph.sums_of(rows) <= bound + 1e-12 * np.abs(graph.sums).max()).all()
    np.testing.assert_array_equal(rows, sample_within(graph.trellis, bound, 40, seed))


@pytest.mark.parametrize("seed", range(5))
def test_samples_are_uniform(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scopes = [(0, 1), (1, 2), (0, 2), (3,)]  # a loop and a choice apart
    graph = Graph((3, 4, 3, 2), tuple(SumTable(s, np.zeros([(3, 4, 3, 2)[p] for p in s])) for s in scopes))
    graph = graph.with_values(int(generator.integers(100)))
    bound = float(np.floor(np.median(graph.sums)))
    rows = sample_within(graph.trellis, bound, 8000, seed, bins=slack_of(graph, bound))
    drawn = Counter(map(tuple, rows.tolist()))
    within = [tuple(row) for row in graph.numbers[graph.sums <= bound].tolist()]
    assert set(drawn) <= set(within)
    assert chisquare([drawn[row] for row in within]).pvalue > 1e-3


def test_other_seeds_draw_other_samples() -> None:
    trellis = chain(8, 4).trellis
    assert not np.array_equal(sample_within(trellis, 5.0, 20, 0), sample_within(trellis, 5.0, 20, 1))


def test_huge_spaces_are_sampled_within_the_bound() -> None:
    graph = chain(200, 3)
    bound = minimum(graph.trellis)[0] * 1.3
    rows = sample_within(graph.trellis, bound, 50)
    assert len({tuple(row) for row in rows.tolist()}) == 50
    assert (graph.sums_of(rows) <= bound).all()
