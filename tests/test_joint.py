"""Front inflation and the joint selection against enumeration of every architecture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from models import GivenProfile, asked_for, enumerated, latencies, random_costs, round_up, space_of, spaces

from spacecut.cut import cut
from spacecut.cut.inflation import Fronts, best_at, latency_band, least_latency
from spacecut.cut.joint import Banded, drops, hulls
from spacecut.errors import InputError
from spacecut.quality import quality_family
from spacecut.space import SearchSpace

moderate = settings(deadline=None, max_examples=50)
seeds = st.integers(0, 1000)


def every(space: SearchSpace) -> list[np.ndarray]:
    return [np.arange(length) for length in space.lengths]


def among(numbers: np.ndarray, kept: list[np.ndarray]) -> np.ndarray:
    """Which architectures have only candidates that are kept."""
    inside = [np.isin(numbers[:, position], left) for position, left in enumerate(kept)]
    return np.logical_and.reduce(inside, axis=0) if inside else np.ones(len(numbers), dtype=bool)


@moderate
@given(spaces(), seeds)
def test_the_least_latency_at_every_quality_is_exact(space: SearchSpace, seed: int) -> None:
    cost = random_costs(seed)
    model = GivenProfile(space, cost).latency_model(space)
    quality = quality_family(space, 1, seed, levels=20)[0]
    numbers = enumerated(space)
    latency, worth = latencies(model, cost, numbers), quality.of(numbers, model.workload.effects)
    best = int(worth.max())
    expected = [latency[worth >= level].min() for level in range(best + 1)]
    trellis = model.quality_trellis_over(every(space))
    found = least_latency(trellis, quality)
    assert found[: best + 1] == pytest.approx(np.asarray(expected), abs=1e-12)
    assert np.isinf(found[best + 1 :]).all()
    for level in (0, best // 2, best):
        found = best_at(trellis, quality, level)[None]
        assert quality.of(found, model.workload.effects)[0] >= level
        assert model.predict(found)[0] == pytest.approx(expected[level], abs=1e-12)
    with pytest.raises(InputError, match="no architecture has a quality"):
        best_at(trellis, quality, best + 1)


@moderate
@given(spaces(), seeds, st.data())
def test_inflation_is_what_enumeration_says(space: SearchSpace, seed: int, data: st.DataObject) -> None:
    cost = random_costs(seed)
    model = GivenProfile(space, cost).latency_model(space)
    family = quality_family(space, 3, seed, levels=20)
    kept = [np.asarray(sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1)))) for length in space.lengths]
    numbers = enumerated(space)
    latency = latencies(model, cost, numbers)
    band = latency_band(model)
    inside = among(numbers, kept)
    expected = []
    for quality in family:
        worth = quality.of(numbers, model.workload.effects)
        for level in range(int(worth.max()) + 1):
            full = latency[worth >= level].min()
            left = latency[inside & (worth >= level)]
            if band[0] <= full <= band[1]:
                expected.append((left.min() if len(left) else math.inf) / full - 1)
    margin = min((abs(value - edge) for value in latency for edge in band), default=1.0)
    assume(margin > 1e-9)  # whether a network on the edge of the band is inside is a matter of rounding
    if not expected:
        with pytest.raises(InputError, match="no network of any front"):
            Fronts(model, family, band)
        return
    found = Fronts(model, family, band).inflation(kept)
    assert found.worst == pytest.approx(max(expected), abs=1e-9)
    assert found.mean == pytest.approx(np.mean(expected), abs=1e-9)


@moderate
@given(spaces(), seeds, st.data())
def test_hulls_are_what_enumeration_says_and_what_no_best_network_uses_falls_first(
    space: SearchSpace, seed: int, data: st.DataObject
) -> None:
    cost = random_costs(seed)
    model = GivenProfile(space, cost).latency_model(space)
    numbers = enumerated(space)
    latency = latencies(model, cost, numbers)
    band = (float(latency.min()), float(latency.max()) + 1.0)
    family = quality_family(space, 5, seed)
    found = hulls(model, family, every(space), band)
    kept = [np.asarray(sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1)))) for length in space.lengths]

    worth = np.zeros((len(found.inside), len(numbers)))
    for choice, (values, effect) in enumerate(zip(found.worth, model.workload.effects, strict=True)):
        worth += values[np.where(effect.at(numbers.T), numbers[:, choice], -1)].T

    def least(inside: np.ndarray) -> np.ndarray:
        """Of ``latency - worth`` over some of all architectures, ``[problems, 1]``."""
        return np.asarray((latency - worth)[:, inside].min(axis=1, keepdims=True))

    assert found.slower(least(np.ones(len(numbers), dtype=bool))) == pytest.approx(0.0, abs=1e-9)
    # At equal quality no network that is left is faster than the hull says.
    inside = among(numbers, kept)
    slower = found.slower(least(inside))[:, 0].reshape(found.level.shape)
    for quality, levels, full, rows in zip(family, found.level, found.latency, slower, strict=True):
        reached = quality.of(numbers, model.workload.effects)
        for level, ms, more in zip(levels, full, rows, strict=True):
            enough = inside & (reached >= level - 1e-9)
            if enough.any():
                assert latency[enough].min() >= ms * (1 + more) - 1e-9
    protected = [np.zeros(length, dtype=bool) for length in space.lengths]
    path = list(drops([Banded(model, band)], family, every(space), protected))
    assert [sum(map(len, left)) for left in path] == list(range(sum(space.lengths), len(space.lengths) - 1, -1))
    # What no best network uses falls first, and nothing is lost by it.
    best = (latency - worth <= least(np.ones(len(numbers), dtype=bool)) + 1e-6) & found.inside[:, None]
    used = [np.unique(numbers[best.any(axis=0), choice]) for choice in range(len(space.lengths))]
    left = path[sum(space.lengths) - sum(map(len, used))]
    assert [one.tolist() for one in left] == [one.tolist() for one in used]
    assert found.slower(least(among(numbers, left))) == pytest.approx(0.0, abs=1e-6)


def test_the_candidate_that_no_front_needs_falls_first() -> None:
    space = space_of(
        {name: {"candidates": [1, 2, 3, 4], "order": "larger"} for name in ("a", "b", "c")},
        [{"conv2d": {"out_channels": name, "kernel": 1}} for name in ("a", "b", "c")],
    )
    # A width of 3 costs more than one of 4, as on a staircase with a dip.
    model = GivenProfile(space, lambda operator: (1.0, 2.0, 9.0, 3.0)[operator.out_channels - 1]).latency_model(space)
    protected = [np.zeros(4, dtype=bool)] * 3
    banded = [Banded(model, latency_band(model))]
    path = list(drops(banded, quality_family(space, 100), every(space), protected))
    assert all(2 not in numbers for numbers in path[3])


@moderate
@given(spaces(), seeds, st.integers(1, 60), st.sampled_from([None, 0.6]))
def test_a_target_size_is_met_and_certified(space: SearchSpace, seed: int, target: int, share: float | None) -> None:
    cost = random_costs(seed)
    profile = GivenProfile(space, cost, 0.1)
    model = profile.latency_model(space)
    bound = None if share is None else model.fastest()[0] * (1 - share) + model.slowest()[0] * share
    try:
        reduction = cut(space, profile, target_size=target, max_latency=None if bound is None else asked_for(bound))
    except InputError as error:
        assert "ms" in str(error)  # so small a space may have no front within the band
        return
    assert reduction.space.size <= target
    assert reduction.tolerance is None
    assert reduction.inflation is not None
    assert reduction.inflation.mean >= -1e-12
    for decision in reduction.decisions:
        if decision.dominator is not None:
            choice = space.choice(decision.choice)
            assert decision.verdict == "off the front"
            assert decision.dominator in reduction.space.choice(decision.choice).candidates
            assert choice.not_worse()[choice.index(decision.candidate), choice.index(decision.dominator)]
    lost = {
        (decision.choice, decision.candidate)
        for decision in reduction.decisions
        if decision.verdict != "kept" and decision.dominator is None
    }
    numbers = enumerated(space)
    for name, candidate in lost:
        position = space.positions[name]
        numbers = numbers[numbers[:, position] != space.choices[position].index(candidate)]
    old, new = (latencies(model, cost, rows) for rows in (numbers, round_up(reduction, numbers)))
    assert reduction.certificate.slowdown_ms == pytest.approx(max((new - old).max(), 0.0), abs=1e-12)
    assert reduction.certificate.slowdown == pytest.approx(max((new / old).max() - 1, 0.0), abs=1e-12)
