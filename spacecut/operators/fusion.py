"""Which activations and sums a runtime may do together with the convolution that they read.

A convolution whose output is read once, by an activation or a sum, is often computed together with it, and the reader
then costs nothing of its own. Whether a runtime does so is measured; here it is only found out where it could.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.operators.operator import FUSABLE, fuses
from spacecut.space.table import Table, combine, constant
from spacecut.space.walk import NETWORK_INPUT, Layer

__all__ = ["fusable_inputs"]

_NO, _NONE = constant(False), constant(np.int64(0))


def fusable_inputs(layers: Sequence[Layer], there: Sequence[Table], live: Sequence[Table]) -> list[Table]:
    """For each layer that is an activation or a sum, how many of its inputs are convolutions that only it reads.

    Args:
        layers: The layers of a space.
        there: Whether each layer holds an operator; where not, it passes an input on.
        live: Whether each layer's value reaches the output.
    """
    passed = [_passed(layers, layer, held) for layer, held in zip(layers, there, strict=True)]
    reads = _reads(layers, there, live, passed)
    convolution: list[Table] = []
    alone: list[Table] = []
    result: list[Table] = []
    for position, layer in enumerate(layers):
        held = there[position]
        activation = layer.fields.get("activation", constant("none"))
        plain = Table(
            activation.scope, np.vectorize(lambda word, kind=layer.kind: fuses(kind, word))(activation.values)
        )
        made, once = combine(np.logical_and, held, plain), combine(lambda on, n: on & (n == 1), held, reads[position])
        count = _NONE
        for source, passes in zip(layer.inputs, passed[position], strict=True):
            if source == NETWORK_INPUT:
                continue
            made = combine(lambda m, on, other: m | (on & other), made, passes, convolution[source]).reduced()
            once = combine(lambda m, on, other: m | (on & other), once, passes, alone[source]).reduced()
            if layer.kind in FUSABLE:
                zero = layers[source].zero
                count = combine(
                    lambda n, m, o, z: n + (m & o & ~z), count, convolution[source], alone[source], zero
                ).reduced()
        convolution.append(made.reduced())
        alone.append(once.reduced())
        result.append(count)
    return result


def _passed(layers: Sequence[Layer], layer: Layer, there: Table) -> list[Table]:
    """For each input of a layer, whether it is what the layer passes on instead of an operator's output."""
    absent = combine(np.logical_not, there)
    if layer.kind == "zero":
        absent = combine(lambda gone, on: gone & ~on, absent, layer.active)
    if layer.kind != "add":
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
            used = there[position] if layer.kind != "zero" else _NO
            if layer.kind == "add":
                used = combine(lambda on, zero: on & ~zero, used, layers[source].zero)
            reads[source] = combine(
                lambda n, on, alive, through, more: n + (on & alive) + np.where(through & alive, more, 0),
                reads[source], used, live[position], passes, reads[position],
            ).reduced()  # fmt: skip
    return reads
