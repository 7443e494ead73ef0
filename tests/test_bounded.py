"""The most valuable architectures under a latency bound, against enumeration."""

from __future__ import annotations

import numpy as np
from graphs import Graph, chain, graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from spacecut.latency import SumTable
from spacecut.latency.bounded import Bounded

moderate = settings(deadline=None, max_examples=80)
shares = st.floats(0.0, 1.2)
seeds = st.integers(0, 1000)


def laid_out(graph: Graph, value: Graph, bound: float, bins: int | None = None) -> Bounded:
    if bins is None:
        bins = max(int(bound - graph.sums.min()), 1)
    return Bounded(graph.lengths, graph.tables, value.tables, bound, bins)


def front_of(latency: np.ndarray, value: np.ndarray) -> list[tuple[float, float]]:
    """The points that no other dominates, by latency."""
    front: list[tuple[float, float]] = []
    for ms, gain in sorted(zip(latency.tolist(), value.tolist(), strict=True), key=lambda point: (point[0], -point[1])):
        if not front or gain > front[-1][1]:
            front.append((ms, gain))
    return front


def other_scopes(graph: Graph) -> Graph:
    """A value that depends on other sets of choices than the latency does."""
    scopes = [(position,) for position in range(len(graph.lengths))] + [tuple(range(min(2, len(graph.lengths))))]
    tables = tuple(SumTable(scope, np.zeros([graph.lengths[position] for position in scope])) for scope in scopes)
    return Graph(graph.lengths, tables)


@moderate
@given(graphs(whole=True, least=0.0), shares, seeds, st.integers(1, 30), st.booleans())
def test_best_is_exact_where_latencies_lie_on_the_grid(
    graph: Graph, share: float, seed: int, k: int, alike: bool
) -> None:
    value = (graph if alike else other_scopes(graph)).with_values(seed)
    bound = float(np.floor(graph.sums.min() + share * np.ptp(graph.sums)))
    rows = laid_out(graph, value, bound).best(k)
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    assert (graph.sums_of(rows) <= bound).all()
    expected = np.sort(value.sums[graph.sums <= bound])[::-1][:k]
    assert value.sums_of(rows).tolist() == expected.tolist()


@moderate
@given(graphs(), shares, seeds, st.sampled_from([5, 64, 2048]))
def test_best_off_the_grid_is_within_the_bound_and_not_better_than_the_best(
    graph: Graph, share: float, seed: int, bins: int
) -> None:
    value = graph.with_values(seed)
    bound = float(graph.sums.min() + share * np.ptp(graph.sums))
    rows = laid_out(graph, value, bound + 1e-9, bins).best(10)
    assert len(rows) >= 1  # the fastest is always found
    assert (graph.sums_of(rows) <= bound + 2e-9).all()
    expected = np.sort(value.sums[graph.sums <= bound + 2e-9])[::-1]
    values = value.sums_of(rows)
    assert (np.diff(values) <= 0).all()
    assert (values <= expected[: len(values)]).all()
    roomy = laid_out(graph, value, bound + 6 * float(np.ptp(graph.sums)) + 1e-9, bins)
    assert value.sums_of(roomy.best(1))[0] >= expected[0]  # rounding up takes at most a bin for each of five choices


@moderate
@given(graphs(whole=True, least=0.0), shares, seeds, st.booleans())
def test_front_is_the_front_where_latencies_lie_on_the_grid(graph: Graph, share: float, seed: int, alike: bool) -> None:
    value = (graph if alike else other_scopes(graph)).with_values(seed)
    bound = float(np.floor(graph.sums.min() + share * np.ptp(graph.sums)))
    rows = laid_out(graph, value, bound).front()
    found = list(zip(graph.sums_of(rows).tolist(), value.sums_of(rows).tolist(), strict=True))
    within = graph.sums <= bound
    assert found == front_of(graph.sums[within], value.sums[within])


@moderate
@given(graphs(), shares, seeds, st.sampled_from([3, 50, 2048]))
def test_front_off_the_grid_is_sorted_and_without_dominated_points(
    graph: Graph, share: float, seed: int, bins: int
) -> None:
    value = graph.with_values(seed)
    bound = float(graph.sums.min() + share * np.ptp(graph.sums)) + 1e-9
    rows = laid_out(graph, value, bound, bins).front()
    latency = graph.sums_of(rows)
    assert len(rows) >= 1
    assert (latency <= bound + 1e-9).all()
    assert (np.diff(latency) > -1e-12).all()
    assert (np.diff(value.sums_of(rows)) > 0).all()


def test_nothing_is_within_a_bound_below_the_fastest() -> None:
    graph = chain(4, 3)
    nothing = laid_out(graph, graph.with_values(0), float(graph.sums.min()) - 0.1, 64)
    assert nothing.best(3).shape == nothing.front().shape == (0, 4)


def test_ties_are_not_searched_one_by_one() -> None:
    """Forty choices that change nothing make 2^40 equally good architectures; a few of them are found at once."""
    table = np.asarray([0.0, 1.0, 2.0])
    tables = (SumTable((40,), table), *(SumTable((position,), np.zeros(2)) for position in range(40)))
    bounded = Bounded([2] * 40 + [3], tables, (SumTable((40,), table),), 1.0)
    rows = bounded.best(25)
    assert len({tuple(row) for row in rows.tolist()}) == 25
    assert rows[:, 40].tolist() == [1] * 25


def test_ties_with_broken_fractions_are_not_searched_one_by_one() -> None:
    """Sums of tenths differ in the last bit by the order of adding; they are ties all the same."""
    tables = tuple(SumTable((position,), np.asarray([0.1, 0.7])) for position in range(40))
    rows = Bounded([2] * 40, tables, tables, 16.0, 2048).best(25)
    assert len(rows) == 25
