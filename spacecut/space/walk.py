"""From a space document to the flat list of its layers, every field and shape as a table over the choices."""

from __future__ import annotations

import functools
import keyword
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spacecut.space.choice import Choice
from spacecut.space.document import MAX_REPEAT, SpaceDocument, TableDocument
from spacecut.space.expressions import FUNCTIONS
from spacecut.space.fields import (
    Around,
    both,
    check_groups,
    check_same,
    check_some,
    check_which,
    condition,
    evaluated,
    field,
    listed,
    ordered,
)
from spacecut.space.layers import ACTIVATIONS, KINDS, PRECISIONS, Shape, picked
from spacecut.space.place import Place, PlacedError, hint, placed, written
from spacecut.space.table import Table, combinations, combine, constant, union

__all__ = ["NETWORK_INPUT", "Layer", "choice_attributes", "walk"]

NETWORK_INPUT = -1
MAX_LAYERS = 10_000
MAX_NESTING = 20
MAX_TOTAL = 100_000_000
"""Combinations over all layers together."""

_INPUT_SIZES = ("in_channels", "in_height", "in_width")
_COMMON = ("name", "input", "inputs", "when", "repeat")
_RESERVED: dict[str, str] = {
    **dict.fromkeys(keyword.kwlist, "a word of the language"),
    **dict.fromkeys(ACTIVATIONS, "an activation"),
    **dict.fromkeys(PRECISIONS, "a precision"),
    **dict.fromkeys(FUNCTIONS, "a function"),
    **dict.fromkeys(_INPUT_SIZES, "the size of a layer's input"),
}


@dataclass(frozen=True)
class Layer:
    """One layer of the network template.

    Attributes:
        name: Where it stands, such as ``network[3].separable[0].conv2d``.
        kind: A key of :data:`~spacecut.space.layers.KINDS`.
        fields: Its fields over the choices.
        inputs: Positions of the layers it reads; ``NETWORK_INPUT`` is the network's input.
        input_shape: Channels, height, width of what it reads.
        shape: Channels, height, width of what it gives.
        active: Whether it is there; where it is not, its (first) input passes through.
        zero: Whether its value is known to be all zeros.
    """

    name: str
    kind: str
    fields: Mapping[str, Table]
    inputs: tuple[int, ...]
    input_shape: Shape
    shape: Shape
    active: Table
    zero: Table


def choice_attributes(choice: Choice, expressions: Mapping[str, Any], place: Place) -> dict[str, np.ndarray]:
    """Evaluate a choice's attributes, which may refer to ``candidate``, to those it has, and to one another."""
    names = {name: Table((0,), values) for name, values in choice.attributes.items()}
    _refuse(expressions, {**dict.fromkeys(names, "an attribute already"), "candidate": "the candidate itself"}, place)
    names["candidate"] = Table((0,), np.asarray(choice.candidates))
    for name in ordered(expressions, place):
        names[name] = evaluated(expressions[name], names, (*place, name))
    return {name: np.broadcast_to(names[name].values, len(choice)) for name in expressions}


def walk(document: SpaceDocument, choices: Sequence[Choice]) -> list[Layer]:
    """The layers of a space in order of execution.

    Raises:
        PlacedError: The network is not well formed: it names the place in the document.
    """
    _check_names(document)
    names = {word: constant(word) for word in (*ACTIVATIONS, *PRECISIONS)}
    for position, choice in enumerate(choices):
        scope = (position,)
        attributes = {name: Table(scope, values) for name, values in choice.attributes.items()}
        names[choice.name] = Table(scope, np.asarray(choice.candidates), attributes)
    walker = _Walker(document)
    for name in ordered(document.definitions, ("definitions",)):
        place = ("definitions", name)
        value = document.definitions[name]
        if isinstance(value, TableDocument):
            names[name] = listed(value, choices, place)
        else:
            names[name] = evaluated(value, names, place)
        walker.spend([names[name]], place)
    walker.walk(document.network, Around(("network",), names, constant(True)), NETWORK_INPUT)
    if document.precisions and len(document.precisions) != len(walker.layers):
        problem = f"{len(document.precisions)} are given for {len(walker.layers)} layers; give one a layer"
        raise PlacedError(("precisions",), problem)
    return walker.layers


