"""From a space document to the flat list of its layers, every field and shape as a table over the choices."""

from __future__ import annotations

import functools
import graphlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.space.choice import Choice
from spacecut.space.document import MAX_REPEAT, SpaceDocument
from spacecut.space.expressions import evaluate, names_in
from spacecut.space.layers import ACTIVATIONS, KINDS, Shape
from spacecut.space.table import Table, combine, constant

__all__ = ["NETWORK_INPUT", "Layer", "choice_attributes", "walk"]

NETWORK_INPUT = -1
MAX_LAYERS = 100_000
MAX_COMBINATIONS = 20_000_000
_COMMON = ("name", "input", "inputs", "when", "repeat")


@dataclass(frozen=True)
class Layer:
    """One layer of the network template.

    Attributes:
        name: Where it stands, such as ``network[3].separable[0]``.
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


def choice_attributes(choice: Choice, expressions: Mapping[str, Any], path: str) -> dict[str, np.ndarray]:
    """Evaluate a choice's attributes, which may refer to ``candidate`` and to one another."""
    names = {"candidate": Table((0,), np.asarray(choice.candidates))}
    for name in _ordered(expressions, path):
        names[name] = _evaluated(expressions[name], names, f"{path}.{name}")
    count = len(choice)
    return {name: np.broadcast_to(names[name].values, count) for name in expressions}


def walk(document: SpaceDocument, choices: Sequence[Choice]) -> list[Layer]:
    """The layers of a space in order of execution.

    Raises:
        InputError: The network is not well formed: it names the place in the document.
    """
    names = {word: constant(word) for word in ACTIVATIONS}
    for position, choice in enumerate(choices):
        scope = (position,)
        attributes = {name: Table(scope, values) for name, values in choice.attributes.items()}
        names[choice.name] = Table(scope, np.asarray(choice.candidates), attributes)
    for name in _ordered(document.definitions, "definitions", known=names):
        names[name] = _evaluated(document.definitions[name], names, f"definitions.{name}")
    walker = _Walker(document, names)
    walker.walk_layers(document.network, names, "network", NETWORK_INPUT, ())
    if not walker.layers:
        raise InputError("network: it has no layers; add one")
    return walker.layers


def _ordered(expressions: Mapping[str, Any], path: str, known: Iterable[str] = ()) -> list[str]:
    for name in expressions:
        if name in known:
            raise InputError(f"{path}.{name}: this name is already a choice; rename one of them")
    graph = {name: names_in(text) & set(expressions) for name, text in expressions.items()}
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        raise InputError(f"{path}: cyclic reference {cycle}; break the circle") from None


def _evaluated(text: Any, names: Mapping[str, Table], path: str) -> Table:
    try:
        return evaluate(text, names)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


