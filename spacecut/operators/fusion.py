"""Which activations and sums a runtime may do together with the convolution that they read.

A convolution whose output is read once, by an activation or a sum, is often computed together with it, and the reader
then costs nothing of its own. Whether a runtime does so is measured; here it is only found out where it could.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.operators.operator import FUSABLE, fuses
from spacecut.space.table import Table, combine, constant, held
from spacecut.space.walk import NETWORK_INPUT, Layer

__all__ = ["fusable_inputs", "selects"]

_NO, _NONE, _MANY = constant(False), constant(np.int64(0)), constant(np.int64(2))


def fusable_inputs(layers: Sequence[Layer], there: Sequence[Table], live: Sequence[Table]) -> list[Table]:
    """For each layer that is an activation or a sum, how many of its inputs are convolutions that only it reads.

    Args:
        layers: The layers of a space.
        there: Whether each layer holds an operator; where not, it passes an input on.
        live: Whether each layer's value reaches the output.
    """
    passed = [_passed(layers, layer, on) for layer, on in zip(layers, there, strict=True)]
    reads = _reads(layers, there, live, passed)
    convolution: list[Table] = []
    alone: list[Table] = []
    result: list[Table] = []
    for position, layer in enumerate(layers):
        activation = layer.fields.get("activation", constant("none"))
        plain = Table(
            activation.scope, np.vectorize(lambda word, kind=layer.kind: fuses(kind, word))(activation.values)
        )
        made = combine(np.logical_and, there[position], plain)
        once = held(_NO, lambda on, n: on & (n == 1), there[position], reads[position])
        count = _NONE
        for source, passes in zip(layer.inputs, passed[position], strict=True):
            if source == NETWORK_INPUT:
                continue
            made = held(_NO, lambda m, on, other: m | (on & other), made, passes, convolution[source]).reduced()
            once = held(_NO, lambda m, on, other: m | (on & other), once, passes, alone[source]).reduced()
            if layer.kind in FUSABLE:
                zero = layers[source].zero
                count = held(
                    count, lambda n, m, o, z: n + (m & o & ~z), count, convolution[source], alone[source], zero
                ).reduced()
        convolution.append(made.reduced())
        alone.append(once.reduced())
        result.append(count)
    return result


def selects(layer: Layer, number: int) -> Table:
    """Whether a ``select`` passes its input of this number on."""
    first = number == 0
    return combine(lambda which, on: np.where(on, which == number + 1, first), layer.fields["which"], layer.active)


def _passed_on(layers: Sequence[Layer], layer: Layer, absent: Table, source: int) -> Table:
    """Whether a ``concat`` passes this input on: the only one that is not empty."""
    return absent if source == NETWORK_INPUT else combine(lambda on, c: on & (c > 0), absent, layers[source].shape[0])


def _passed(layers: Sequence[Layer], layer: Layer, there: Table) -> list[Table]:
    """For each input of a layer, whether it is what the layer passes on instead of an operator's output."""
    absent = combine(np.logical_not, there)
    if layer.kind in ("zero", "empty"):
        absent = combine(lambda gone, on: gone & ~on, absent, layer.active)
    if layer.kind == "select":
        return [selects(layer, number) for number in range(len(layer.inputs))]
    if layer.kind == "concat":
        return [_passed_on(layers, layer, absent, source) for source in layer.inputs]
    if layer.kind not in ("add", "stack_sum"):
        return [absent, *(_NO for _ in layer.inputs[1:])]
    result, earlier = [], absent
    for source in layer.inputs:
        zero = _NO if source == NETWORK_INPUT else layers[source].zero
        result.append(combine(lambda on, z: on & ~z, earlier, zero).reduced())
        earlier = combine(np.logical_and, earlier, zero).reduced()
    return result


def _reads(
    layers: Sequence[Layer], there: Sequence[Table], live: Sequence[Table], passed: Sequence[Sequence[Table]]
) -> list[Table]:
    """How often operators read each layer's value, the network's output being one such time."""
    reads = [_NONE] * len(layers)
    reads[-1] = constant(np.int64(1))
    for position in range(len(layers) - 1, -1, -1):
        layer = layers[position]
        for source, passes in zip(layer.inputs, passed[position], strict=True):
            if source == NETWORK_INPUT:
                continue
            used = there[position]
            if layer.kind in ("add", "stack_sum"):
                used = combine(lambda on, zero: on & ~zero, used, layers[source].zero)
            elif layer.kind == "concat":
                used = combine(lambda on, channels: on & (channels > 0), used, layers[source].shape[0])
            reads[source] = held(
                _MANY,
                lambda n, on, alive, through, more: n + (on & alive) + np.where(through & alive, more, 0),
                reads[source], used, live[position], passes, reads[position],
            ).reduced()  # fmt: skip
    return reads
