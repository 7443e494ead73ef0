"""A search space: its choices, and the network template that they parametrise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.space.choice import Candidate, Choice
from spacecut.space.document import ChoiceDocument, SpaceDocument, TableDocument
from spacecut.space.place import Place, PlacedError, hint
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
        """The space's name."""
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
        return f"SearchSpace({self.name!r}, {len(self.choices)} choices, {Decimal(self.size):.3g} architectures)"

    def choice(self, name: str) -> Choice:
        """A choice by its name.

        Raises:
            InputError: There is no such choice.
        """
        if name not in self.positions:
            raise InputError(f"{self.name}: unknown choice {name!r}; {hint(name, self.positions)}")
        return self.choices[self.positions[name]]

    def restrict(self, kept: Mapping[str, Sequence[Candidate]]) -> SearchSpace:
        """The space with only the ``kept`` candidates of the choices named; the others keep all.

        Raises:
            InputError: An unknown choice or candidate, or nothing kept of a choice.
        """
        choices = dict(self.document.choices)
        positions = {}
        for name, candidates in kept.items():
            choice = self.choice(name)
            wanted = sorted({choice.index(candidate) for candidate in candidates})
            if not wanted:
                raise InputError(f"{self.name}: choice {name!r} must keep at least one candidate")
            positions[name] = wanted
            old = choices[name]
            values: Any = [choice.candidates[index] for index in wanted]
            if isinstance(old.candidates, dict):
                values = {value: old.candidates[value] for value in values}
            order: Any = choice.order_among(wanted)
            if not isinstance(order, str):
                order = [list(chain) for chain in order]
            choices[name] = old.model_copy(update={"candidates": values, "order": order})
        definitions = {
            name: value.taken(positions) if isinstance(value, TableDocument) else value
            for name, value in self.document.definitions.items()
        }
        return SearchSpace(self.document.model_copy(update={"choices": choices, "definitions": definitions}))

    def reordered(self, orders: Mapping[str, Sequence[Sequence[Candidate]]]) -> SearchSpace:
        """The space with other quality orders of the choices named, as chains from worse to better.

        Raises:
            InputError: An unknown choice or candidate.
        """
        choices = dict(self.document.choices)
        for name, chains in orders.items():
            choice = self.choice(name)
            order: Any = [[choice.candidates[choice.index(candidate)] for candidate in chain] for chain in chains]
            choices[name] = choices[name].model_copy(update={"order": order or "none"})
        return SearchSpace(self.document.model_copy(update={"choices": choices}))

    def on_input(self, shape: tuple[int, int, int]) -> SearchSpace:
        """The same space over an input of other channels, height and width."""
        return SearchSpace(self.document.model_copy(update={"input": shape}))

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
        columns = [_positions(choice, architectures[choice.name]) for choice in self.choices]
        if not columns:
            return np.zeros((1, 0), dtype=np.int64)
        try:
            return np.stack(np.broadcast_arrays(*columns), axis=1)
        except ValueError:
            raise InputError(f"{self.name}: the choices' arrays differ in length; give one candidate each") from None

    def decode(self, candidates: np.ndarray) -> dict[str, Candidate]:
        """The architecture with candidate number ``candidates[i]`` in choice ``i``."""
        return {choice.name: choice.candidates[number] for choice, number in zip(self.choices, candidates, strict=True)}


def _positions(choice: Choice, given: Any) -> np.ndarray:
    """Positions of one candidate, or of an array of them."""
    wanted = np.atleast_1d(np.asarray(given))
    candidates = np.asarray(choice.candidates)
    if wanted.ndim > 1:
        raise InputError(f"choice {choice.name!r} needs one row of candidates, not {wanted.ndim} dimensions")
    if wanted.dtype.kind not in "iufU" or (wanted.dtype.kind == "U") != (candidates.dtype.kind == "U"):
        return np.asarray([choice.index(candidate) for candidate in wanted.tolist()], dtype=np.int64)
    sorter = np.argsort(candidates)
    places = sorter[np.searchsorted(candidates, wanted, sorter=sorter).clip(max=len(choice) - 1)]
    for candidate in wanted[candidates[places] != wanted].tolist():
        choice.index(candidate)
    return np.asarray(places)


def _choice(name: str, document: SpaceDocument) -> Choice:
    given = document.choices[name]
    place = ("choices", name)
    candidates = tuple(given.values())
    attributes: dict[str, np.ndarray] = {}
    if isinstance(given.candidates, dict):
        attributes = _listed(given.candidates, (*place, "candidates"))
    choice = Choice(name, candidates, attributes, _order(given, candidates, (*place, "order")))
    computed = choice_attributes(choice, given.attributes, (*place, "attributes"))
    return replace(choice, attributes={**attributes, **computed})


def _order(
    given: ChoiceDocument, candidates: tuple[Candidate, ...], place: Place
) -> str | tuple[tuple[Candidate, ...], ...]:
    if isinstance(given.order, str):
        if given.order == "larger" and isinstance(candidates[0], str):
            raise PlacedError(place, "names have no larger; give chains such as [[worse, better]] or 'none'")
        return given.order
    known = set(candidates)
    for number, chain in enumerate(given.order):
        for position, candidate in enumerate(chain):
            if candidate not in known:
                problem = f"no candidate {candidate!r}; {hint(str(candidate), map(str, candidates))}"
                raise PlacedError((*place, number, position), problem)
    return tuple(tuple(chain) for chain in given.order)


def _listed(rows: Mapping[Candidate, Mapping[str, Any]], place: Place) -> dict[str, np.ndarray]:
    """Attributes that are listed candidate by candidate."""
    first = next(iter(rows.values()))
    for candidate, row in rows.items():
        if set(row) != set(first):
            at = candidate if isinstance(candidate, int) else str(candidate)
            wanted = ", ".join(first) or "none"
            raise PlacedError((*place, at), f"all candidates have the same attributes; give {wanted}")
    for key in first:
        if len({isinstance(row[key], str) for row in rows.values()}) > 1:
            raise PlacedError(place, f"the attribute {key!r} holds words and numbers; give one of them")
    return {key: np.asarray([row[key] for row in rows.values()]) for key in first}
