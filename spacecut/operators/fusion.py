"""Which operators a runtime may do together: convolutions with the activations and sums that read them.

A convolution whose output is read once, by an activation or a sum of its precision, is often computed together with it,
and the reader then costs nothing of its own; what it adds may be the convolution's to pay for. A sum may have to be
written over its other input for that, which must then be read once too. Whether a runtime does so is measured; here it
is only found out where it could.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.operators.conversions import own_precision
from spacecut.operators.operator import FUSABLE, fuses
from spacecut.operators.reading import Wiring, reads, through
from spacecut.space.table import Table, combine, constant, held
from spacecut.space.walk import NETWORK_INPUT, Layer

__all__ = ["fusions"]

_NO, _NONE = constant(False), constant(np.int64(0))


def fusions(
    wiring: Wiring, twin: Sequence[Table], summed: Sequence[Table], twofold: Sequence[Table]
) -> list[list[Table]]:
    """What each layer of a space may be done together with.

    Args:
        wiring: Of the space.
        twin: Whether each layer does what an earlier one does to the same value; both read it once.
        summed: How many values each layer sums.
        twofold: Whether the value of each layer's operator is wanted both activated and as it is.

    Returns:
        For an activation or a sum, how many of its inputs only it reads: those that are convolutions, and then those
        that are other operators. For a convolution that only a sum reads, how many other values that adds, how many of
        those are such convolutions, and whether the sum is wanted twofold. (See :class:`~spacecut.operators.Operator`.)
    """
    layers, there = wiring.layers, wiring.there
    reading = [
        combine(lambda on, again: on & ~again, on, again).reduced() for on, again in zip(there, twin, strict=True)
    ]
    readers = reads(wiring, reading, output=1, otherwise=2)
    plain = [combine(np.logical_and, on, _plain(layer)) for layer, on in zip(layers, there, strict=True)]
    once = [held(_NO, lambda on, n: on & (n == 1), on, n) for on, n in zip(there, readers, strict=True)]
    special = [combine(np.logical_and, on, own_precision(layer)) for layer, on in zip(layers, there, strict=True)]
    values = _Values(layers, *(through(wiring, own) for own in (plain, once, special)))
    taken = [values.taken_by(layer) for layer in layers]
    fusable, exclusive = (
        [_count(layer, its, values.plain, wanted) for layer, its in zip(layers, taken, strict=True)]
        for wanted in (True, False)
    )
    beyond_itself = ([combine(lambda n: n - 1, count) for count in counts] for counts in (summed, fusable))
    of_sums = [
        [held(_NONE, np.multiply, told, on).reduced() for told, on in zip(found, plain, strict=True)]
        for found in _of_its_sum(wiring, taken, [*beyond_itself, twofold])
    ]
    return [fusable, exclusive, *of_sums]


@dataclass(frozen=True)
class _Values:
    """What holds of each layer's value, be it of an operator of its own or passed on.

    Attributes:
        layers: The layers.
        plain: A convolution gives it that may be done together with what reads it.
        once: It is read once.
        special: It is of a precision that is not the platform's.
    """

    layers: Sequence[Layer]
    plain: Sequence[Table]
    once: Sequence[Table]
    special: Sequence[Table]

    def taken_by(self, layer: Layer) -> dict[int, Table]:
        """For each input of an activation or sum, whether nothing else reads it and it is of the same precision."""
        if layer.kind not in FUSABLE:
            return {}
        own = own_precision(layer)
        return {
            source: held(
                _NO,
                lambda once, zero, its, mine: once & ~zero & (its == mine),
                self.once[source], self.layers[source].zero, self.special[source], own,
            )
            for source in layer.inputs if source != NETWORK_INPUT
        }  # fmt: skip


def _count(layer: Layer, taken: Mapping[int, Table], plain: Sequence[Table], wanted: bool) -> Table:
    """How many inputs of a layer only it reads, of those that are such convolutions or of those that are not."""
    count = _NONE
    for source in layer.inputs:
        if source in taken:
            count = held(
                count, lambda n, on, its: n + (on & (its == wanted)), count, taken[source], plain[source]
            ).reduced()  # fmt: skip
    return count


def _of_its_sum(
    wiring: Wiring, taken: Sequence[Mapping[int, Table]], counts: Sequence[Sequence[Table]]
) -> list[list[Table]]:
    """For each layer's value that only a sum reads, each of the sum's counts; else 0."""
    layers, live = wiring.layers, wiring.live
    result = [[_NONE] * len(layers) for _ in counts]
    for position in range(len(layers) - 1, -1, -1):
        layer = layers[position]
        here = held(_NO, np.logical_and, wiring.there[position], live[position])
        for source, passes in zip(layer.inputs, wiring.passed[position], strict=True):
            if source == NETWORK_INPUT:
                continue
            on = held(_NO, np.logical_and, taken[position][source], here) if layer.kind == "add" else _NO
            passed = held(_NO, np.logical_and, passes, live[position])
            for found, count in zip(result, counts, strict=True):
                found[source] = held(
                    found[source],
                    lambda n, on, count, passed, more: n + on * count + passed * more,
                    found[source], on, count[position], passed, found[position],
                ).reduced()  # fmt: skip
    return result


def _plain(layer: Layer) -> Table:
    """Whether what reads a layer's operator may be done together with it."""
    activation = layer.fields.get("activation", constant("none"))
    return Table(activation.scope, np.vectorize(lambda word: fuses(layer.kind, word))(activation.values))
