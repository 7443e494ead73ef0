"""The certificate against enumeration of every architecture, and the cut that it is about."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GivenProfile, asked_for, enumerated, latencies, random_costs, round_up, space_of, spaces

from spacecut.cut import Certificate, Reduction, cut, load_reduction
from spacecut.errors import InputError
from spacecut.space import SearchSpace

moderate = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 1000)
tolerances = st.sampled_from([0.0, 0.02, 0.3, 2.0])


def feasible_numbers(reduction: Reduction) -> np.ndarray:
    """Architectures without a candidate that is too slow."""
    numbers = enumerated(reduction.full)
    for decision in reduction.decisions:
        if decision.verdict == "too slow":
            position = reduction.full.positions[decision.choice]
            number = reduction.full.choices[position].index(decision.candidate)
            numbers = numbers[numbers[:, position] != number]
    return numbers


def check_certificate(reduction: Reduction, old: np.ndarray, new: np.ndarray) -> None:
    """Against latencies of the architectures certified over, and of what they are rounded up to."""
    certificate = reduction.certificate
    assert certificate.slowdown_ms == pytest.approx(max((new - old).max(), 0.0), abs=1e-12)
    assert certificate.slowdown == pytest.approx(max((new / old).max() - 1, 0.0), abs=1e-12)
    before, after = (reduction.model.predict(where)[0] for where in (certificate.architecture, certificate.rounded))
    assert after / before - 1 == pytest.approx(certificate.slowdown, abs=1e-12)
    rounded = round_up(reduction, reduction.full.encode(certificate.architecture))
    assert reduction.full.decode(rounded[0]) == certificate.rounded
    assert all(certificate.rounded[choice.name] in choice.candidates for choice in reduction.space.choices)


@moderate
@given(spaces(), seeds, tolerances, st.sampled_from([0.0, 0.1, 1.0]), st.floats(0.0, 3.0))
def test_slowdowns_are_the_largest_of_all_architectures(
    space: SearchSpace, seed: int, tolerance: float, error: float, overhead: float
) -> None:
    cost = random_costs(seed)
    reduction = cut(space, GivenProfile(space, cost, error, overhead), tolerance=tolerance)
    numbers = enumerated(space)
    old, new = (latencies(reduction.model, cost, rows) for rows in (numbers, round_up(reduction, numbers)))
    check_certificate(reduction, old, new)


@moderate
@given(spaces(), seeds, st.sampled_from([0.0, 0.3]), st.floats(0.0, 1.1))
def test_under_a_bound_the_certificate_is_about_what_is_feasible(
    space: SearchSpace, seed: int, tolerance: float, share: float
) -> None:
    cost = random_costs(seed)
    profile = GivenProfile(space, cost, 0.2)
    every = latencies(profile.latency_model(space), cost, enumerated(space))
    bound = float(every.min() + share * np.ptp(every)) + 1e-9
    reduction = cut(space, profile, tolerance=tolerance, max_latency=asked_for(bound))
    numbers = feasible_numbers(reduction)
    old, new = (latencies(reduction.model, cost, rows) for rows in (numbers, round_up(reduction, numbers)))
    check_certificate(reduction, old, new)

    for position, choice in enumerate(space.choices):
        decisions = [decision for decision in reduction.decisions if decision.choice == choice.name]
        for number, decision in enumerate(decisions):
            least = every[enumerated(space)[:, position] == number].min()
            assert decision.least_ms == pytest.approx(least, abs=1e-12)
            assert (decision.verdict == "too slow") == (least > bound)


@moderate
@given(spaces(), seeds, tolerances, st.sampled_from([None, 0.5]))
def test_sizes_agree_with_the_spaces_and_the_decisions(
    space: SearchSpace, seed: int, tolerance: float, share: float | None
) -> None:
    profile = GivenProfile(space, random_costs(seed))
    model = profile.latency_model(space)
    bound = None if share is None else model.fastest()[0] * (1 - share) + model.slowest()[0] * share
    reduction = cut(space, profile, tolerance=tolerance, max_latency=None if bound is None else asked_for(bound))
    assert reduction.certificate.full_size == space.size
    assert reduction.certificate.reduced_size == reduction.space.size
    kept = [(decision.choice, decision.candidate) for decision in reduction.decisions if decision.verdict == "kept"]
    assert kept == [(choice.name, candidate) for choice in reduction.space.choices for candidate in choice.candidates]
    assert len(reduction.decisions) == sum(space.lengths)
    dropped = {(d.choice, d.candidate, d.dominator) for d in reduction.decisions if d.verdict == "dominated"}
    assert dropped == {(name, *pair) for name, pairs in reduction.certificate.round_up.items() for pair in pairs}


@settings(deadline=None, max_examples=25)
@given(spaces(), seeds, tolerances)
def test_a_saved_reduction_loads_again(
    tmp_path_factory: pytest.TempPathFactory, space: SearchSpace, seed: int, tolerance: float
) -> None:
    folder = tmp_path_factory.mktemp("reduction")
    reduction = cut(space, GivenProfile(space, random_costs(seed), 0.1), tolerance=tolerance)
    written = reduction.save(folder)
    assert written == sorted(folder.iterdir())
    full, reduced, profile, certificate = load_reduction(folder)
    assert full.choices == reduction.full.choices == space.choices
    assert reduced.choices == reduction.space.choices
    assert certificate == reduction.certificate
    assert profile.platform == reduction.profile.platform
    with (folder / "decisions.csv").open() as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == [d.verdict for d in reduction.decisions]
    assert json.loads((folder / "certificate.json").read_text())["full_size"] == str(space.size)


def widths(candidates: list[int], **more: object) -> SearchSpace:
    choices = {"width": {"candidates": candidates, "order": "larger"}}
    return space_of(choices, [{"conv2d": {"out_channels": "width", "kernel": 1, **more}}])


def test_what_takes_no_time_has_no_largest_ratio(tmp_path: Path) -> None:
    profile = GivenProfile(widths([1, 2]), lambda operator: operator.out_channels - 1.0, 1.0, overhead=0.0)
    reduction = cut(widths([1, 2]), profile, tolerance=0.0)
    assert reduction.certificate.slowdown == float("inf")
    assert reduction.certificate.slowdown_ms == 1.0
    assert reduction.certificate.as_json()["slowdown"] is None
    reduction.save(tmp_path)
    json.loads((tmp_path / "certificate.json").read_text(), parse_constant=pytest.fail)
    assert load_reduction(tmp_path)[3] == reduction.certificate


def test_nothing_at_all_takes_any_time() -> None:
    reduction = cut(widths([1, 2]), GivenProfile(widths([1, 2]), lambda _: 0.0, overhead=0.0), tolerance=0.0)
    assert (reduction.certificate.slowdown, reduction.certificate.slowdown_ms) == (0.0, 0.0)
    assert reduction.space.choices[0].candidates == (2,)


def test_a_bound_at_the_fastest_leaves_the_fastest() -> None:
    space = space_of(
        {f"c{number}": {"candidates": [1, 2, 3], "order": "larger"} for number in range(8)},
        [{"conv2d": {"out_channels": f"c{number}", "kernel": 1}} for number in range(8)],
    )
    for seed in range(10):
        profile = GivenProfile(space, random_costs(seed))
        fastest, architecture = profile.latency_model(space).fastest()
        reduced = cut(space, profile, tolerance=0.0, max_latency=asked_for(fastest)).space
        assert all(architecture[choice.name] in choice.candidates for choice in reduced.choices)


@pytest.mark.parametrize("choices", [{}, {"c": {"candidates": [1, 2]}}])
def test_a_bound_below_the_fastest_is_refused(choices: dict[str, object]) -> None:
    space = space_of(choices, [{"linear": {"out_channels": 3}}])
    profile = GivenProfile(space, lambda _: 1.0)
    message = r"no architecture of small surely takes at most 1.25 ms; the fastest is predicted to take 1.25 ms"
    with pytest.raises(InputError, match=message):
        cut(space, profile, max_latency=1.25)
    assert cut(space, profile, max_latency=asked_for(1.25)).space.size == space.size


@pytest.mark.parametrize("tolerance", [-0.1, float("inf"), float("nan")])
def test_a_tolerance_that_is_no_share_is_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance must be a share"):
        cut(widths([1]), GivenProfile(widths([1]), lambda _: 1.0), tolerance=tolerance)


def test_a_target_size_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="target size must be at least 1, not 0"):
        cut(widths([1]), GivenProfile(widths([1]), lambda _: 1.0), target_size=0)


def test_a_directory_that_holds_no_reduction_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"space.yaml is missing"):
        load_reduction(tmp_path)
    cut(widths([1]), GivenProfile(widths([1]), lambda _: 1.0)).save(tmp_path)
    for broken in ("", "[]", "{}", '{"round_up": 3}'):
        (tmp_path / "certificate.json").write_text(broken)
        with pytest.raises(InputError, match="no certificate"):
            load_reduction(tmp_path)


def test_an_unknown_model_error_stays_unknown() -> None:
    certificate = Certificate("p", 2, 1, 0.0, 0.0, {}, {}, float("nan"), {})
    assert certificate.as_json()["model_error"] is None
    assert np.isnan(Certificate.from_json(certificate.as_json()).model_error)
