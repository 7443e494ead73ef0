"""Who reads whose value: layers that are not there pass on what they read, and what does not reach the end is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.operators.operator import SUMS
from spacecut.space.table import Table, combine, constant, held
from spacecut.space.walk import NETWORK_INPUT, Layer

__all__ = ["Wiring", "passed_on", "reads", "selects", "taken", "through"]

_NO, _NONE = constant(False), constant(np.int64(0))


@dataclass(frozen=True)
class Wiring:
    """Which layers of a space do something, and what the others pass on.

    Attributes:
        layers: The layers.
        there: Whether each layer holds an operator; where not, it passes an input on.
        live: Whether each layer's value reaches the output.
        passed: What each layer passes on, as :func:`passed_on` has it.
    """

    layers: Sequence[Layer]
    there: Sequence[Table]
    live: Sequence[Table]
    passed: Sequence[Sequence[Table]]


def selects(layer: Layer, number: int) -> Table:
    """Whether a ``select`` passes its input of this number on."""
    first = number == 0
    return combine(lambda which, on: np.where(on, which == number + 1, first), layer.fields["which"], layer.active)


def passed_on(layers: Sequence[Layer], layer: Layer, there: Table) -> list[Table]:
    """For each input of a layer, whether it is what the layer passes on instead of an operator's output."""
    absent = combine(np.logical_not, there)
    if layer.kind in ("zero", "empty"):
        absent = combine(lambda gone, on: gone & ~on, absent, layer.active)
    if layer.kind == "select":
        return [selects(layer, number) for number in range(len(layer.inputs))]
    if layer.kind == "concat":
        return [_only_one(layers, absent, source) for source in layer.inputs]
    if layer.kind not in SUMS:
        return [absent, *(_NO for _ in layer.inputs[1:])]
    result, earlier = [], absent
    for source in layer.inputs:
        zero = _NO if source == NETWORK_INPUT else layers[source].zero
        result.append(combine(lambda on, z: on & ~z, earlier, zero).reduced())
        earlier = combine(np.logical_and, earlier, zero).reduced()
    return result


def reads(wiring: Wiring, counted: Sequence[Table], *, output: int, otherwise: int) -> list[Table]:
    """How often operators read each layer's value.

    Args:
        wiring: Of a space.
        counted: Whether each layer holds an operator, of those that count.
        output: How often the network's output is read from outside.
        otherwise: What stands for numbers that depend on too many choices at once.
    """
    layers, live = wiring.layers, wiring.live
    found = [_NONE] * len(layers)
    found[-1] = constant(np.int64(output))
    many = constant(np.int64(otherwise))
    for position in range(len(layers) - 1, -1, -1):
        layer = layers[position]
        for source, passes in zip(layer.inputs, wiring.passed[position], strict=True):
            if source == NETWORK_INPUT:
                continue
            found[source] = held(
                many,
                lambda n, on, alive, through, more: n + (on & alive) + np.where(through & alive, more, 0),
                found[source], taken(layers, layer, source, counted[position]), live[position], passes, found[position],
            ).reduced()  # fmt: skip
    return found


def taken(layers: Sequence[Layer], layer: Layer, source: int, on: Table) -> Table:
    """Whether a layer, where its operator is ``on``, takes what another one gives: neither zeros nor nothing."""
    if layer.kind in SUMS:
        return combine(lambda on, zero: on & ~zero, on, layers[source].zero)
    if layer.kind == "concat":
        return combine(lambda on, channels: on & (channels > 0), on, layers[source].shape[0])
    return on


def through(wiring: Wiring, own: Sequence[Table]) -> list[Table]:
    """What holds of the operator that gives each layer's value, from what holds of the layers' own operators."""
    result: list[Table] = []
    for position, layer in enumerate(wiring.layers):
        value = own[position]
        for source, passes in zip(layer.inputs, wiring.passed[position], strict=True):
            if source != NETWORK_INPUT:
                value = held(value, lambda v, on, other: v | (on & other), value, passes, result[source]).reduced()
        result.append(value.reduced())
    return result


def _only_one(layers: Sequence[Layer], absent: Table, source: int) -> Table:
    """Whether a ``concat`` passes this input on: the only one that is not empty."""
    return absent if source == NETWORK_INPUT else combine(lambda on, c: on & (c > 0), absent, layers[source].shape[0])
