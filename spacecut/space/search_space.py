"""A search space: its choices, and the network template that they parametrise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.space.choice import Candidate, Choice
from spacecut.space.document import SpaceDocument
from spacecut.space.walk import Layer, choice_attributes, walk

__all__ = ["Architecture", "SearchSpace"]

Architecture = Mapping[str, Any]
"""Choice name to candidate; for many architectures at once, choice name to array of candidates."""


class SearchSpace:
    """What may be chosen, and the network that comes of it.

    Args:
        document: The checked content of a space file.

    Attributes:
        choices: The choices in order.

    Raises:
        InputError: The network template does not hold together.
    """

    def __init__(self, document: SpaceDocument) -> None:
        self.document = document
        self.choices = tuple(_choice(name, document) for name in document.choices)
        self.layers: list[Layer] = walk(document, self.choices)

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def size(self) -> int:
        """The number of architectures, exact."""
        return math.prod(self.lengths)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """How many candidates each choice has."""
        return tuple(len(choice) for choice in self.choices)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Position of each choice by its name."""
        return {choice.name: position for position, choice in enumerate(self.choices)}

    def __repr__(self) -> str:
        return f"SearchSpace({self.name!r}, {len(self.choices)} choices, {self.size:.3g} architectures)"

    def choice(self, name: str) -> Choice:
        """A choice by its name.

        Raises:
            InputError: There is no such choice.
        """
        if name not in self.positions:
            known = ", ".join(self.positions) or "none"
            raise InputError(f"{self.name}: unknown choice {name!r} (known: {known})")
        return self.choices[self.positions[name]]

    def restrict(self, kept: Mapping[str, Sequence[Candidate]]) -> SearchSpace:
        """The space with only the ``kept`` candidates of the choices named; the others keep all.

        Raises:
            InputError: An unknown choice or candidate, or nothing kept of a choice.
        """
        choices = dict(self.document.choices)
        for name, candidates in kept.items():
            choice = self.choice(name)
            wanted = sorted({choice.index(candidate) for candidate in candidates})
            if not wanted:
                raise InputError(f"{self.name}: choice {name!r} must keep at least one candidate")
            old = choices[name]
            values: Any = [choice.candidates[index] for index in wanted]
            if isinstance(old.candidates, dict):
                values = {value: old.candidates[value] for value in values}
            choices[name] = old.model_copy(update={"candidates": values})
        return SearchSpace(self.document.model_copy(update={"choices": choices}))

    def renamed(self, name: str) -> SearchSpace:
        """The same space under another name."""
        return SearchSpace(self.document.model_copy(update={"name": name}))

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Candidate numbers of uniformly drawn architectures, shape ``[count, choices]``."""
        generator = np.random.default_rng(seed)
        return generator.integers(0, self.lengths or (1,), size=(count, len(self.lengths) or 1))[:, : len(self.lengths)]

    def encode(self, architectures: Architecture) -> np.ndarray:
        """Candidate numbers, shape ``[architectures, choices]``, of a mapping choice name to candidate(s).

        Raises:
            InputError: A choice is missing or unknown, or a candidate does not exist.
        """
        for name in architectures:
            self.choice(name)
        if missing := [choice.name for choice in self.choices if choice.name not in architectures]:
            raise InputError(f"{self.name}: the architecture leaves out {', '.join(missing)}; give every choice")
        columns = []
        for choice in self.choices:
            given = np.atleast_1d(np.asarray(architectures[choice.name]))
            candidates = np.asarray(choice.candidates)
            sorter = np.argsort(candidates)
            place = np.searchsorted(candidates, given, sorter=sorter).clip(max=len(choice) - 1)
            numbers = sorter[place]
            if not np.array_equal(candidates[numbers], given):
                choice.index(given[candidates[numbers] != given][0].item())
            columns.append(numbers)
        if not columns:
            return np.zeros((1, 0), dtype=np.int64)
        try:
            return np.stack(np.broadcast_arrays(*columns), axis=1)
        except ValueError:
            raise InputError(f"{self.name}: the choices' arrays differ in length; give one candidate each") from None

    def decode(self, candidates: np.ndarray) -> dict[str, Candidate]:
        """The architecture with candidate number ``candidates[i]`` in choice ``i``."""
        return {
            choice.name: choice.candidates[number] for choice, number in zip(self.choices, candidates, strict=True)
        }


def _choice(name: str, document: SpaceDocument) -> Choice:
    given = document.choices[name]
    path = f"choices.{name}"
    candidates = tuple(given.values())
    order = given.order if isinstance(given.order, str) else tuple(tuple(chain) for chain in given.order)
    if order == "larger" and isinstance(candidates[0], str):
        raise InputError(f"{path}.order: names have no larger; give chains such as [[worse, better]] or 'none'")
    attributes: dict[str, Any] = {}
    if isinstance(given.candidates, dict):
        rows = list(given.candidates.values())
        if any(set(row) != set(rows[0]) for row in rows):
            raise InputError(f"{path}.candidates: every candidate needs the same attributes")
        attributes = {key: np.asarray([row[key] for row in rows]) for key in rows[0]}
    choice = Choice(name, candidates, order=order)
    computed = choice_attributes(choice, given.attributes, f"{path}.attributes")
    return Choice(name, candidates, {**attributes, **computed}, order)
