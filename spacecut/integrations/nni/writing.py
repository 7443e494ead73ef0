"""A recording as the content of a space file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.integrations.nni.labels import Labels, Listed, choice_name
from spacecut.integrations.nni.recording import INPUT, Entry
from spacecut.space import SearchSpace
from spacecut.space.document import SpaceDocument
from spacecut.space.layers import KINDS

__all__ = ["Order", "written_space"]

Order = str | Sequence[Sequence[Any]]
"""``larger``, ``none``, or chains of candidates in which each is not worse than those before it."""

_DEFAULTS: dict[str, Any] = {"stride": 1, "groups": 1, "dilation": 1}


def written_space(
    name: str,
    input_shape: tuple[int, int, int],
    labels: Labels,
    entries: Sequence[Entry],
    not_worse: Mapping[str, np.ndarray],
    *,
    order: Mapping[str, Order],
) -> SearchSpace:
    """The space of a recording whose last entry gives the output.

    Raises:
        InputError: No operator depends on any choice, or an order is of no such choice.
    """
    writer = _Writer(labels)
    network = writer.network(entries)
    used = [label for label in labels if label in writer.used]
    if strange := [label for label in order if label not in used]:
        raise InputError(f"an order is given for {strange[0]!r}, which no operator depends on; leave it out")
    choices = {
        choice_name(label): {
            "candidates": list(labels.candidates(label)),
            "order": order[label] if label in order else _order(labels.candidates(label), not_worse.get(label)),
        }
        for label in used
    }
    document = SpaceDocument.model_validate(
        {
            "spacecut": 1,
            "name": name,
            "input": list(input_shape),
            "choices": choices,
            "definitions": writer.definitions,
            "network": network,
        }
    )
    return SearchSpace(document)


def _order(candidates: Sequence[Any], not_worse: np.ndarray | None) -> Order:
    """The order that a relation ``[i, j]`` between candidates amounts to."""
    if not_worse is None:
        return "none"
    if not isinstance(candidates[0], str):
        values = np.asarray(candidates, dtype=float)
        if np.array_equal(not_worse, not_worse | (values[None, :] >= values[:, None])):
            return "larger"
    pairs = np.argwhere(not_worse & ~np.eye(len(candidates), dtype=bool))
    through = [
        (i, j)
        for i, j in pairs
        if not any(
            not_worse[i, k] and not_worse[k, j] and not (not_worse[k, i] or not_worse[j, k])
            for k in range(len(candidates))
            if k not in (i, j)
        )
    ]
    return [[candidates[i], candidates[j]] for i, j in through] or "none"


class _Writer:
    def __init__(self, labels: Labels) -> None:
        self.definitions: dict[str, Any] = {}
        self.used: set[str] = set()
        self._labels = labels
        self._known: dict[tuple[Any, ...], str] = {}

    def network(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """The layers, named where another than the next one reads them."""
        joining = [len(entry.inputs) > 1 or bool(KINDS[entry.kind].joins) for entry in entries]
        read_later = {
            source
            for number, (entry, joins) in enumerate(zip(entries, joining, strict=True))
            for source in entry.inputs
            if source != INPUT and (joins or source != number - 1)
        }
        names = {INPUT: "input", **{number: f"{entries[number].path}#{number}" for number in read_later}}
        layers = []
        for number, entry in enumerate(entries):
            fields = {key: self._field(value) for key, value in entry.fields.items()}
            body: dict[str, Any] = {key: value for key, value in fields.items() if _DEFAULTS.get(key) != value}
            if entry.when is not None:
                body["when"] = self._field(entry.when)
            if joining[number]:
                body["inputs"] = [names[source] for source in entry.inputs]
            elif entry.inputs[0] != number - 1:
                body["input"] = names[entry.inputs[0]]
            if number in read_later:
                body["name"] = names[number]
            layers.append({entry.kind: body})
        return layers

    def _field(self, value: Listed | str) -> Any:
        if isinstance(value, str):  # a word, or an expression over choices by their names
            for name, label in self._labels.by_name.items():
                if f"{name} ==" in value:
                    self.used.add(label)
            return value
        listed = _reduced(value)
        if not listed.labels:
            return listed.values.item()
        self.used.update(listed.labels)
        content = listed.values.tolist()
        key = (listed.labels, str(content))
        if key not in self._known:
            name = f"table{len(self._known)}"
            self._known[key] = f"_{name}" if name in self._labels.by_name else name
            self.definitions[self._known[key]] = {
                "over": [choice_name(label) for label in listed.labels],
                "values": content,
            }
        return self._known[key]


def _reduced(listed: Listed) -> Listed:
    """The same without the labels that it does not depend on."""
    labels, values = list(listed.labels), listed.values
    for label in listed.labels:
        axis = labels.index(label)
        if np.all(values == values.take([0], axis=axis)):
            values = values.take(0, axis=axis)
            labels.remove(label)
    return Listed(tuple(labels), values)
