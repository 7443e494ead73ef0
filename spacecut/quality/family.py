"""Random monotone quality functions: what accuracy might be, for all that the quality order says.

A quality function gives every candidate of every choice a worth; an architecture's quality is their sum. The order
of a choice is respected (a better candidate is worth no less), and nothing else is known: weights of the choices and
shapes over the candidates are drawn. Worths are whole numbers, so that equal quality is a clear notion and dynamic
programs over quality are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spacecut.errors import InputError
from spacecut.space import Choice, SearchSpace
from spacecut.space.table import Table

__all__ = ["LEVELS", "Quality", "levelled", "quality_family"]

LEVELS = 4096
"""Quality of the best architecture; the worst has 0."""
_WEIGHT_SPREAD = 0.75  # standard deviation of a choice's log weight
_BEND = (0.25, 1.5)  # range of the power of the position along the order: steeply diminishing gains to growing ones
_GAP_SHAPE = 2.0  # of the gamma distribution of the gaps along an order that has no numbers


@dataclass(frozen=True)
class Quality:
    """A quality function: a sum over the choices that have an effect.

    Attributes:
        worth: For each choice, the worth of each candidate; whole numbers, not below 0.
        idle: For each choice, what stands in its place in architectures in which it has no effect.
    """

    worth: tuple[np.ndarray, ...]
    idle: tuple[int, ...]

    @cached_property
    def entries(self) -> tuple[np.ndarray, ...]:
        """For each choice, the worth of each candidate and, last, of having no effect."""
        return tuple(np.append(values, idle) for values, idle in zip(self.worth, self.idle, strict=True))

    @property
    def best(self) -> int:
        """What no architecture's quality exceeds."""
        return sum(int(values.max()) for values in self.entries)

    def over(self, kept: Sequence[np.ndarray]) -> Quality:
        """The same over some of the candidates, given by their numbers for every choice."""
        return Quality(tuple(values[numbers] for values, numbers in zip(self.worth, kept, strict=True)), self.idle)

    def of(self, numbers: np.ndarray, effects: Sequence[Table]) -> np.ndarray:
        """Quality of architectures.

        Args:
            numbers: Candidate numbers, ``[architectures, choices]``.
            effects: For each choice, whether it has an effect (:attr:`spacecut.operators.Workload.effects`).
        """
        total = np.zeros(len(numbers), dtype=np.int64)
        for position, (values, idle, effect) in enumerate(zip(self.worth, self.idle, effects, strict=True)):
            total += np.where(effect.at(numbers.T), values[numbers[:, position]], idle)
        return total


def quality_family(space: SearchSpace, count: int, seed: int = 0, levels: int = LEVELS) -> list[Quality]:
    """Draw quality functions.

    Along a choice whose larger candidates are better, worth is a power of the candidate (0 for the least, 1 for the
    largest), mostly with diminishing gains, as accuracy is seen to grow with width. Under any other order the position
    is drawn too: each candidate adds a gamma-distributed gap to all that are at least as good. The choices' weights
    are log-normal. A choice without effect is worth as much as its least candidate where larger ones are better; under
    any other order it stands like a candidate that nothing is known of.

    Args:
        space: Its choices and their orders.
        count: How many functions.
        seed: Of the draw.
        levels: The best architecture's quality, up to rounding.

    Raises:
        InputError: ``count`` or ``levels`` is below 1.
    """
    if count < 1 or levels < 1:
        raise InputError(f"a quality family needs at least one function and one level, not {count=} and {levels=}")
    generator = np.random.default_rng(seed)
    return [_draw(space.choices, generator, levels) for _ in range(count)]


def _draw(choices: Sequence[Choice], generator: np.random.Generator, levels: int) -> Quality:
    worth = []
    for choice in choices:
        place = _place(choice, generator)
        weight = np.exp(_WEIGHT_SPREAD * generator.standard_normal())
        worth.append(weight * place ** np.exp(generator.uniform(*np.log(_BEND))))
    return levelled(worth, levels)


def levelled(worth: Sequence[np.ndarray], levels: int) -> Quality:
    """Worths of candidates and, last, of having no effect, as whole numbers from 0 to ``levels`` in all."""
    above = [values - values.min() for values in worth]
    total = sum(float(values.max()) for values in above)
    unit = levels / total if total > 0 else 0.0
    whole = tuple(np.rint(values * unit).astype(np.int64) for values in above)
    return Quality(tuple(values[:-1] for values in whole), tuple(int(values[-1]) for values in whole))


def _place(choice: Choice, generator: np.random.Generator) -> np.ndarray:
    """Where each candidate and, last, having no effect stand between the worst (0) and the best (1)."""
    if choice.order == "larger":
        place = np.append(choice.candidates, min(choice.candidates)).astype(float)
    else:
        gaps = generator.gamma(_GAP_SHAPE, size=len(choice) + 1)
        place = np.append(gaps[:-1] @ choice.not_worse(), gaps[-1])
    place = place - place.min()
    return np.asarray(place / max(place.max(), np.finfo(float).tiny))
