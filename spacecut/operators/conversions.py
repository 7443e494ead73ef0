"""Which operators' outputs a runtime must convert, since operators of another precision read them.

A runtime that mixes precisions quantises or dequantises a value between two operators that differ in theirs, and may
lay it out anew. What that takes is measured as a part of the operator that gives the value, so latency stays a sum over
the operators; here it is only found out how many readers there are to convert for.
"""

from __future__ import annotations

import numpy as np

from spacecut.operators.reading import Wiring, reads
from spacecut.space.layers import PRECISIONS
from spacecut.space.table import Table, combine, constant, held
from spacecut.space.walk import Layer

__all__ = ["converted_reads", "own_precision"]


def own_precision(layer: Layer) -> Table:
    """Whether a layer is of a precision that is not the platform's."""
    return combine(lambda word: word != PRECISIONS[0], layer.fields.get("precision", constant(PRECISIONS[0])))


def converted_reads(wiring: Wiring) -> list[Table]:
    """For each layer of a space, how many times operators of another precision read its value.

    Where that depends on too many choices at once, none are counted; a concrete network counts them all the same.
    """
    nothing = constant(np.int64(0))
    own = [own_precision(layer) for layer in wiring.layers]
    if not any(table.values.any() for table in own):
        return [nothing] * len(own)
    counted = [combine(np.logical_and, on, table).reduced() for on, table in zip(wiring.there, own, strict=True)]
    others = [combine(lambda on, o: on & ~o, on, table).reduced() for on, table in zip(wiring.there, own, strict=True)]
    alike, unlike = (reads(wiring, which, output=0, otherwise=0) for which in (others, counted))
    return [
        held(nothing, np.where, table, plain, special).reduced()
        for table, plain, special in zip(own, alike, unlike, strict=True)
    ]
