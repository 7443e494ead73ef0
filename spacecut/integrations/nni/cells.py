"""NNI's ``Cell``: nodes that sum operators, each of which chooses its input.

A reduction cell's operator depends on the input chosen, as it strides only over what comes from outside; so each kind
of operator is recorded for the inputs that it is made for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from nni.nas.nn.pytorch import LayerChoice

from spacecut.integrations.nni.choosing import selected
from spacecut.integrations.nni.labels import Listed, choice_name
from spacecut.integrations.nni.order import Branch, not_worse
from spacecut.integrations.nni.recording import Recorder, Value

__all__ = ["call_cell"]


def call_cell(recorder: Recorder, cell: Any, *inputs: Any) -> Any:
    """Run a cell of a model space; one that is frozen is run by its own code."""
    if not isinstance(cell.ops[0][0], LayerChoice):
        return NotImplemented
    given = list(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], list) else list(inputs)
    states = list(cell.preprocessor(given))
    for node, (operators, choices) in enumerate(zip(cell.ops, cell.inputs, strict=True), cell.num_predecessors):
        found = [
            _operator(recorder, cell, (node, place), operator, choice, states=states)
            for place, (operator, choice) in enumerate(zip(operators, choices, strict=True))
        ]
        states.append(recorder.put("stack_sum", found, found[0]))
    nodes = states[cell.num_predecessors :]
    shape = recorder.shape_of(_Concatenation(), nodes)
    if cell.merge_op == "loose_end":
        nodes = [_loose(recorder, cell, number, value) for number, value in enumerate(nodes, cell.num_predecessors)]
    return cell.postprocessor(recorder.put("concat", nodes, shape), given)


class _Concatenation(torch.nn.Module):
    def forward(self, values: list[torch.Tensor]) -> torch.Tensor:
        """All channels side by side."""
        return torch.cat(values, 1)


def _operator(
    recorder: Recorder, cell: Any, place: tuple[int, int], operator: Any, choice: Any, *, states: Sequence[Value]
) -> Value:
    """One operator of a node on the input that it chooses."""
    factories = cell.op_candidates_factory
    inputs = [some[0] for some in recorder.labels.values(choice.label)]
    recorder.judge(choice.label, np.eye(len(inputs), dtype=bool))
    if factories is None:
        value: Value = operator(choice(list(states)))
        return value
    groups: dict[str, tuple[dict[Any, torch.nn.Module], list[int]]] = {}
    for number in inputs:
        modules = _made(factories, place, number)
        groups.setdefault(repr(modules), (modules, []))[1].append(number)
    outputs, group_of = [], np.ones(len(inputs), dtype=np.int64)
    for position, (modules, numbers) in enumerate(groups.values(), 1):
        within = np.asarray([numbers.index(number) + 1 if number in numbers else 1 for number in inputs])
        group_of[[inputs.index(number) for number in numbers]] = position
        value = selected(recorder, Listed((choice.label,), within), [states[number] for number in numbers])
        outputs.append(_one_of(recorder, operator.label, modules, value))
    result: Value = selected(recorder, Listed((choice.label,), group_of), outputs)
    return result


def _made(factories: Any, place: tuple[int, int], number: int) -> dict[Any, torch.nn.Module]:
    """The candidates of an operator that reads state ``number``."""
    named = factories if isinstance(factories, Mapping) else {str(n): made for n, made in enumerate(factories)}
    return {name: made(*place, number).eval() if callable(made) else made for name, made in named.items()}


def _one_of(recorder: Recorder, label: str, modules: Mapping[Any, torch.nn.Module], value: Value) -> Any:
    for name, module in modules.items():
        recorder.know(module, f"{recorder.path}.{name}")
    values = recorder.labels.values(label)
    branches = [Branch.of(recorder, partial(modules[name], value), (value,)) for name in values]
    recorder.judge(label, not_worse(recorder, branches))
    which = Listed((label,), np.arange(1, len(values) + 1))
    return selected(recorder, which, [branch.output for branch in branches])


def _loose(recorder: Recorder, cell: Any, number: int, value: Value) -> Value:
    """A node's value, empty where a later node reads it."""
    readers = [
        f"{choice_name(choice.label)} == {number}"
        for node, choices in enumerate(cell.inputs, cell.num_predecessors)
        for choice in choices
        if node > number
    ]
    return recorder.put("empty", [value], value, when=" or ".join(readers)) if readers else value
