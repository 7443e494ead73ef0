"""Which operators do again what an earlier one does to the same value.

Two poolings of one value, with nothing to tell them apart, give one result, and a compiler may compute it once (common
subexpressions; Cocke, SIGPLAN Notices 5(7), 1970). Whether a runtime does so is measured; here it is only found out
where it could.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from spacecut.operators.operator import WEIGHTLESS
from spacecut.operators.reading import Wiring
from spacecut.space.table import Table, combine, constant, held, levels
from spacecut.space.walk import NETWORK_INPUT, Layer

__all__ = ["twins"]

_NO = constant(False)
_NOWHERE = constant(np.int64(NETWORK_INPUT - 1))


def twins(wiring: Wiring) -> list[Table]:
    """Whether each layer of a space does what an earlier one does to the same value.

    Pairs for which that depends on too many choices at once are taken to differ; a concrete network tells them all the
    same.
    """
    layers, there, live = wiring.layers, wiring.there, wiring.live
    result = [_NO] * len(layers)
    value: dict[int, Table] = {NETWORK_INPUT: constant(np.int64(NETWORK_INPUT))}  # the layer that first has it
    able = defaultdict[tuple[str, int], list[int]](list)  # by kind and by what they may read
    for position, layer in enumerate(layers):
        mine = constant(np.int64(position))
        for source, passes in zip(layer.inputs, wiring.passed[position], strict=True):
            mine = held(mine, np.where, passes, value[source], mine).reduced()
        if layer.kind in WEIGHTLESS:
            here = held(there[position], np.logical_and, there[position], live[position])
            read, _ = levels(held(value[layer.inputs[0]], np.where, here, value[layer.inputs[0]], _NOWHERE).values)
            for other in sorted({one for origin in read[read >= NETWORK_INPUT] for one in able[layer.kind, origin]}):
                again = _alike(layers, position, other, value, (there[position], there[other], live[other]))
                if again.values.any():
                    result[position] = held(result[position], np.logical_or, result[position], again).reduced()
                    mine = held(mine, np.where, again, value[other], mine).reduced()
            for origin in read:
                able[layer.kind, origin].append(position)
        value[position] = mine
    return result


def _alike(
    layers: Sequence[Layer], position: int, other: int, value: Mapping[int, Table], conditions: Sequence[Table]
) -> Table:
    """Whether two layers of a kind read the same value and do the same to it, under conditions."""
    layer, its = layers[position].fields, layers[other].fields
    pairs = [(layer[name], its[name]) for name in layer]
    if any(not np.isin(one.values, another.values).any() for one, another in pairs):
        return _NO
    pairs = [pair for pair in pairs if pair[0].values.size * pair[1].values.size > 1]
    source = layers[position].inputs[0]
    same = held(_NO, np.equal, value[source], value[layers[other].inputs[0]]).reduced()
    if not same.values.any():
        return _NO
    if source != NETWORK_INPUT:
        conditions = [*conditions, combine(np.logical_not, layers[source].zero)]
    for one, another in pairs:
        same = held(_NO, lambda so_far, a, b: so_far & (a == b), same, one, another)
    return held(_NO, lambda *all_of: functools.reduce(np.logical_and, all_of), same, *conditions).reduced()
