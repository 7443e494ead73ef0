"""Which activations and sums a runtime may do together with what they read.

A convolution whose output is read once, by an activation or a sum of its precision, is often computed together with it,
and the reader then costs nothing of its own. A sum may have to be written over its other input for that, which must
then be read once too. Whether a runtime does so is measured; here it is only found out where it could.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.operators.conversions import own_precision
from spacecut.operators.operator import FUSABLE, fuses
from spacecut.operators.reading import reads
from spacecut.space.table import Table, combine, constant, held
from spacecut.space.walk import NETWORK_INPUT, Layer

__all__ = ["fusable_inputs"]

_NO, _NONE = constant(False), constant(np.int64(0))


def fusable_inputs(
    layers: Sequence[Layer],
    there: Sequence[Table],
    live: Sequence[Table],
    passed: Sequence[Sequence[Table]],
    twin: Sequence[Table],
) -> tuple[list[Table], list[Table]]:
    """For each layer that is an activation or a sum, how many of its inputs only it reads.

    Those that are convolutions are counted first, and then those that are other operators.

    Args:
        layers: The layers of a space.
        there: Whether each layer holds an operator; where not, it passes an input on.
        live: Whether each layer's value reaches the output.
        passed: What each layer passes on, as :func:`~spacecut.operators.reading.passed_on` has it.
        twin: Whether each layer does what an earlier one does to the same value; both read it once.
    """
    reading = [
        combine(lambda on, again: on & ~again, on, again).reduced() for on, again in zip(there, twin, strict=True)
    ]
    readers = reads(layers, reading, live, passed, output=1, otherwise=2)
    convolution: list[Table] = []
    alone: list[Table] = []
    special: list[Table] = []
    fusable: list[Table] = []
    exclusive: list[Table] = []
    for position, layer in enumerate(layers):
        activation = layer.fields.get("activation", constant("none"))
        plain = Table(
            activation.scope, np.vectorize(lambda word, kind=layer.kind: fuses(kind, word))(activation.values)
        )
        precision = own_precision(layer)
        made = combine(np.logical_and, there[position], plain)
        own = combine(np.logical_and, there[position], precision)
        once = held(_NO, lambda on, n: on & (n == 1), there[position], readers[position])
        fused = single = _NONE
        for source, passes in zip(layer.inputs, passed[position], strict=True):
            if source == NETWORK_INPUT:
                continue
            made, once, own = (
                held(_NO, lambda m, on, other: m | (on & other), mine, passes, theirs[source]).reduced()
                for mine, theirs in ((made, convolution), (once, alone), (own, special))
            )
            if layer.kind in FUSABLE:
                read = held(
                    _NO,
                    lambda o, z, s, p: o & ~z & (s == p),
                    alone[source], layers[source].zero, special[source], precision,
                )  # fmt: skip
                fused = held(fused, lambda n, on, m: n + (on & m), fused, read, convolution[source]).reduced()
                single = held(single, lambda n, on, m: n + (on & ~m), single, read, convolution[source]).reduced()
        convolution.append(made.reduced())
        alone.append(once.reduced())
        special.append(own.reduced())
        fusable.append(fused)
        exclusive.append(single)
    return fusable, exclusive
