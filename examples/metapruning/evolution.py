"""Evolutionary search for widths under a bound, as MetaPruning does it (Liu et al., ICCV 2019, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

POPULATION, PARENTS = 20, 8
MUTATED = 0.1
"""Probability that a slot of a mutant is drawn anew."""
PATIENCE = 100_000
"""Draws in a row beyond the bound after which there is nothing more to find."""

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Draws:
    """The three ways in which candidates are made, each inside the allowed ids of every slot."""

    allowed: Sequence[np.ndarray]
    generator: np.random.Generator

    def sample(self) -> Ids:
        """Any architecture."""
        return tuple(int(self.generator.choice(ids)) for ids in self.allowed)

    def mutate(self, parent: Ids) -> Ids:
        """A parent with some slots drawn anew."""
        fresh = self.generator.random(len(parent)) < MUTATED
        return tuple(new if swap else old for new, old, swap in zip(self.sample(), parent, fresh, strict=True))

    def cross(self, one: Ids, other: Ids) -> Ids:
        """Each slot from one of two parents."""
        return tuple(pair[n] for pair, n in zip(zip(one, other, strict=True), self._coins(len(one)), strict=True))

    def _coins(self, count: int) -> list[int]:
        return self.generator.integers(2, size=count).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Judged:
    """An architecture that was judged, in the order in which it was."""

    ids: Ids
    accuracy: float


def evolve(draws: Draws, within: Callable[[Ids], bool], judge: Callable[[Ids], float], budget: int) -> list[Judged]:
    """Judge ``budget`` architectures within the bound, generation by generation.

    The first generation is random; of every later one half are mutants of the best, half children of two of them.
    """
    history: dict[Ids, Judged] = {}

    def fill(count: int, make: Callable[[], Ids]) -> None:
        wanted, refused = min(len(history) + count, budget), 0
        while len(history) < wanted and refused < PATIENCE:
            ids = make()
            if ids in history or not within(ids):
                refused += 1
                continue
            history[ids], refused = Judged(ids, judge(ids)), 0

    fill(POPULATION, draws.sample)
    while len(history) < budget:
        before = len(history)
        parents = sorted(history.values(), key=lambda one: -one.accuracy)[:PARENTS]

        def parent() -> Ids:
            return parents[draws.generator.integers(len(parents))].ids  # noqa: B023

        fill(POPULATION // 2, lambda: draws.mutate(parent()))
        fill(POPULATION // 2, lambda: draws.cross(parent(), parent()))
        if len(history) == before:
            break
    return list(history.values())
