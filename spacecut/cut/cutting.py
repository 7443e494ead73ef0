"""From a space and what was measured of it to a reduction: the decisions, the smaller space, the certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from spacecut.cut.certificate import certify
from spacecut.cut.differences import differences
from spacecut.cut.dominance import Drop, rounded_up
from spacecut.cut.reduction import (
    AGAINST_A_RULE,
    DOMINATED,
    KEPT,
    OFF_THE_FRONT,
    TOO_SLOW,
    Decision,
    Outcome,
    Reduction,
)
from spacecut.cut.rules import Rule, RuleBook
from spacecut.cut.selection import Question, by_dominance, by_rules, inflations, jointly
from spacecut.errors import InputError
from spacecut.latency import AnyProfile
from spacecut.quality import QualityTable
from spacecut.space import SearchSpace

__all__ = ["TOLERANCE", "cut"]

TOLERANCE = 0.02
"""What a better candidate may cost more of the layers it touches, unless another tolerance is asked for."""


def cut(
    space: SearchSpace,
    profile: AnyProfile | Sequence[AnyProfile],
    *,
    tolerance: float = TOLERANCE,
    target_size: int | None = None,
    max_latency: float | Sequence[float | None] | None = None,
    quality: QualityTable | None = None,
    rules: RuleBook | None = None,
) -> Reduction:
    """Cut a search space by what was measured.

    With a tolerance, each candidate falls that a better one dominates. With a target size, candidates are chosen
    jointly over all choices, so that the fronts of many quality functions move least. For several platforms, one
    space is left: a candidate is dominated where it is on every one of them.

    Args:
        space: The space.
        profile: Measurements of its operators, or a platform recorded on it; one, or one for each platform.
        tolerance: Share of the touched layers' latency that a better candidate may cost more; 0: only within noise.
        target_size: Instead, leave at most so many architectures.
        max_latency: Also drop candidates that no architecture within so many ms contains. Predictions must stay below
            it by the model's error, so that what is promised holds in the world. One for all platforms or one for
            each.
        quality: What was measured of accuracy: it extends the orders that dominance needs, and takes the place of
            random quality functions.
        rules: What a behaviour study found on these platforms. A candidate that they speak against on every platform
            falls; where one is to cost as much as a better one, it falls unless that is slower on average here.

    Raises:
        InputError: A bad argument, a platform that was not studied, an operator that was not measured, a bound that
            nothing meets, or a size that cannot be reached.
    """
    profiles = list(profile) if isinstance(profile, Sequence) else [profile]
    if not 0 <= tolerance < float("inf"):
        raise InputError(f"the tolerance must be a share such as 0.02, not {tolerance}")
    if target_size is not None and target_size < 1:
        raise InputError(f"the target size must be at least 1, not {target_size}")
    if not profiles:
        raise InputError("give the profile of at least one platform")
    bounds = list(max_latency) if isinstance(max_latency, Sequence) else [max_latency] * len(profiles)
    if len(bounds) != len(profiles):
        raise InputError(f"{len(bounds)} latency bounds for {len(profiles)} platforms; give one, or one for each")
    full = space if quality is None else quality.refined()
    if full.document.choices.keys() != space.document.choices.keys() or full.lengths != space.lengths:
        raise InputError(f"the quality table is of {full.name}, not of {space.name}")
    found = [] if rules is None else [rules.of(_name(one)) for one in profiles]
    question = Question.of([one.latency_model(full) for one in profiles], bounds, quality, found)
    ruled = by_rules(question)
    left = question.without([list(cited) for cited in ruled])
    fallen = by_dominance(left, tolerance) if target_size is None else jointly(left, target_size)
    for position, cited in enumerate(ruled):
        fallen[position] += _against_rules(question, position, list(cited), left, fallen[position])
    maps = [np.arange(length) for length in full.lengths]
    for rounded, drops in zip(maps, fallen, strict=True):
        for drop in drops:
            rounded[drop.candidate] = -1 if drop.dominator is None else drop.dominator
    covered, kept = [], []
    for possible, rounded in zip(question.feasible, maps, strict=True):
        covered.append(np.flatnonzero(possible & (rounded >= 0)))
        kept.append(np.flatnonzero(possible & (rounded == np.arange(len(rounded)))))
    inflated = [None] * len(profiles) if target_size is None else inflations(left, kept)
    why = DOMINATED if target_size is None else OFF_THE_FRONT
    chosen = _Chosen(question, fallen, ruled, why)
    outcomes = [
        Outcome(
            one,
            platform.model,
            bound,
            tuple(_decisions(chosen, number, str(one.platform))),
            certify(platform.model, maps, covered, str(one.platform), platform.band()),
            inflation,
        )
        for number, (one, platform, bound, inflation) in enumerate(
            zip(profiles, question.platforms, bounds, inflated, strict=True)
        )
    ]
    candidates = {
        choice.name: [choice.candidates[n] for n in numbers] for choice, numbers in zip(full.choices, kept, strict=True)
    }
    return Reduction(
        full, full.restrict(candidates), tuple(outcomes), tolerance if target_size is None else None, target_size
    )


def _name(profile: AnyProfile) -> str:
    """The platform as it was asked for."""
    platform = profile.platform
    return platform if isinstance(platform, str) else platform.name


def _against_rules(
    question: Question, position: int, ruled: Sequence[int], left: Question, drops: Sequence[Drop]
) -> list[Drop]:
    """What rules drop of a choice, with the better candidate that takes the place where one is kept."""
    kept = np.setdiff1d(np.flatnonzero(left.feasible[position]), [drop.candidate for drop in drops])
    start = np.union1d(kept, np.asarray(ruled, dtype=np.int64))
    return rounded_up(question.comparisons(position), question.orders[position], start, kept)


@dataclass(frozen=True)
class _Chosen:
    """What falls, why, and by which rules on each platform."""

    question: Question
    fallen: Sequence[Sequence[Drop]]
    ruled: Sequence[Mapping[int, Sequence[Rule]]]
    why: str

    @cached_property
    def _level(self) -> list[list[tuple[np.ndarray, list[Rule]]]]:
        return [self.question.level(position) for position in range(len(self.fallen))]

    def rule(self, platform: int, position: int, candidate: int, dominator: int | None) -> str:
        """The rule that a candidate falls by, or that says the same as the measurement; empty where none does."""
        if cited := self.ruled[position].get(candidate):
            return str(cited[platform])
        if dominator is None or self.why != DOMINATED or not self.question.rules:
            return ""
        numbers, rules = self._level[position][platform]
        number = numbers[candidate, dominator]
        return str(rules[number]) if number >= 0 else ""


def _decisions(chosen: _Chosen, number: int, name: str) -> list[Decision]:
    """What became of each candidate, with the numbers of one of the platforms."""
    decisions = []
    question, platform = chosen.question, chosen.question.platforms[number]
    for position, choice in enumerate(question.space.choices):
        comparison, differ = platform.comparisons[position], differences(platform.model.workload, position)
        dominators = {drop.candidate: drop.dominator for drop in chosen.fallen[position]}
        for place, candidate in enumerate(choice.candidates):
            if place in chosen.ruled[position]:
                verdict = AGAINST_A_RULE
            elif place in dominators:
                verdict = chosen.why
            else:
                verdict = KEPT if question.feasible[position][place] else TOO_SLOW
            other = dominators.get(place)
            decision = Decision(
                choice.name,
                candidate,
                choice.describe(place),
                verdict,
                latency_ms=float(comparison.own[place]),
                least_ms=float(platform.least[position][place]),
                platform=name,
                rule=chosen.rule(number, position, place, other) if verdict != KEPT else "",
            )
            if other is not None:
                decision = replace(
                    decision,
                    dominator=choice.candidates[other],
                    slowdown_ms=float(comparison.mean[place, other]),
                    noise_ms=float(comparison.mean_noise[place, other]),
                    worst_ms=float(comparison.worst[place, other]),
                    differs_in=str(differ[place, other]),
                )
            decisions.append(decision)
    return decisions
