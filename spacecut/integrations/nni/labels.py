"""NNI's labelled mutables as choices: their names, candidates and samples."""

from __future__ import annotations

import copy
import itertools
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from nni.mutable import Categorical, CategoricalMultiple, Mutable, MutableAnnotation

from spacecut.errors import InputError
from spacecut.space import Candidate
from spacecut.space.expressions import FUNCTIONS
from spacecut.space.layers import ACTIVATIONS

__all__ = ["Labels", "Listed", "choice_name"]

MAX_VALUES = 10_000
"""Combinations of values that an expression of mutables is listed for."""
_SIZES = ("in_channels", "in_height", "in_width")


def choice_name(label: str) -> str:
    """The name of the choice that a label becomes: ``normal/op_2_0`` is ``normal_op_2_0``."""
    name = re.sub(r"\W", "_", label, flags=re.ASCII)
    taken = name in (*ACTIVATIONS, *FUNCTIONS, *_SIZES) or keyword.iskeyword(name)
    return f"_{name}" if name[:1].isdigit() or taken or not name else name


@dataclass(frozen=True)
class Listed:
    """A value for every combination of some labels' values, one axis a label; of no label, a plain value."""

    labels: tuple[str, ...]
    values: np.ndarray


class Labels:
    """The labels of a space.

    Args:
        mutables: By label, as :meth:`nni.mutable.Mutable.simplify` gives them.

    Raises:
        InputError: Two labels become one name, or a label's values are too many.
    """

    def __init__(self, mutables: Mapping[str, Mutable]) -> None:
        self._mutables = dict(mutables)
        self._listed: dict[int, tuple[Mutable, Listed]] = {}  # by identity, with what keeps that its own
        for label, mutable in mutables.items():
            if isinstance(mutable, MutableAnnotation):
                raise InputError(f"the space has the constraint {label!r}; a space with constraints cannot be read")
        if doubled := [a for a, b in itertools.pairwise(sorted(map(choice_name, mutables))) if a == b]:
            raise InputError(f"two labels would both be the choice {doubled[0]!r}; rename one of them")

    @classmethod
    def of(cls, space: Mutable) -> Labels:
        """The labels of a space, as they are now.

        Raises:
            InputError: One label stands for different values.
        """
        try:
            return cls(copy.deepcopy(space.simplify()))
        except ValueError as error:
            raise InputError(f"the space does not hold together: {' '.join(str(error).split())[:200]}") from None

    def __contains__(self, label: str) -> bool:
        return label in self._mutables

    def __iter__(self) -> Any:
        return iter(self._mutables)

    @cached_property
    def by_name(self) -> dict[str, str]:
        """Labels by the name of their choice."""
        return {choice_name(label): label for label in self._mutables}

    def mutable(self, label: str) -> Any:
        """What NNI samples a label from."""
        return self._mutables[label]

    def values(self, label: str) -> list[Any]:
        """What a sample may hold under a label.

        Raises:
            InputError: It is not one of a list.
        """
        mutable = self._mutables[label]
        if isinstance(mutable, Categorical):
            return list(mutable.values)
        if isinstance(mutable, CategoricalMultiple):
            return [list(chosen) for chosen in mutable.grid()]
        raise InputError(f"the operators depend on {label!r}, which is {mutable}; only choices from a list can be read")

    def candidates(self, label: str) -> tuple[Candidate, ...]:
        """The same as candidates of a choice: numbers and words as they are, all else as text."""
        values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in self.values(label)]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if numbers or all(isinstance(value, str) for value in values):
            return tuple(values)
        return tuple("+".join(map(str, value)) if isinstance(value, list) else str(value) for value in values)

    def default(self) -> dict[str, Any]:
        """A sample of the first values."""
        sample: dict[str, Any] = {}
        for mutable in self._mutables.values():
            mutable.default(sample)
        return sample

    def architecture(self, sample: Mapping[str, Any], names: Iterable[str]) -> dict[str, Candidate]:
        """The candidates that a sample stands for, of the choices named.

        Raises:
            InputError: The sample lacks a label, or has a value that the space does not.
        """
        result = {}
        for name in names:
            label = self.by_name[name]
            try:
                value = self._mutables[label].freeze(dict(sample))
            except ValueError as error:
                raise InputError(f"no sample of the space: {label}: {' '.join(str(error).split())[:200]}") from None
            result[name] = self.candidates(label)[self.values(label).index(value)]
        return result

    def sample(self, architecture: Mapping[str, Candidate]) -> dict[str, Any]:
        """A sample with these candidates, and the defaults of what the operators do not depend on."""
        sample = self.default()
        for name, candidate in architecture.items():
            label = self.by_name[name]
            sample[label] = self.values(label)[self.candidates(label).index(candidate)]
        return sample

    def listed(self, value: Any) -> Listed:
        """A plain value, or an expression of mutables with its value for every combination.

        Raises:
            InputError: There are too many combinations.
        """
        if not isinstance(value, Mutable):
            return Listed((), np.asarray(value))
        if id(value) not in self._listed:
            self._listed[id(value)] = value, self._list(value)
        return self._listed[id(value)][1]

    def _list(self, value: Mutable) -> Listed:
        simple = value.simplify()
        labels = tuple(label for label in self._mutables if label in simple)
        values = [self.values(label) for label in labels]
        lengths = [len(each) for each in values]
        if np.prod(lengths, dtype=float) > MAX_VALUES:
            raise InputError(f"{str(value)[:80]} depends on {', '.join(labels)} in more than {MAX_VALUES} combinations")
        found = [value.freeze(dict(zip(labels, chosen, strict=True))) for chosen in itertools.product(*values)]
        return Listed(labels, np.asarray(found).reshape(lengths))

    def together(self, pieces: Sequence[Listed]) -> list[np.ndarray]:
        """Several listed values over all their labels; axes that one lacks have length one."""
        labels = [label for label in self._mutables if any(label in piece.labels for piece in pieces)]
        result = []
        for piece in pieces:
            lengths = dict(zip(piece.labels, piece.values.shape, strict=True))
            result.append(piece.values.reshape([lengths.get(label, 1) for label in labels]))
        return result
