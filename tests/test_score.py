"""The latency model and the score of a space, against enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import enumerated, latencies, model_of, random_costs, space_of, spaces

from spacecut.errors import InputError
from spacecut.latency import LatencyModel
from spacecut.operators.operator import encode, macs
from spacecut.score import score
from spacecut.space import SearchSpace

moderate = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 1000)


def widths_model(seed: int = 0) -> LatencyModel:
    """Three widths of five candidates in a row: 125 architectures."""
    choices = {f"c{number}": {"candidates": [2, 4, 6, 8, 10], "order": "larger"} for number in range(3)}
    network = [{"conv2d": {"out_channels": f"c{number}", "kernel": 3}} for number in range(3)]
    return model_of(space_of(choices, network), random_costs(seed))


@moderate
@given(spaces(), seeds, st.floats(0.0, 3.0))
def test_predictions_are_the_sums_over_the_concrete_networks(space: SearchSpace, seed: int, overhead: float) -> None:
    cost = random_costs(seed)
    model = model_of(space, cost, overhead=overhead)
    numbers = enumerated(space)
    expected = latencies(model, cost, numbers)
    np.testing.assert_allclose(model.predict(numbers), expected, rtol=1e-12)
    many = {choice.name: [choice.candidates[n] for n in numbers[:, i]] for i, choice in enumerate(space.choices)}
    np.testing.assert_allclose(model.predict(many), expected, rtol=1e-12)
    for (value, architecture), extreme in ((model.fastest(), expected.min()), (model.slowest(), expected.max())):
        assert value == pytest.approx(extreme)
        assert model.predict(architecture)[0] == pytest.approx(extreme)
    sizes = [macs(encode([node.operator for node in model.workload.network(row).nodes])).sum() for row in numbers]
    assert model.count_macs(numbers).tolist() == sizes


@moderate
@given(spaces(), seeds, st.integers(1, 8), st.floats(0.0, 1.1))
def test_a_score_is_what_enumeration_says(space: SearchSpace, seed: int, top: int, share: float) -> None:
    model = model_of(space, random_costs(seed))
    latency, size = model.predict(enumerated(space)), model.count_macs(enumerated(space))
    bound = float(latency.min() + share * np.ptp(latency)) + 1e-9
    within = latency <= bound

    free = score(model, top=top, pareto=True)
    assert (free.size, free.count, free.count_between) == (space.size, space.size, (space.size, space.size))
    assert [free.fastest_ms, free.slowest_ms] == pytest.approx([latency.min(), latency.max()])
    assert [entry.latency_ms for entry in free.fastest] == pytest.approx(np.sort(latency)[:top].tolist())
    assert [entry.macs for entry in free.largest] == np.sort(size)[::-1][:top].tolist()
    assert free.pareto[0].latency_ms == pytest.approx(latency.min())
    assert free.pareto[-1].macs == size.max()

    bounded = score(model, bound, top=top, pareto=True)
    low, high = bounded.count_between
    assert low <= int(within.sum()) <= high
    assert low <= bounded.count <= high
    assert all(e.latency_ms <= bound for e in (*bounded.largest, *bounded.fastest, *bounded.pareto))
    assert len(bounded.fastest) == min(top, int(within.sum()))
    assert all(found.macs <= best for found, best in zip(bounded.largest, np.sort(size[within])[::-1], strict=False))

    for front in (free.pareto, bounded.pareto):
        assert (np.diff([entry.macs for entry in front]) > 0).all()
        assert (np.diff([entry.latency_ms for entry in front]) > -1e-9).all()


def test_entries_are_what_they_say() -> None:
    model = widths_model()
    result = score(model, 4.0, top=10, pareto=True)
    for entry in (*result.largest, *result.fastest, *result.pareto):
        row = model.space.encode(entry.architecture)
        assert entry.latency_ms == pytest.approx(model.predict(row)[0])
        assert entry.macs == model.count_macs(row)[0]
    assert len({tuple(entry.architecture.values()) for entry in result.largest}) == 10


def test_a_bound_below_the_fastest_leaves_nothing() -> None:
    result = score(widths_model(), 1e-3, pareto=True)
    assert (result.count, result.count_between) == (0, (0, 0))
    assert result.largest == result.fastest == result.pareto == ()
    assert result.size == 125
    assert result.fastest_ms > 1e-3


def test_a_bound_at_the_fastest_leaves_the_fastest() -> None:
    for seed in range(10):
        model = widths_model(seed)
        result = score(model, model.fastest()[0], pareto=True)
        assert result.count_between[0] >= 1
        assert result.largest == result.fastest == result.pareto
        assert len(result.fastest) == 1


def test_samples_are_within_the_bound() -> None:
    model = widths_model()
    bound = float(np.median(model.predict(enumerated(model.space))))
    assert all(model.predict(architecture)[0] <= bound for architecture in model.sample(50, bound))
    assert model.sample(5, bound, seed=3) == model.sample(5, bound, seed=3)
    assert len(model.sample(7)) == 7
    assert model.sample(5, 1e-3) == []


@pytest.mark.parametrize("bound", [0.0, -1.0, float("inf"), float("nan")])
def test_a_bound_that_is_no_time_is_refused(bound: float) -> None:
    with pytest.raises(InputError, match="latency bound must be a positive number of ms"):
        score(widths_model(), bound)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(InputError, match="must be at least 1, not 0"):
        score(widths_model(), top=0)
    with pytest.raises(InputError, match="'speed' is no order"):
        widths_model().best(3, by="speed")


def test_a_space_of_one_network_is_scored() -> None:
    model = model_of(space_of({}, [{"linear": {"out_channels": 3}}]), lambda _: 1.0)
    result = score(model, 2.0, pareto=True)
    assert (result.size, result.count, len(result.largest), len(result.pareto)) == (1, 1, 1, 1)
    assert result.fastest_ms == result.slowest_ms == 1.25