def _refuse(names: Iterable[str], taken: Mapping[str, str], place: Place) -> None:
    for name in names:
        if name in taken:
            raise PlacedError((*place, name), f"{name!r} is {taken[name]}; give it another name")


def _check_names(document: SpaceDocument) -> None:
    _refuse(document.choices, _RESERVED, ("choices",))
    _refuse(document.definitions, _RESERVED | dict.fromkeys(document.choices, "a choice"), ("definitions",))
    _refuse(document.blocks, dict.fromkeys(KINDS, "a kind of layer"), ("blocks",))
    for name, block in document.blocks.items():
        fields = dict.fromkeys(_COMMON, "a field of every layer")
        _refuse(block.parameters, _RESERVED | fields, ("blocks", name, "parameters"))


class _Walker:
    def __init__(self, document: SpaceDocument) -> None:
        self.layers: list[Layer] = []
        self._blocks = document.blocks
        self._precisions = document.precisions
        channels, height, width = (constant(np.int64(size)) for size in document.input)
        self._input: Shape = (channels, height, width)
        self._spent = 0

    def walk(self, entries: Sequence[Mapping[str, Mapping[str, Any]]], around: Around, source: int) -> int:
        """Append the layers of a list; the position of the last one is given back."""
        known = {"input": source, "previous": source}
        for number, entry in enumerate(entries):
            place = (*around.place, number)
            if len(entry) != 1:
                raise PlacedError(place, f"a layer has one key, its kind, not {len(entry)}; split it")
            ((kind, body),) = entry.items()
            here = replace(around, place=(*place, kind))
            inputs = _inputs(body, known, here.place)
            for _ in range(_repeat(body, here.place)):
                inputs = (self._enter(kind, body, here, inputs),)
            known["previous"] = inputs[0]
            if "name" in body:
                known[_name(body["name"], here.place)] = inputs[0]
        return known["previous"]

    def _enter(self, kind: str, body: Mapping[str, Any], around: Around, inputs: tuple[int, ...]) -> int:
        sizes = dict(zip(_INPUT_SIZES, self._shape(inputs[0]), strict=True))
        here = replace(around, names={**around.names, **sizes})
        if "when" in body:
            place = (*here.place, "when")
            own = condition(body["when"], here.names, place)
            with placed(place):
                here = replace(here, active=both(here.active, own).reduced())
        if kind in KINDS:
            return self._append(kind, body, here, inputs)
        if kind in self._blocks:
            if len(inputs) > 1:
                raise PlacedError((*here.place, "inputs"), f"a block takes one input, not {len(inputs)}; keep one")
            return self._enter_block(kind, body, here, inputs[0])
        raise PlacedError(here.place, f"unknown kind of layer {kind!r}; {hint(kind, [*KINDS, *self._blocks])}")

    def _enter_block(self, kind: str, body: Mapping[str, Any], here: Around, source: int) -> int:
        if kind in here.blocks:
            circle = " -> ".join([*here.blocks, kind])
            raise PlacedError(here.place, f"cyclic reference {circle}; a block cannot hold itself")
        if len(here.blocks) >= MAX_NESTING:
            raise PlacedError(here.place, f"blocks are nested deeper than {MAX_NESTING}; nest less")
        block = self._blocks[kind]
        for key in body:
            if key not in _COMMON and key not in block.parameters:
                problem = f"block {kind!r} has no such parameter; {hint(key, block.parameters)}"
                raise PlacedError((*here.place, key), problem)
        names = dict(here.names)
        for parameter, default in block.parameters.items():
            value = body.get(parameter, default)
            if value is None:
                raise PlacedError(here.place, f"the parameter {parameter!r} is missing; give it")
            names[parameter] = evaluated(value, here.names, (*here.place, parameter))
            self.spend([names[parameter]], here.place)
        return self.walk(block.layers, replace(here, names=names, blocks=(*here.blocks, kind)), source)

    def _append(self, kind: str, body: Mapping[str, Any], here: Around, inputs: tuple[int, ...]) -> int:
        rules = KINDS[kind]
        known = (*rules.required, *rules.defaults)
        for key in body:
            if key not in known and key not in _COMMON:
                raise PlacedError((*here.place, key), f"{kind} has no such field; {hint(key, known)}")
        if len(self.layers) >= MAX_LAYERS:
            raise PlacedError(here.place, f"the network has more than {MAX_LAYERS} layers; repeat less")
        if not rules.joins and len(inputs) > 1:
            raise PlacedError((*here.place, "inputs"), f"{kind} takes one input, not {len(inputs)}; add them first")
        number = len(self.layers)
        if "precision" in known and "precision" not in body and number < len(self._precisions):
            body = {**body, "precision": self._precisions[number]}
        fields = {key: field(kind, key, body, here) for key in known}
        shapes = [self._shape(position) for position in inputs]
        self.spend((here.active, *fields.values(), *(table for shape in shapes for table in shape)), here.place)
        with placed(here.place):
            if rules.joins in ("shape", "size"):
                for other in shapes[1:]:
                    check_same(shapes[0], other, here, channels=rules.joins == "shape")
            if rules.computes and rules.joins != "size":
                check_some(shapes[0], here)
            if kind == "conv2d":
                check_groups(fields, shapes[0], here)
            if kind == "select":
                check_which(fields["which"], len(inputs), here)
            if kind == "concat" and any(self.layers[p].zero.values.any() for p in inputs if p != NETWORK_INPUT):
                raise PlacedError(here.place, "zeros among its inputs; leave them out with 'empty'")
            channels, height, width = (
                combine(np.where, here.active, new, old).reduced()
                for new, old in zip(rules.shape(shapes, fields), shapes[0], strict=True)
            )
            zero = self._zero(kind, fields, inputs, here.active)
        self.spend([zero], here.place)
        shape = (channels, height, width)
        self.layers.append(Layer(written(here.place), kind, fields, inputs, shapes[0], shape, here.active, zero))
        return len(self.layers) - 1

    def _shape(self, position: int) -> Shape:
        return self._input if position == NETWORK_INPUT else self.layers[position].shape

    def _zero(self, kind: str, fields: Mapping[str, Table], inputs: tuple[int, ...], active: Table) -> Table:
        zeros = [constant(False) if p == NETWORK_INPUT else self.layers[p].zero for p in inputs]
        if kind == "select":
            value = picked(fields["which"], zeros)
        else:
            value = functools.reduce(both, zeros) if KINDS[kind].joins else constant(kind == "zero")
        return combine(np.where, active, value, zeros[0]).reduced()

    def spend(self, tables: Sequence[Table], place: Place) -> None:
        """Keep count of the combinations, so that no document takes more than memory and patience have."""
        with placed(place):
            union(tables)
        self._spent += combinations(tables)
        if self._spent > MAX_TOTAL:
            raise PlacedError(place, f"the layers have more than {MAX_TOTAL} combinations of choices; tie some choices")


def _inputs(body: Mapping[str, Any], known: Mapping[str, int], place: Place) -> tuple[int, ...]:
    key = "input" if "input" in body else "inputs"
    if key == "input" and "inputs" in body:
        raise PlacedError((*place, "inputs"), "'input' is given too; give one of them")
    wanted = body.get(key, "previous")
    for name in wanted if isinstance(wanted, list) else [wanted]:
        if not isinstance(name, str) or name not in known:
            raise PlacedError((*place, key), f"no layer {name!r} before this one; {hint(str(name), known)}")
    return tuple(known[name] for name in (wanted if isinstance(wanted, list) else [wanted]))


def _repeat(body: Mapping[str, Any], place: Place) -> int:
    repeat = body.get("repeat", 1)
    if not isinstance(repeat, int) or isinstance(repeat, bool) or not 1 <= repeat <= MAX_REPEAT:
        raise PlacedError((*place, "repeat"), f"{repeat!r} is no number of times; give 1 to {MAX_REPEAT}")
    return repeat


def _name(name: Any, place: Place) -> str:
    if not isinstance(name, str) or name in ("input", "previous"):
        raise PlacedError((*place, "name"), f"{name!r} cannot name a layer; give another word")
    return name
