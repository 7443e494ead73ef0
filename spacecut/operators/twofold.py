"""Values that are wanted in two forms: an activation reads them, and something else does as they are.

A runtime that quantises keeps such a value in float32 for the activation, and quantises it for each of the others, or
the other way round. What that takes is measured, as a part of the poolings that read it and of the sum, or the
convolution that does the sum, that gives it; here it is only found out where it may be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.operators.operator import POOLINGS, SUMS
from spacecut.operators.reading import Wiring, reads, through
from spacecut.space.table import Table, constant, held
from spacecut.space.walk import NETWORK_INPUT

__all__ = ["twofold", "twofold_of_operators"]

_NO = constant(False)


def twofold(wiring: Wiring) -> list[Table]:
    """Whether the value of each layer's operator is wanted both activated and as it is.

    Where that depends on too many choices at once, only some are told; a concrete network tells them all.
    """
    layers, there = wiring.layers, wiring.there
    if not any(layer.kind == "activation" for layer in layers):
        return [_NO] * len(layers)
    activated, plain = (
        reads(
            wiring,
            [on if (layer.kind == "activation") == which else _NO for layer, on in zip(layers, there, strict=True)],
            output=int(not which),
            otherwise=0,
        )
        for which in (True, False)
    )
    return [
        held(_NO, lambda on, one, other: on & (one > 0) & (other > 0), *tables).reduced()
        for tables in zip(there, activated, plain, strict=True)
    ]


def twofold_of_operators(wiring: Wiring, own: Sequence[Table], of_sums: Sequence[Table]) -> list[Table]:
    """For each layer, 1 where a value is twofold that counts for it: see :class:`~spacecut.operators.Operator`.

    Args:
        wiring: Of a space.
        own: Whether the value of each layer's operator is.
        of_sums: For a convolution that only a sum reads, whether that sum's is.
    """
    given = through(wiring, own)
    result = []
    for position, layer in enumerate(wiring.layers):
        found = own[position] if layer.kind in SUMS else of_sums[position]
        if layer.kind in POOLINGS:
            (source,) = layer.inputs
            found = _NO if source == NETWORK_INPUT else given[source]
        result.append(Table(found.scope, found.values.astype(np.int64)))
    return result
