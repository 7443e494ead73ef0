"""A precision to choose for every layer that can be quantised, so that a cut may mix precisions.

Every layer with weights gets a choice of its own between int8 and the platform's own precision, which is not worse.
What has none (an activation, a pooling, a sum) is computed in what the layer that it reads first is computed in, so
that no conversion is asked for where nobody could gain by it, and each choice has an effect on its neighbours only.
"""

from __future__ import annotations

from spacecut.errors import InputError
from spacecut.operators.operator import WEIGHTED
from spacecut.space import SearchSpace
from spacecut.space.document import ChoiceDocument
from spacecut.space.layers import PRECISIONS
from spacecut.space.table import union
from spacecut.space.walk import NETWORK_INPUT

__all__ = ["mix"]

_PLATFORM, *_OTHERS = PRECISIONS
_NAME = "precision"


def mix(space: SearchSpace, precision: str = "int8") -> SearchSpace:
    """The space with the precision of each layer as a choice, ``precision0`` and so on in order of execution.

    Args:
        space: The space; its layers say nothing of a precision.
        precision: What may take the place of the platform's own, and is not better.

    Raises:
        InputError: There is no such precision, the space chooses precisions already, or no layer has weights.
    """
    if precision not in _OTHERS:
        raise InputError(f"no precision {precision!r} to mix; use {', '.join(_OTHERS)}")
    words = [layer.fields["precision"].values for layer in space.layers if "precision" in layer.fields]
    if any((values != _PLATFORM).any() for values in words):
        raise InputError(f"{space.name}: its layers have precisions already; cut it without --mix")
    given = space.document.choices
    choices: dict[str, ChoiceDocument] = {}  # in the order in which layers ask for them: exact answers go along it
    names: list[str] = []
    count = 0
    for layer in space.layers:
        for position in union((*layer.fields.values(), layer.active)):
            name = space.choices[position].name
            choices[name] = given[name]
        read = layer.inputs[0]
        followed = _PLATFORM if read == NETWORK_INPUT else names[read]
        if layer.kind in WEIGHTED:
            followed = f"{_NAME}{count}"
            count += 1
            if followed in given:
                raise InputError(f"{space.name}: there is a choice {followed!r} already; give it another name")
            choices[followed] = ChoiceDocument(candidates=[precision, _PLATFORM], order=[[precision, _PLATFORM]])
        names.append(followed)
    if not count:
        raise InputError(f"{space.name}: no layer has weights; there is nothing to quantise")
    changed = {"choices": {**choices, **given}, "precisions": names, "name": f"{space.name}, {precision} mixed in"}
    return SearchSpace(space.document.model_copy(update=changed))
