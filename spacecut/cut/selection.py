"""Which candidates fall: those that no architecture within the bounds contains, then by dominance or jointly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spacecut.cut.dominance import Comparison, Drop, compare, dominated, rounded_up
from spacecut.cut.inflation import Fronts, Inflation, affordable_functions, latency_band
from spacecut.cut.joint import FUNCTIONS, SEED, Banded, drops
from spacecut.cut.listed import LISTED, listed_selection
from spacecut.cut.rules import ACCURACY, Rule, against, level
from spacecut.errors import InputError
from spacecut.latency import LatencyModel
from spacecut.latency.elimination import SUM_ERROR, min_marginals
from spacecut.quality import Quality, QualityTable, quality_family
from spacecut.space import SearchSpace

__all__ = ["JUDGED_BY", "SAFETY", "OnPlatform", "Question", "by_dominance", "inflations", "jointly"]

SAFETY = 1.645
"""Predictions stay so many of the model's relative errors below a hard bound: 19 of 20 then hold."""
JUDGED_BY = 1
"""Seed of the quality functions that a joint selection is judged by; it was not made on them."""


@dataclass(frozen=True)
class OnPlatform:
    """What one platform says.

    Attributes:
        model: Latency over the full space.
        bound: Largest predicted latency in ms that is surely within the bound asked for; infinite without one.
        least: For each choice, the least ms of any architecture with each candidate.
        comparisons: For each choice, all pairs of its candidates.
    """

    model: LatencyModel
    bound: float
    least: tuple[np.ndarray, ...]
    comparisons: tuple[Comparison, ...]

    @classmethod
    def of(cls, model: LatencyModel, max_latency: float | None) -> OnPlatform:
        """What a model says, under a hard bound in ms.

        Raises:
            InputError: Nothing meets the bound.
        """
        comparisons = tuple(compare(model, position) for position in range(len(model.space.choices)))
        bound = math.inf
        if max_latency is not None:
            bound = max_latency / (1 + SAFETY * float(np.nan_to_num(model.correction.error)))
            fastest = model.fastest()[0]
            if not fastest <= bound * (1 + SUM_ERROR):
                raise InputError(
                    f"no architecture of {model.space.name} surely takes at most {max_latency:g} ms; the fastest is "
                    f"predicted to take {fastest:.6g} ms, and {bound:.6g} ms would allow for the model's error: raise "
                    "--max-latency"
                )
        return cls(model, bound, tuple(min_marginals(model.trellis)), comparisons)

    def band(self) -> tuple[float, float]:
        """The latencies in ms that fronts are compared between."""
        return latency_band(self.model, self.bound)

    def slowest(self) -> float:
        """The latency in ms that no architecture within the bound exceeds."""
        return min(self.bound, self.model.slowest()[0])


@dataclass(frozen=True)
class Question:
    """What is to be decided on: candidates, with all that decisions on them rest on.

    Attributes:
        space: The full space.
        platforms: What each platform says.
        feasible: For each choice, whether any architecture within all bounds may have the candidate.
        orders: For each choice, its quality order among the feasible candidates, ``[i, j]``: ``j`` is not worse.
        quality: What is known of accuracy besides the order, if anything.
        rules: For each platform, what a behaviour study found there.
    """

    space: SearchSpace
    platforms: tuple[OnPlatform, ...]
    feasible: tuple[np.ndarray, ...]
    orders: tuple[np.ndarray, ...]
    quality: QualityTable | None = None
    rules: tuple[Sequence[Rule], ...] = ()

    @classmethod
    def of(
        cls,
        models: Sequence[LatencyModel],
        bounds: Sequence[float | None],
        quality: QualityTable | None = None,
        rules: Sequence[Sequence[Rule]] = (),
    ) -> Question:
        """All candidates of the models' space, but for those that hard bounds in ms rule out.

        Raises:
            InputError: Nothing meets the bounds.
        """
        space = models[0].space
        platforms = tuple(OnPlatform.of(model, bound) for model, bound in zip(models, bounds, strict=True))
        feasible = _feasible(platforms)
        orders = tuple(
            choice.not_worse() & possible[None, :] & possible[:, None]
            for choice, possible in zip(space.choices, feasible, strict=True)
        )
        return cls(space, platforms, feasible, orders, quality, tuple(rules))

    def comparisons(self, position: int) -> list[Comparison]:
        """Of all pairs of one choice's candidates, platform by platform."""
        return [platform.comparisons[position] for platform in self.platforms]

    def without(self, dropped: Sequence[Sequence[int]]) -> Question:
        """The same question about fewer candidates; ``dropped`` are numbers for each choice."""
        feasible = [possible.copy() for possible in self.feasible]
        for possible, numbers in zip(feasible, dropped, strict=True):
            possible[list(numbers)] = False
        orders = [
            order & possible[None, :] & possible[:, None] for order, possible in zip(self.orders, feasible, strict=True)
        ]
        return replace(self, feasible=tuple(feasible), orders=tuple(orders))

    def level(self, position: int) -> list[tuple[np.ndarray, list[Rule]]]:
        """For each platform, which two candidates of a choice cost the same by which of the rules."""
        return [
            level(platform.model.workload, position, rules)
            for platform, rules in zip(self.platforms, self.rules, strict=bool(self.rules))
        ]

    def family(self, count: int, seed: int) -> list[Quality]:
        """Quality functions that respect all that is known of accuracy."""
        if self.quality is not None:
            return self.quality.family(count, seed)
        return quality_family(self.space, count, seed)


