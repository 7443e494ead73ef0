"""The rule of the cut against enumeration of every context."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import (
    Cost,
    GivenProfile,
    asked_for,
    contexts,
    enumerated,
    latencies,
    model_of,
    random_costs,
    round_up,
    space_of,
    spaces,
)

from spacecut.cut import Decision, cut
from spacecut.cut.dominance import SIGMAS, compare, dominated
from spacecut.operators import Operator
from spacecut.space import SearchSpace

moderate = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 1000)
tolerances = st.sampled_from([0.0, 0.02, 0.3, 2.0])


def slowdowns(space: SearchSpace, cost: Cost, position: int) -> np.ndarray:
    """What replacing candidate ``i`` by ``j`` costs in each context: ``[i, j, contexts]``."""
    rows = contexts(space, position)
    model = model_of(space, cost)
    columns = []
    for number in range(space.lengths[position]):
        rows[:, position] = number
        columns.append(latencies(model, cost, rows))
    table = np.stack(columns)
    return np.asarray(table[None, :] - table[:, None])


def of_choice(decisions: tuple[Decision, ...], name: str) -> list[Decision]:
    return [decision for decision in decisions if decision.choice == name]


@moderate
@given(spaces(), seeds, tolerances, st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([None, 0.3, 0.8]))
def test_a_dominator_is_kept_and_at_least_as_good(
    space: SearchSpace, seed: int, tolerance: float, error: float, share: float | None
) -> None:
    profile = GivenProfile(space, random_costs(seed, whole=True), error)
    model = profile.latency_model(space)
    bound = None if share is None else model.fastest()[0] * (1 - share) + model.slowest()[0] * share
    reduction = cut(space, profile, tolerance=tolerance, max_latency=None if bound is None else asked_for(bound))
    for choice in space.choices:
        decisions = {decision.candidate: decision for decision in of_choice(reduction.decisions, choice.name)}
        assert list(decisions) == list(choice.candidates)
        assert any(decision.verdict == "kept" for decision in decisions.values())
        for decision in decisions.values():
            assert (decision.verdict == "dominated") == (decision.dominator is not None)
            if decision.dominator is not None:
                assert decisions[decision.dominator].verdict == "kept"
                places = choice.index(decision.candidate), choice.index(decision.dominator)
                assert choice.not_worse()[places]


@moderate
@given(spaces(), seeds, st.booleans())
def test_without_noise_and_tolerance_no_architecture_is_slowed(space: SearchSpace, seed: int, whole: bool) -> None:
    cost = random_costs(seed, whole)
    reduction = cut(space, GivenProfile(space, cost), tolerance=0.0)
    numbers = enumerated(space)
    old, new = (latencies(reduction.model, cost, rows) for rows in (numbers, round_up(reduction, numbers)))
    assert (new <= old + 1e-12).all()
    assert reduction.certificate.slowdown <= 1e-12


@moderate
@given(spaces(), seeds)
def test_what_is_strictly_faster_in_one_context_is_not_dropped(space: SearchSpace, seed: int) -> None:
    cost = random_costs(seed, whole=True)
    reduction = cut(space, GivenProfile(space, cost), tolerance=0.0)
    for position, choice in enumerate(space.choices):
        slower = (slowdowns(space, cost, position) > 1e-9).any(axis=2)
        better = choice.not_worse() & ~np.eye(len(choice), dtype=bool)
        for number, decision in enumerate(of_choice(reduction.decisions, choice.name)):
            if slower[number, better[number]].all():
                assert decision.verdict == "kept"


@moderate
@given(spaces(kinds="wwww"), seeds)
def test_what_a_kept_better_one_never_slows_is_dropped(space: SearchSpace, seed: int) -> None:
    cost = random_costs(seed, whole=True)
    chains = [factor.scope for factor in model_of(space, cost).workload.factors]
    reduction = cut(space, GivenProfile(space, cost), tolerance=0.0)
    for position, choice in enumerate(space.choices):
        neighbours = [{*scope} - {position} for scope in set(chains) if position in scope]
        if sum(map(len, neighbours)) != len(set().union(*neighbours)):
            continue  # the worst contexts of two layers may exclude each other, and the rule errs on the safe side
        never = (slowdowns(space, cost, position) <= 1e-9).all(axis=2)
        decisions = of_choice(reduction.decisions, choice.name)
        kept = np.asarray([decision.verdict == "kept" for decision in decisions])
        better = choice.not_worse() & kept & ~np.eye(len(choice), dtype=bool)
        for number, decision in enumerate(decisions):
            assert (decision.verdict == "dominated") == bool((never & better)[number].any())


@moderate
@given(spaces(), seeds)
def test_figures_are_those_of_the_contexts(space: SearchSpace, seed: int) -> None:
    cost = random_costs(seed)
    for position in range(len(space.choices)):
        comparison = compare(model_of(space, cost, overhead=3.0), position)
        table = slowdowns(space, cost, position)
        np.testing.assert_allclose(comparison.mean, table.mean(axis=2), atol=1e-12)
        assert (comparison.worst >= table.max(axis=2) - 1e-12).all()
        np.testing.assert_allclose(comparison.own[None, :] - comparison.own[:, None], comparison.mean, atol=1e-12)
        assert (comparison.mean_noise == 0).all()


@moderate
@given(spaces(), seeds, st.sampled_from([0.0, 0.2]))
def test_a_higher_tolerance_or_noise_allows_no_less(space: SearchSpace, seed: int, error: float) -> None:
    for position in range(len(space.choices)):
        exact, doubtful = (compare(model_of(space, random_costs(seed), e), position) for e in (error, error + 0.1))
        for low, high in ((0.0, 0.02), (0.02, 0.5)):
            assert (exact.not_slower(low) <= exact.not_slower(high)).all()
            assert (exact.not_slower(low) <= doubtful.not_slower(low)).all()


def one_choice(candidates: list[Any], order: Any, key: str = "out_channels") -> SearchSpace:
    return space_of({"c": {"candidates": candidates, "order": order}}, [{"conv2d": {"kernel": 1, key: "c"}}])


def by_width(**costs: float) -> Cost:
    """Costs of widths: ``w8=0.5``."""

    def cost(operator: Operator) -> float:
        return costs[f"w{operator.out_channels}"]

    return cost


def kept_of(space: SearchSpace, cost: Cost, tolerance: float = 0.0, error: float = 0.0) -> list[Any]:
    return list(cut(space, GivenProfile(space, cost, error), tolerance=tolerance).space.choices[0].candidates)


def test_unordered_candidates_never_dominate_one_another() -> None:
    costs = by_width(w1=5.0, w2=1.0, w3=3.0)
    assert kept_of(one_choice([1, 2, 3], "none"), costs, tolerance=100.0, error=1.0) == [1, 2, 3]
    assert kept_of(one_choice([1, 2, 3], [[1, 2]]), costs) == [2, 3]
    assert kept_of(one_choice([1, 2, 3], [[1, 2], [1, 3]]), by_width(w1=5.0, w2=9.0, w3=3.0)) == [2, 3]
    assert kept_of(one_choice([1, 2, 3], [[1, 2], [2, 3]]), by_width(w1=3.0, w2=9.0, w3=3.0)) == [3]


def test_of_equally_good_candidates_the_fastest_stays() -> None:
    for candidates in ([1, 2, 3], [3, 2, 1], [2, 3, 1]):
        space = one_choice(candidates, [[1, 2, 3, 1]])
        assert kept_of(space, by_width(w1=3.0, w2=2.0, w3=4.0)) == [2]
        assert len(kept_of(space, by_width(w1=3.0, w2=3.0, w3=3.0))) == 1


def test_an_irregular_step_is_seen() -> None:
    """17 to 31 channels are slower than 32, and 33 as slow as 64: as in the facts about LiteRT."""
    costs = by_width(w8=180.0, w16=180.0, w24=352.0, w32=246.0, w48=476.0, w64=476.0)
    assert kept_of(one_choice([8, 16, 24, 32, 48, 64], "larger"), costs) == [16, 32, 64]


def test_a_tolerance_is_a_share_of_the_layers_touched() -> None:
    space = one_choice([1, 2], "larger")
    costs = by_width(w1=1.0, w2=1.03)
    assert kept_of(space, costs, tolerance=0.02) == [1, 2]
    assert kept_of(space, costs, tolerance=0.04) == [2]


@pytest.mark.parametrize(("factor", "kept"), [(0.9, [2]), (1.1, [1, 2])])
def test_a_difference_within_the_noise_is_none(factor: float, kept: list[int]) -> None:
    noise = 0.01 * np.sqrt(2)
    assert kept_of(one_choice([1, 2], "larger"), by_width(w1=1.0, w2=1 + factor * SIGMAS * noise), error=0.01) == kept


def test_dominance_is_not_passed_on() -> None:
    """Each step is within the tolerance and two steps are not: the middle goes up, the lowest has to stay."""
    space = one_choice([1, 2, 3], "larger")
    comparison = compare(model_of(space, by_width(w1=1.0, w2=1.015, w3=1.03)), 0)
    drops = dominated([comparison], space.choices[0].not_worse(), 0.02)
    assert [(drop.candidate, drop.dominator) for drop in drops] == [(1, 2)]


def test_a_choice_that_changes_nothing_keeps_its_best() -> None:
    network = [{"linear": {"out_channels": 3}}]
    space = space_of({"idle": {"candidates": [3, 1, 2], "order": "larger"}, "free": {"candidates": [1, 2]}}, network)
    reduced = cut(space, GivenProfile(space, lambda _: 1.0), tolerance=0.0).space
    assert [choice.candidates for choice in reduced.choices] == [(3,), (1, 2)]


def test_a_decision_says_what_the_candidates_differ_in() -> None:
    space = space_of(
        {
            "width": {"candidates": [4, 8], "order": "larger"},
            "kernel": {"candidates": [3, 5], "order": "larger"},
            "word": {"candidates": ["relu", "hardswish"], "order": [["relu", "hardswish"]]},
            "extra": {"candidates": ["no", "yes"], "order": [["no", "yes"]]},
        },
        [
            {"conv2d": {"out_channels": "width", "kernel": "kernel", "activation": "word"}},
            {"depthwise_conv2d": {"kernel": 3, "when": "extra == 'yes'"}},
        ],
    )
    reduction = cut(space, GivenProfile(space, lambda operator: float(operator.kind == "conv2d")), tolerance=10.0)
    found = {decision.choice: decision.differs_in for decision in reduction.decisions if decision.differs_in}
    assert found == {"width": "channels", "kernel": "kernels", "word": "activations", "extra": "operators"}
