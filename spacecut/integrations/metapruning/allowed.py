"""Draws of a search that stay inside what a cut left, many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.errors import InputError
from spacecut.integrations.metapruning.config import MetaPruningConfig
from spacecut.integrations.metapruning.encoding import SCALES

__all__ = ["AllowedIds"]

_ABSENT = -1


class AllowedIds:
    """The architectures of a config, as the published search writes them.

    A candidate is an array of ids as long as the search's own (13 for MobileNetV1; 35 for MobileNetV2, whose ids are
    equal inside a stage; 20 for ResNet-50); candidates are ``[candidates, ids]``, integers.

    Args:
        config: What may be drawn.
    """

    def __init__(self, config: MetaPruningConfig) -> None:
        self.config = config
        self.length = len(config.family.candidate)
        self._slot_of = np.asarray(config.family.candidate)
        self._first_at = np.asarray([slot.at[0] for slot in config.slots])
        self._ids = [np.asarray(slot.ids) for slot in config.slots]
        self._number = np.full((len(config.slots), len(SCALES)), _ABSENT)
        for slot, ids in enumerate(self._ids):
            self._number[slot, ids] = np.arange(len(ids))
        self._tables = [
            [
                (table.slots, np.reshape(table.ms, [len(config.slots[slot].ids) for slot in table.slots]))
                for table in platform.tables
            ]
            for platform in config.platforms
        ]

    def sample(
        self, count: int, generator: np.random.Generator, between: tuple[int, int] = (0, len(SCALES))
    ) -> np.ndarray:
        """Uniform candidates.

        Args:
            count: How many.
            generator: Of the draws.
            between: Only ids in this range, end excluded, in every slot that has any there: the published search of
                ResNet-50 starts so.
        """
        drawn = []
        for ids in self._ids:
            inside = ids[(ids >= between[0]) & (ids < between[1])]
            drawn.append(generator.choice(inside if len(inside) else ids, count))
        return self._candidates(np.stack(drawn, axis=1))

    def mutate(self, parents: np.ndarray, probability: float, generator: np.random.Generator) -> np.ndarray:
        """Candidates with each slot changed with a probability, to any of the other ids that are allowed there."""
        numbers = self._numbers(parents)
        changed = generator.random(numbers.shape) < probability
        for slot, ids in enumerate(self._ids):
            if len(ids) > 1:
                step = generator.integers(1, len(ids), len(numbers))
                numbers[:, slot] = (numbers[:, slot] + step * changed[:, slot]) % len(ids)
        return self._candidates(np.stack([ids[n] for ids, n in zip(self._ids, numbers.T, strict=True)], axis=1))

    def crossover(self, ones: np.ndarray, others: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Candidates that have each slot from one of two parents, whichever with equal chances."""
        numbers = np.where(
            generator.random((len(ones), len(self._ids))) < 0.5, self._numbers(ones), self._numbers(others)
        )
        return self._candidates(np.stack([ids[n] for ids, n in zip(self._ids, numbers.T, strict=True)], axis=1))

    def contains(self, candidates: np.ndarray) -> np.ndarray:
        """Whether each candidate has only allowed ids, equal ones where they are tied: ``[candidates]``."""
        ids = np.asarray(candidates)
        known = (ids >= 0) & (ids < len(SCALES)) & (ids == ids.astype(int))
        clipped = np.clip(ids, 0, len(SCALES) - 1).astype(int)
        inside = known & (self._number[self._slot_of, clipped] != _ABSENT)
        tied = ids == ids[:, self._first_at][:, self._slot_of]
        return np.asarray((inside & tied).all(axis=1))

    def latency_ms(self, candidates: np.ndarray, platform: int = 0) -> np.ndarray:
        """Predicted ms, ``[candidates]``, on one of the config's platforms, by its number.

        Raises:
            InputError: A candidate is outside what is allowed.
        """
        numbers = self._numbers(candidates)
        total = np.zeros(len(numbers))
        for slots, values in self._tables[platform]:
            total += values[tuple(numbers[:, slot] for slot in slots)]
        return total

    def nearby(self, drawn: Sequence[int], slots: Sequence[int | None]) -> list[int]:
        """Ids drawn from all 31, each taken to the allowed one of its slot at the same share of the way.

        What is drawn evenly so stays even, up to one part in 31. Ids without a slot stay as they are.
        """
        return [
            int(one) if slot is None else int(self._ids[slot][int(one) * len(self._ids[slot]) // len(SCALES)])
            for one, slot in zip(drawn, slots, strict=True)
        ]

    def _candidates(self, by_slot: np.ndarray) -> np.ndarray:
        return by_slot[:, self._slot_of]

    def _numbers(self, candidates: np.ndarray) -> np.ndarray:
        """Which of each slot's ids candidates have: ``[candidates, slots]``."""
        ids = np.atleast_2d(candidates)
        outside = np.flatnonzero(~self.contains(ids))
        if len(outside):
            raise InputError(f"{ids[outside[0]].tolist()} is not among the architectures that the cut left")
        by_slot = ids[:, self._first_at].astype(int)
        return np.asarray(self._number[np.arange(len(self._ids)), by_slot])
