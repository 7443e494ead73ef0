"""One space for several platforms, against enumeration on each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import (
    Cost,
    GivenProfile,
    asked_for,
    enumerated,
    latencies,
    random_costs,
    round_up,
    space_of,
    spaces,
)

from spacecut.cut import check_certificate, cut, load_reduction, saved
from spacecut.cut.certificate import Certificate
from spacecut.errors import InputError
from spacecut.latency import LatencyModel
from spacecut.measure import PlatformRecord
from spacecut.operators import Operator
from spacecut.space import SearchSpace

moderate = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 1000)


class Named(GivenProfile):
    """A platform with a name."""

    def __init__(self, name: str, space: SearchSpace, cost: Cost, error: float = 0.0) -> None:
        super().__init__(space, cost, error)
        object.__setattr__(self, "platform", PlatformRecord(name, "1", "cpu", "fp32", 1, 1, "none"))


def pair(space: SearchSpace, seed: int, error: float = 0.0) -> list[Named]:
    return [Named(name, space, random_costs(seed + n), error) for n, name in enumerate(("one", "other"))]


@moderate
@given(spaces(), seeds, st.sampled_from([0.0, 0.3]))
def test_each_platform_has_its_own_certificate(space: SearchSpace, seed: int, tolerance: float) -> None:
    reduction = cut(space, pair(space, seed, 0.1), tolerance=tolerance)
    numbers = enumerated(space)
    rounded = round_up(reduction, numbers)
    for n, outcome in enumerate(reduction.outcomes):
        old, new = (latencies(outcome.model, random_costs(seed + n), rows) for rows in (numbers, rounded))
        assert outcome.certificate.slowdown == pytest.approx(max((new / old).max() - 1, 0.0), abs=1e-12)
        assert check_certificate(space, reduction.space, outcome.certificate, outcome.model).holds
        assert [d.verdict for d in outcome.decisions] == [d.verdict for d in reduction.decisions]


@moderate
@given(spaces(), seeds)
def test_without_noise_and_tolerance_no_architecture_is_slowed_on_any_platform(space: SearchSpace, seed: int) -> None:
    reduction = cut(space, pair(space, seed), tolerance=0.0)
    assert all(outcome.certificate.slowdown <= 1e-12 for outcome in reduction.outcomes)
    for alone in (cut(space, profile, tolerance=0.0) for profile in pair(space, seed)):
        assert reduction.space.size >= 1
        assert alone.space.size >= 1
    twice = cut(space, [pair(space, seed)[0]] * 2, tolerance=0.0)
    assert twice.space.choices == cut(space, pair(space, seed)[0], tolerance=0.0).space.choices


@moderate
@given(spaces(), seeds, st.floats(0.2, 1.0), st.floats(0.2, 1.0))
def test_what_all_bounds_allow_stays_feasible(space: SearchSpace, seed: int, first: float, second: float) -> None:
    profiles = pair(space, seed)
    numbers = enumerated(space)
    every = [latencies(p.latency_model(space), random_costs(seed + n), numbers) for n, p in enumerate(profiles)]
    bounds = [float(ms.min() + share * np.ptp(ms)) for ms, share in zip(every, (first, second), strict=True)]
    inside = (every[0] <= bounds[0]) & (every[1] <= bounds[1])
    try:
        reduction = cut(space, profiles, tolerance=0.0, max_latency=[asked_for(bound) for bound in bounds])
    except InputError as error:
        assert "within the bounds of all platforms" in str(error)
        assert not inside.any()
        return
    rounded = round_up(reduction, numbers[inside])
    for position, choice in enumerate(space.choices):
        kept = [choice.index(candidate) for candidate in reduction.space.choices[position].candidates]
        assert np.isin(rounded[:, position], kept).all()


def test_a_candidate_that_one_platform_needs_is_kept() -> None:
    space = space_of(
        {"width": {"candidates": [1, 2, 3, 4], "order": "larger"}},
        [{"conv2d": {"out_channels": "width", "kernel": 1}}],
    )

    def steps(length: int) -> Cost:
        def cost(operator: Operator) -> float:
            return float(1 + (operator.out_channels - 1) // length)

        return cost

    twos, threes = Named("twos", space, steps(2)), Named("threes", space, steps(3))
    assert cut(space, twos, tolerance=0.0).space.choices[0].candidates == (2, 4)
    assert cut(space, threes, tolerance=0.0).space.choices[0].candidates == (3, 4)
    assert cut(space, [twos, threes], tolerance=0.0).space.choices[0].candidates == (2, 3, 4)


@moderate
@given(spaces(), seeds, st.integers(1, 40))
def test_a_target_size_is_met_with_a_figure_for_each_platform(space: SearchSpace, seed: int, target: int) -> None:
    try:
        reduction = cut(space, pair(space, seed), target_size=target)
    except InputError as error:
        assert "ms" in str(error)  # so small a space may have no front within the band
        return
    assert reduction.space.size <= target
    assert all(outcome.inflation is not None for outcome in reduction.outcomes)


def test_a_reduction_for_two_platforms_is_saved_and_read_again(tmp_path: Path) -> None:
    space = space_of(
        {name: {"candidates": [1, 2, 3], "order": "larger"} for name in ("a", "b")},
        [{"conv2d": {"out_channels": name, "kernel": 1}} for name in ("a", "b")],
    )
    profiles = pair(space, 3)
    reduction = cut(space, profiles, tolerance=0.1)
    written = reduction.save(tmp_path)
    assert written == sorted(tmp_path.iterdir())
    assert [certificate.platform for _, certificate in saved(tmp_path)] == [str(p.platform) for p in profiles]
    for outcome in reduction.outcomes:
        name = outcome.certificate.platform
        _, _, profile, certificate = load_reduction(tmp_path, name)
        assert str(profile.platform) == name
        assert certificate == outcome.certificate
        assert load_reduction(tmp_path, name.split()[0])[-1] == certificate
    with pytest.raises(InputError, match="not cut for 'third', but for one"):
        load_reduction(tmp_path, "third")
    assert cut(space, profiles[0], tolerance=0.1).save(tmp_path) == sorted(tmp_path.iterdir())
    alike = [Named("one", space, random_costs(seed)) for seed in (1, 2)]
    for number, profile in enumerate(alike):
        object.__setattr__(profile, "platform", replace(profile.platform, threads=1 + number))
    cut(space, alike, tolerance=0.1).save(tmp_path)
    with pytest.raises(InputError, match="several are called 'one'; say which: one 1 on cpu"):
        load_reduction(tmp_path, "one")


def test_bounds_and_platforms_must_match() -> None:
    space = space_of({"w": {"candidates": [1, 2]}}, [{"conv2d": {"out_channels": "w", "kernel": 1}}])
    with pytest.raises(InputError, match="3 latency bounds for 2 platforms"):
        cut(space, pair(space, 0), max_latency=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="at least one platform"):
        cut(space, [])


@moderate
@given(spaces(), seeds, st.sampled_from([0.0, 0.3, 2.0]))
def test_the_certificate_of_a_band_bounds_what_is_in_it(space: SearchSpace, seed: int, tolerance: float) -> None:
    cost = random_costs(seed)
    reduction = cut(space, GivenProfile(space, cost, 0.1), tolerance=tolerance)
    certificate: Certificate = reduction.certificate
    model: LatencyModel = reduction.model
    band = certificate.in_band
    assert band is not None
    numbers = enumerated(space)
    old, new = (latencies(model, cost, rows) for rows in (numbers, round_up(reduction, numbers)))
    inside = (old >= band.low_ms) & (old <= band.high_ms)
    worst = float((new[inside] / old[inside]).max() - 1) if inside.any() else 0.0
    assert max(worst, 0.0) <= band.slowdown + 1e-9
    assert band.attained <= max(worst, 0.0) + 1e-9
    assert band.slowdown <= certificate.slowdown + 1e-6


def test_the_band_leaves_out_the_smallest_architectures() -> None:
    # Width 1 costs almost nothing and is rounded up to 2: bad for small networks, and for small ones only.
    space = space_of(
        {name: {"candidates": [1, 2, 3, 4], "order": "larger"} for name in ("a", "b", "c", "d")},
        [{"conv2d": {"out_channels": name, "kernel": 1}} for name in ("a", "b", "c", "d")],
    )
    profile = GivenProfile(space, lambda operator: (0.97, 1.0, 4.0, 8.0)[operator.out_channels - 1])
    certificate = cut(space, profile, tolerance=0.05).certificate
    assert certificate.in_band is not None
    assert 0 < certificate.in_band.slowdown < 0.8 * certificate.slowdown