class _Walker:
    def __init__(self, document: SpaceDocument, choices: Mapping[str, Table]) -> None:
        self.layers: list[Layer] = []
        self._blocks = document.blocks
        self._input: Shape = tuple(constant(np.int64(size)) for size in document.input)  # type: ignore[assignment]

    def _shape(self, position: int) -> Shape:
        return self._input if position == NETWORK_INPUT else self.layers[position].shape

    def walk_layers(
        self, entries: Sequence[Mapping[str, Mapping[str, Any]]], names: Mapping[str, Table], path: str,
        source: int, within: tuple[str, ...],
    ) -> int:  # fmt: skip
        """Append the layers of a list; the position of the last one is given back."""
        places = {"input": source, "previous": source}
        for number, entry in enumerate(entries):
            if len(entry) != 1:
                raise InputError(f"{path}[{number}]: a layer has one key, its kind; found {', '.join(entry) or 'none'}")
            (kind, body), *_ = entry.items()
            here = f"{path}[{number}].{kind}"
            inputs = self._inputs(body, places, here)
            repeat = body.get("repeat", 1)
            if not isinstance(repeat, int) or not 1 <= repeat <= MAX_REPEAT:
                raise InputError(f"{here}.repeat: {repeat!r} is no number of times; give 1 to {MAX_REPEAT}")
            for _ in range(repeat):
                last = self._enter(kind, body, names, here, inputs, within)
                inputs = (last,)
            places["previous"] = last
            if "name" in body:
                places[str(body["name"])] = last
        return places["previous"]

    def _inputs(self, body: Mapping[str, Any], places: Mapping[str, int], here: str) -> tuple[int, ...]:
        wanted = body.get("inputs", body.get("input", "previous"))
        wanted = [wanted] if isinstance(wanted, str) else wanted
        for name in wanted:
            if name not in places:
                raise InputError(f"{here}.inputs: no layer {name!r} before this one (known: {', '.join(places)})")
        return tuple(places[name] for name in wanted)

    def _enter(
        self, kind: str, body: Mapping[str, Any], names: Mapping[str, Table], here: str,
        inputs: tuple[int, ...], within: tuple[str, ...],
    ) -> int:  # fmt: skip
        shape = self._shape(inputs[0])
        names = {**names, **dict(zip(("in_channels", "in_height", "in_width"), shape, strict=True))}
        if kind in self._blocks:
            return self._enter_block(kind, body, names, here, inputs, within)
        if kind not in KINDS:
            known = ", ".join([*KINDS, *self._blocks])
            raise InputError(f"{here}: unknown kind of layer {kind!r}; use one of {known}")
        return self._append(kind, body, names, here, inputs)

    def _enter_block(
        self, kind: str, body: Mapping[str, Any], names: Mapping[str, Table], here: str,
        inputs: tuple[int, ...], within: tuple[str, ...],
    ) -> int:  # fmt: skip
        if kind in within:
            raise InputError(f"{here}: cyclic reference {' -> '.join([*within, kind])}; a block cannot hold itself")
        block = self._blocks[kind]
        inner = dict(names)
        given = {key: value for key, value in body.items() if key not in _COMMON}
        for key in given:
            if key not in block.parameters:
                known = ", ".join(block.parameters) or "none"
                raise InputError(f"{here}.{key}: block {kind!r} has no such parameter (known: {known})")
        for parameter, default in block.parameters.items():
            value = given.get(parameter, default)
            if value is None:
                raise InputError(f"{here}: the parameter {parameter!r} is missing; give it")
            inner[parameter] = _evaluated(value, names, f"{here}.{parameter}")
        if "when" in body:
            inner["_active"] = self._active(body, names, here)
        return self.walk_layers(block.layers, inner, here, inputs[0], (*within, kind))

    def _active(self, body: Mapping[str, Any], names: Mapping[str, Table], here: str) -> Table:
        active = names.get("_active", constant(True))
        if "when" in body:
            own = _evaluated(body["when"], names, f"{here}.when")
            active = _both(active, own)
        return active.reduced()

    def _append(
        self, kind: str, body: Mapping[str, Any], names: Mapping[str, Table], here: str, inputs: tuple[int, ...]
    ) -> int:
        rules = KINDS[kind]
        known = (*rules.required, *rules.defaults)
        for key in body:
            if key not in known and key not in _COMMON:
                raise InputError(f"{here}.{key}: {kind} has no such field (known: {', '.join(known)})")
        if len(self.layers) >= MAX_LAYERS:
            raise InputError(f"{here}: more than {MAX_LAYERS} layers; repeat less")
        active = self._active(body, names, here)
        fields = {key: self._field(key, body, names, kind, here, active) for key in known}
        shapes = [self._shape(position) for position in inputs]
        if not rules.joins and len(inputs) > 1:
            raise InputError(f"{here}.inputs: {kind} takes one input, not {len(inputs)}")
        for other in shapes[1:]:
            self._agree(shapes[0], other, active, here)
        self._groups_divide(kind, fields, shapes[0], active, here)
        produced = rules.shape(shapes[0], fields)
        shape = tuple(
            combine(np.where, active, new, old).reduced() for new, old in zip(produced, shapes[0], strict=True)
        )
        zeros = [constant(False) if p == NETWORK_INPUT else self.layers[p].zero for p in inputs]
        value = functools.reduce(_both, zeros) if rules.joins else constant(kind == "zero")
        zero = combine(np.where, active, value, zeros[0]).reduced()
        self._bounded((active, zero, *shape, *fields.values(), *shapes[0]), here)
        self.layers.append(Layer(here, kind, fields, inputs, shapes[0], shape, active, zero))  # type: ignore[arg-type]
        return len(self.layers) - 1

    def _field(
        self, key: str, body: Mapping[str, Any], names: Mapping[str, Table], kind: str, here: str, active: Table
    ) -> Table:
        rules = KINDS[kind]
        if key not in body and key in rules.required:
            raise InputError(f"{here}: {kind} needs the field {key!r}; give it")
        text = body.get(key, rules.defaults.get(key))
        if key in rules.words:
            words = rules.words[key]
            table = _evaluated(text, names, f"{here}.{key}")
            wrong = ~np.isin(table.values, words)
            mend = f"use one of {', '.join(words)}"
        else:
            table = _evaluated(text, names, f"{here}.{key}")
            if table.values.dtype.kind not in "iu":
                kindly = "wrap it in int(...)" if table.values.dtype.kind == "f" else "give a whole number"
                raise InputError(f"{here}.{key}: {text!r} is not a whole number; {kindly}")
            wrong, mend = table.values < 1, "it must be at least 1"
        bad = _both(Table(table.scope, wrong), active)
        if bad.values.any():
            value = np.broadcast_to(table.over(bad.scope), bad.values.shape)[bad.values][0]
            raise InputError(f"{here}.{key}: {text!r} gives {value}; {mend}")
        return table.reduced()

    def _agree(self, one: Shape, other: Shape, active: Table, here: str) -> None:
        for name, a, b in zip(("channels", "height", "width"), one, other, strict=True):
            differs = combine(lambda x, y, on: (x != y) & on, a, b, active)
            if differs.values.any():
                place = np.unravel_index(int(np.argmax(differs.values)), differs.values.shape)
                x, y = (
                    np.broadcast_to(table.over(differs.scope), differs.values.shape)[place] for table in (a, b)
                )
                raise InputError(f"{here}.inputs: {name} differ ({x} and {y}); tie them or use 'when'")

    def _groups_divide(self, kind: str, fields: Mapping[str, Table], shape: Shape, active: Table, here: str) -> None:
        if kind != "conv2d":
            return
        uneven = combine(
            lambda c, o, g, on: ((c % g != 0) | (o % g != 0)) & on,
            shape[0], fields["out_channels"], fields["groups"], active,
        )  # fmt: skip
        if uneven.values.any():
            raise InputError(f"{here}.groups: they do not divide the input and output channels; change one of them")

    def _bounded(self, tables: Iterable[Table], here: str) -> None:
        sizes = {p: n for table in tables for p, n in zip(table.scope, table.values.shape, strict=True)}
        if (count := math.prod(sizes.values())) > MAX_COMBINATIONS:
            raise InputError(
                f"{here}: it depends on {len(sizes)} choices with {count} combinations, more than {MAX_COMBINATIONS};"
                " tie some of them"
            )


def _both(one: Table, other: Table) -> Table:
    return combine(np.logical_and, one, other)