def _feasible(platforms: Sequence[OnPlatform]) -> tuple[np.ndarray, ...]:
    """Whether an architecture within the bounds may have each candidate.

    For one platform this is exact. With several, what one platform rules out is taken from the others, again and again
    until nothing changes; a candidate that is left may still need architectures that no one bound rules out.

    Raises:
        InputError: Nothing is left.
    """
    limits = [platform.bound * (1 + SUM_ERROR) for platform in platforms]
    lengths = platforms[0].model.space.lengths
    kept = [np.arange(length) for length in lengths]
    least: list[Sequence[np.ndarray]] = [platform.least for platform in platforms]
    while True:
        inside = [
            np.logical_and.reduce([values[choice] <= limit for values, limit in zip(least, limits, strict=True)])
            for choice in range(len(kept))
        ]
        if not all(possible.any() for possible in inside):
            raise InputError("no architecture is within the bounds of all platforms; raise --max-latency")
        changed = not all(possible.all() for possible in inside)
        kept = [numbers[possible] for numbers, possible in zip(kept, inside, strict=True)]
        if len(platforms) == 1 or not changed:
            break
        least = [min_marginals(platform.model.trellis_over(kept)) for platform in platforms]
    return tuple(np.isin(np.arange(length), numbers) for length, numbers in zip(lengths, kept, strict=True))


def by_dominance(question: Question, tolerance: float) -> list[list[Drop]]:
    """What falls in each choice because a better candidate is not slower, but for noise and tolerance."""
    found = []
    for position, (order, possible) in enumerate(zip(question.orders, question.feasible, strict=True)):
        known = [numbers >= 0 for numbers, _ in question.level(position)]
        drops = dominated(question.comparisons(position), order, tolerance, known)
        found.append([drop for drop in drops if possible[drop.candidate]])
    return found


def by_rules(question: Question) -> list[dict[int, list[Rule]]]:
    """The candidates of each choice that rules speak against on every platform, with the rule on each of them.

    A rule about latency is followed only where a candidate that it prefers is surely faster. One candidate at least is
    left of every choice.
    """
    found: list[dict[int, list[Rule]]] = []
    for position, possible in enumerate(question.feasible):
        cited: dict[int, list[Rule]] = {}
        fallen = np.ones(len(possible), dtype=bool)
        for platform, rules in zip(question.platforms, question.rules, strict=bool(question.rules)):
            faster = platform.comparisons[position].surely_faster()
            here = np.zeros(len(possible), dtype=bool)
            for entry in against(platform.model.workload, position, rules):
                others = [other for other in entry.others if possible[other]]
                if entry.rule.finding != ACCURACY:
                    others = [other for other in others if faster[entry.candidate, other]]
                if others and not here[entry.candidate]:
                    here[entry.candidate] = True
                    cited.setdefault(entry.candidate, []).append(entry.rule)
            fallen &= here
        fallen &= possible & bool(question.rules)
        if (possible & ~fallen).any():
            found.append({int(number): cited[number] for number in np.flatnonzero(fallen)})
        else:
            found.append({})
    return found


def jointly(question: Question, target_size: int) -> list[list[Drop]]:
    """What falls in each choice so that ``target_size`` architectures are left and the fronts move least.

    Raises:
        InputError: Not even one candidate a choice is few enough, or no front lies in the band of latencies.
    """
    start = [np.flatnonzero(possible) for possible in question.feasible]
    # Where one candidate is better than all others it stays, so that everything can be rounded up.
    protected = [order[numbers].all(axis=0) for order, numbers in zip(question.orders, start, strict=True)]
    few = math.prod(map(len, start)) <= LISTED
    process = question.quality.process if few and question.quality is not None else None
    # A strict bound asks for the fastest networks, so the selection looks below the band too.
    banded = [
        Banded(one.model, (one.model.fastest()[0], one.band()[1] if process is None else one.slowest()))
        for one in question.platforms
    ]
    kept: list[np.ndarray] | None
    if process is not None:
        kept = listed_selection(banded, process, start, protected, target_size)
    else:
        path = drops(banded, question.family(FUNCTIONS, SEED), start, protected)
        kept = next((left for left in path if math.prod(map(len, left)) <= target_size), None)
    if kept is None:
        raise InputError(f"the target size {target_size} is out of reach; raise --target-size")
    return [
        rounded_up(question.comparisons(position), order, first, left)
        for position, (order, first, left) in enumerate(zip(question.orders, start, kept, strict=True))
    ]


def inflations(question: Question, kept: Sequence[np.ndarray]) -> list[Inflation]:
    """What keeping some candidates does to the fronts of other quality functions, platform by platform."""
    start = [np.flatnonzero(possible) for possible in question.feasible]
    found = []
    for platform in question.platforms:
        family = question.family(affordable_functions(platform.model.quality_trellis_over(start)), JUDGED_BY)
        found.append(Fronts(platform.model, family, platform.band(), start).inflation(kept))
    return found
