"""What NNI samples from, made smaller: a model space, or the executable form that an experiment makes of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nni.mutable import Categorical, CategoricalMultiple, Mutable, MutableSymbol
from nni.mutable.mutable import MISSING
from nni.nas.space import SimplifiedModelSpace

from spacecut.errors import InputError
from spacecut.integrations.nni.labels import Labels
from spacecut.space import Candidate, SearchSpace

__all__ = ["kept_values", "narrow", "reachable"]


def kept_values(labels: Labels, space: SearchSpace) -> dict[str, list[Any]]:
    """By label, the values that samples may be made of for a search space read of these labels, or a part of it.

    Of a choice of several inputs at once, these are the inputs that any combination left contains.
    """
    kept: dict[str, list[Any]] = {}
    for choice in space.choices:
        label = labels.by_name[choice.name]
        known = dict(zip(labels.candidates(label), labels.values(label), strict=True))
        values = [known[candidate] for candidate in choice.candidates]
        mutable = labels.mutable(label)
        if isinstance(mutable, CategoricalMultiple):
            values = [one for one in mutable.values if any(one in several for several in values)]
        kept[label] = values
    return kept


def reachable(labels: Labels, kept: Mapping[str, Sequence[Any]]) -> dict[str, list[Candidate]]:
    """By choice, the candidates that can be sampled once only these values are kept."""
    result = {}
    for name, label in labels.by_name.items():
        if label in kept:
            several = isinstance(labels.mutable(label), CategoricalMultiple)
            result[name] = [
                candidate
                for candidate, value in zip(labels.candidates(label), labels.values(label), strict=True)
                if (set(value) <= set(kept[label]) if several else value in kept[label])
            ]
    return result


def narrow(space: Mutable, kept: Mapping[str, Sequence[Any]]) -> None:
    """Leave only some values of some labels.

    Every object of a model space that carries a label is narrowed in place. The simplified form that an experiment
    makes of a model space gets mutables of its own, since it shares some, and not all, with the model space.

    Args:
        space: A model space, or an executable one.
        kept: Values by label, as samples hold them.

    Raises:
        InputError: A label is unknown, or has no such value.
    """
    if isinstance(space, SimplifiedModelSpace):
        space.mutables = copy.deepcopy(space.mutables)
    found = set()
    for leaf in space.leaf_mutables(lambda mutable: isinstance(mutable, MutableSymbol)):
        if leaf.label in kept:
            found.add(leaf.label)
            _narrow_leaf(leaf, kept[leaf.label])
    if missing := [label for label in kept if label not in found]:
        raise InputError(f"the model space has no label {missing[0]!r}; is it the one that was cut?")


def _narrow_leaf(leaf: Any, kept: Sequence[Any]) -> None:
    if not isinstance(leaf, Categorical | CategoricalMultiple):
        raise InputError(f"{leaf} is no choice from a list")
    if strange := [value for value in kept if value not in leaf.values]:
        raise InputError(f"{leaf.label!r} has no value {strange[0]!r}; it has {', '.join(map(str, leaf.values))}")
    numbers = [number for number, value in enumerate(leaf.values) if value in kept]
    if not numbers or len(numbers) < (getattr(leaf, "n_chosen", None) or 1):
        raise InputError(f"{leaf.label!r} would keep too few values to choose from")
    weights = np.asarray(leaf.weights)[numbers]
    if getattr(leaf, "n_chosen", 1) is not None:  # else they are probabilities of each value by itself
        weights = weights / weights.sum()
    leaf.values, leaf.weights = [leaf.values[number] for number in numbers], list(map(float, weights))
    if leaf.default_value is not MISSING and not leaf.contains({leaf.label: leaf.default_value}):
        leaf.default_value = MISSING  # the first value
