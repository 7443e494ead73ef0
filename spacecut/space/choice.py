"""One decision of a search space: its candidates, their attributes and what is known about their quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spacecut.errors import InputError

__all__ = ["Candidate", "Choice"]

Candidate = int | float | str


@dataclass(frozen=True)
class Choice:
    """A choice among candidates.

    Attributes:
        name: Unique in its space.
        candidates: The values it may take, distinct.
        attributes: Named values, one for each candidate (the width in channels that an id stands for).
        order: The quality order: ``larger`` (a larger candidate is not worse), ``none``, or chains of candidates
            such as ``[["relu", "hardswish"]]``, in which each is not worse than those before it.
    """

    name: str
    candidates: tuple[Candidate, ...]
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    order: str | tuple[tuple[Candidate, ...], ...] = "none"

    def __len__(self) -> int:
        return len(self.candidates)

    def index(self, candidate: Candidate) -> int:
        """Position of a candidate.

        Raises:
            InputError: There is no such candidate.
        """
        try:
            return self.candidates.index(candidate)
        except ValueError:
            raise InputError(
                f"choice {self.name!r} has no candidate {candidate!r}; it has {_list(self.candidates)}"
            ) from None

    def not_worse(self) -> np.ndarray:
        """Boolean array ``[i, j]``: whether candidate ``j`` is known to be at least as good as candidate ``i``."""
        if self.order == "larger":
            values = np.asarray(self.candidates)
            return values[None, :] >= values[:, None]
        result = np.eye(len(self), dtype=bool)
        if self.order != "none":
            for chain in self.order:
                places = [self.index(candidate) for candidate in chain]
                for position, place in enumerate(places):
                    result[place, places[position:]] = True
            for middle in range(len(self)):  # transitive closure over the chains
                result |= result[:, middle, None] & result[None, middle, :]
        return result

    def order_among(self, kept: Sequence[int]) -> str | tuple[tuple[Candidate, ...], ...]:
        """The quality order of some of the candidates, given by their positions; what others implied stays."""
        if isinstance(self.order, str):
            return self.order
        left = tuple(self.candidates[position] for position in kept)
        chains = [tuple(candidate for candidate in chain if candidate in left) for chain in self.order]
        chains = [chain for chain in chains if len(chain) > 1]
        known = self.not_worse()[np.ix_(kept, kept)]
        lost = known & ~Choice(self.name, left, order=tuple(chains)).not_worse()
        chains += [(left[i], left[j]) for i, j in np.argwhere(lost)]
        return tuple(chains) or "none"

    def describe(self, index: int) -> str:
        """A candidate with its attributes, for a person: ``17 (width 389)``."""
        shown = ", ".join(f"{name} {values[index]}" for name, values in self.attributes.items())
        return f"{self.candidates[index]} ({shown})" if shown else str(self.candidates[index])


def _list(values: Sequence[Candidate], most: int = 8) -> str:
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown}, ... {values[-1]}"
