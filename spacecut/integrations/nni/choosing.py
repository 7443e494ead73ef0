"""Where a model space chooses: between layers, inputs, and how often a block is repeated.

All that may be chosen is recorded, and a ``select`` behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from spacecut.integrations.nni.labels import Listed
from spacecut.integrations.nni.order import Branch, not_worse
from spacecut.integrations.nni.recording import Recorder, Value

__all__ = ["each", "inputs_chosen", "layer_chosen", "repeated", "selected"]


def selected(recorder: Recorder, which: Listed, found: Sequence[Any], shown: int = 0) -> Any:
    """The one of several values, or structures of values, that ``which`` names, counted from 1.

    Args:
        recorder: The recording.
        which: Over the labels.
        found: What there is to select from.
        shown: Whose shape the result has: that of the space's own default.
    """
    first = found[shown]
    if isinstance(first, list | tuple):
        if any(not isinstance(other, list | tuple) or len(other) != len(first) for other in found):
            raise recorder.refuse("what may be chosen gives different numbers of values")
        return type(first)(selected(recorder, which, pieces, shown) for pieces in zip(*found, strict=True))
    if not all(isinstance(other, Value) for other in found):
        if all(other is first for other in found):
            return first
        raise recorder.refuse("what may be chosen gives other things than tensors")
    sources = [recorder.settled(value) for value in found]
    if len(set(sources)) == 1:
        return recorder.value(first, sources[0])
    values = [recorder.value(value, source) for value, source in zip(found, sources, strict=True)]
    return recorder.put("select", values, first, which=which)


def each(recorder: Recorder, labels: Sequence[str], found: Sequence[Any]) -> Any:
    """One of the values there are for every combination of the labels' values."""
    lengths = [len(recorder.labels.values(label)) for label in labels]
    for label, length in zip(labels, lengths, strict=True):
        recorder.judge(label, np.eye(length, dtype=bool))
    order = [label for label in recorder.labels if label in labels]
    numbers = np.arange(1, len(found) + 1).reshape(lengths).transpose([labels.index(label) for label in order])
    return selected(recorder, Listed(tuple(order), numbers), found)


def _run(module: Any, args: Sequence[Any]) -> Any:
    return module(*args)


def layer_chosen(recorder: Recorder, module: Any, *args: Any) -> Any:
    """One of the layers of a ``LayerChoice``."""
    names = list(module.names)
    branches = [Branch.of(recorder, partial(_run, module[name], args), args) for name in names]
    values = recorder.labels.values(module.label)
    places = [names.index(value) for value in values]
    recorder.judge(module.label, not_worse(recorder, [branches[place] for place in places]))
    which = Listed((module.label,), np.asarray(places) + 1)
    return selected(recorder, which, [branch.output for branch in branches], names.index(module._dry_run_choice))


def inputs_chosen(recorder: Recorder, module: Any, inputs: Sequence[Value]) -> Any:
    """Some of the inputs of an ``InputChoice``, joined as it joins them."""
    chosen = recorder.labels.values(module.label)
    recorder.judge(module.label, np.eye(len(chosen), dtype=bool))
    if all(len(some) == 1 for some in chosen):
        which = Listed((module.label,), np.asarray([some[0] + 1 for some in chosen]))
        value = selected(recorder, which, inputs, module._dry_run_choice[0])
        return [value] if module.reduction == "none" else value
    if module.reduction not in ("sum", "mean", "concat"):
        raise recorder.refuse(f"it chooses several inputs and reduces them by {module.reduction!r}; sum, mean and"
                              " concat are known")  # fmt: skip
    if any(not some for some in chosen):
        raise recorder.refuse("it may choose no input at all; give n_chosen")
    kept = []
    for number, value in enumerate(inputs):
        away = Listed((module.label,), np.asarray([number not in some for some in chosen]))
        kept.append(recorder.put("empty" if module.reduction == "concat" else "zero", [value], value, when=away))
    result = recorder.put("concat" if module.reduction == "concat" else "add", kept, inputs[0])
    return recorder.put("scale", [result], inputs[0]) if module.reduction == "mean" else result


def repeated(recorder: Recorder, module: Any, value: Any) -> Any:
    """The blocks of a ``Repeat``, as many as its depth says."""
    depth = recorder.labels.listed(module.depth_choice)
    reached = [value]
    for block in list(module.blocks)[: int(depth.values.max())]:
        reached.append(block(reached[-1]))
    recorder.judge_larger(depth)
    depths, places = np.unique(depth.values, return_inverse=True)
    which = Listed(depth.labels, places.reshape(depth.values.shape) + 1)
    return selected(recorder, which, [reached[d] for d in depths], list(depths).index(module._dry_run_depth))
