"""Where a choice has an effect; only there can the candidate that it takes be worth anything.

The kernel of a block beyond the chosen depth changes nothing about a network, nor does the operator of an edge out of
a node that nothing reaches. Whether a choice has an effect is told from the operators alone: there is a layer whose
operator differs between its candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.space.table import Table, constant, held

__all__ = ["effects_of"]


def effects_of(choices: int, factors: Sequence[Table]) -> tuple[Table, ...]:
    """For each choice, whether it has an effect, over the candidates of the other choices that this depends on.

    Where it depends on too many of them at once, the choice is taken to have one always.

    Args:
        choices: How many choices there are.
        factors: Operator numbers of the layers.
    """
    found = [constant(False)] * choices
    for factor in factors:
        for axis, choice in enumerate(factor.scope):
            differs = (factor.values != factor.values.take([0], axis=axis)).any(axis=axis)
            here = Table(factor.scope[:axis] + factor.scope[axis + 1 :], differs)
            found[choice] = held(constant(True), np.logical_or, found[choice], here).reduced()
    return tuple(found)
