"""From a space and what was measured of it to a reduction: the decisions, the smaller space, the certificates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spacecut.cut.certificate import certify
from spacecut.cut.differences import differences
from spacecut.cut.dominance import Drop
from spacecut.cut.reduction import DOMINATED, KEPT, OFF_THE_FRONT, TOO_SLOW, Decision, Outcome, Reduction
from spacecut.cut.selection import OnPlatform, Question, by_dominance, inflations, jointly
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

    Raises:
        InputError: A bad argument, an operator that was not measured, a bound that nothing meets, or a size that
            cannot be reached.
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
    question = Question.of([one.latency_model(full) for one in profiles], bounds, quality)
    fallen = by_dominance(question, tolerance) if target_size is None else jointly(question, target_size)
    maps = [np.arange(length) for length in full.lengths]
    for rounded, drops in zip(maps, fallen, strict=True):
        for drop in drops:
            rounded[drop.candidate] = -1 if drop.dominator is None else drop.dominator
    covered, kept = [], []
    for possible, rounded in zip(question.feasible, maps, strict=True):
        covered.append(np.flatnonzero(possible & (rounded >= 0)))
        kept.append(np.flatnonzero(possible & (rounded == np.arange(len(rounded)))))
    inflated = [None] * len(profiles) if target_size is None else inflations(question, kept)
    why = DOMINATED if target_size is None else OFF_THE_FRONT
    outcomes = [
        Outcome(
            one,
            platform.model,
            bound,
            tuple(_decisions(question, platform, str(one.platform), fallen, why)),
            certify(platform.model, maps, covered, str(one.platform), platform.band()),
            inflation,
        )
        for one, platform, bound, inflation in zip(profiles, question.platforms, bounds, inflated, strict=True)
    ]
    left = {
        choice.name: [choice.candidates[n] for n in numbers] for choice, numbers in zip(full.choices, kept, strict=True)
    }
    return Reduction(
        full, full.restrict(left), tuple(outcomes), tolerance if target_size is None else None, target_size
    )


def _decisions(
    question: Question, platform: OnPlatform, name: str, fallen: Sequence[Sequence[Drop]], why: str
) -> list[Decision]:
    """What became of each candidate; ``why`` is the verdict on those in ``fallen``."""
    decisions = []
    for position, choice in enumerate(question.space.choices):
        comparison, differ = platform.comparisons[position], differences(platform.model.workload, position)
        dominators = {drop.candidate: drop.dominator for drop in fallen[position]}
        for number, candidate in enumerate(choice.candidates):
            verdict = why if number in dominators else KEPT if question.feasible[position][number] else TOO_SLOW
            decision = Decision(
                choice.name,
                candidate,
                choice.describe(number),
                verdict,
                latency_ms=float(comparison.own[number]),
                least_ms=float(platform.least[position][number]),
                platform=name,
            )
            if (other := dominators.get(number)) is not None:
                decision = replace(
                    decision,
                    dominator=choice.candidates[other],
                    slowdown_ms=float(comparison.mean[number, other]),
                    noise_ms=float(comparison.mean_noise[number, other]),
                    worst_ms=float(comparison.worst[number, other]),
                    differs_in=str(differ[number, other]),
                )
            decisions.append(decision)
    return decisions
