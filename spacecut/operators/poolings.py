"""What reads the values of poolings.

A pooling computes with values as they come, so a runtime may leave them in int8 or not, and lay them out this way or
that, by what is done with them next: where convolutions follow, as those want them. What a pooling costs among which
readers is measured; here it is only found out who they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.operators.operator import CONVOLUTIONS, POOLINGS, Readers
from spacecut.operators.reading import Wiring, reads, taken
from spacecut.space.table import Table, constant, held
from spacecut.space.walk import NETWORK_INPUT

__all__ = ["readers_of_poolings"]

_NO, _YES, _NONE = constant(False), constant(True), constant(np.int64(0))


def readers_of_poolings(wiring: Wiring) -> list[Table]:
    """For each layer of a space that is a pooling, what reads its value, as :class:`Readers`; 0 for the others.

    Where that depends on too many choices at once, only some are told, and sums and convolutions too many; a concrete
    network tells exactly who they are.
    """
    layers, there = wiring.layers, wiring.there
    if not any(layer.kind in POOLINGS for layer in layers):
        return [_NONE] * len(layers)
    found = _with([_NONE] * len(layers), Readers.CONVOLUTION, _convolved(wiring), 0)
    for flag in (Readers.SUM, Readers.ACTIVATION, Readers.POOLING, Readers.OTHER):
        counted = [on if Readers.of(layer.kind) == flag else _NO for layer, on in zip(layers, there, strict=True)]
        usual = int(flag == Readers.SUM)
        found = _with(found, flag, reads(wiring, counted, output=0, otherwise=usual), 0)
    found = _with(found, Readers.SEVERAL, reads(wiring, there, output=1, otherwise=1), 1)
    return [table if layer.kind in POOLINGS else _NONE for layer, table in zip(layers, found, strict=True)]


def _with(found: Sequence[Table], flag: Readers, counts: Sequence[Table], above: int) -> list[Table]:
    """Flags of each layer, and another one where it is counted more often than so."""
    return [
        held(one, lambda flags, n: flags | np.where(n > above, np.int64(flag), 0), one, count).reduced()
        for one, count in zip(found, counts, strict=True)
    ]


def _convolved(wiring: Wiring) -> list[Table]:
    """Whether each layer's value reaches a convolution, if need be through operators that are none."""
    layers, live = wiring.layers, wiring.live
    found = [_NO] * len(layers)
    for position in range(len(layers) - 1, -1, -1):
        layer, on = layers[position], wiring.there[position]
        if layer.kind == "linear":
            on = _NO
        elif layer.kind not in CONVOLUTIONS:
            on = held(_YES, np.logical_and, on, found[position])
        for source, passes in zip(layer.inputs, wiring.passed[position], strict=True):
            if source != NETWORK_INPUT:
                found[source] = held(
                    _YES,
                    lambda so_far, on, alive, through, more: so_far | (alive & (on | (through & more))),
                    found[source], taken(layers, layer, source, on), live[position], passes, found[position],
                ).reduced()  # fmt: skip
    return found
