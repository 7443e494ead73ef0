"""The fields of a layer as tables over the choices, checked against its kind."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spacecut.space.choice import Choice
from spacecut.space.document import MAX_SIZE, TableDocument
from spacecut.space.expressions import evaluate, names_in
from spacecut.space.layers import KINDS, Shape
from spacecut.space.place import Place, PlacedError, hint, placed
from spacecut.space.table import Table, combine

__all__ = [
    "Around", "both", "check_groups", "check_same", "check_some", "check_which", "condition", "evaluated", "field",
    "listed", "ordered",
]  # fmt: skip


@dataclass(frozen=True)
class Around:
    """What holds where a list of layers, or one of them, stands.

    Attributes:
        place: Where it stands.
        names: What names stand for.
        active: Whether it is there.
        blocks: Names of the blocks around it, outermost first.
    """

    place: Place
    names: Mapping[str, Table]
    active: Table
    blocks: tuple[str, ...] = ()


def both(one: Table, other: Table) -> Table:
    """Where two conditions hold."""
    return combine(np.logical_and, one, other)


def ordered(expressions: Mapping[str, Any], place: Place) -> list[str]:
    """Names so that each expression refers only to those before it, or to others."""
    graph: dict[str, set[str]] = {}
    for name, text in expressions.items():
        with placed((*place, name)):
            graph[name] = names_in(text) & set(expressions)
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        cycle = error.args[1][::-1]
        raise PlacedError((*place, cycle[0]), f"cyclic reference {' -> '.join(cycle)}; break the circle") from None


def evaluated(value: Any, names: Mapping[str, Table], place: Place) -> Table:
    """The value of an expression that stands in ``place``."""
    with placed(place):
        return evaluate(value, names)


def listed(table: TableDocument, choices: Sequence[Choice], place: Place) -> Table:
    """The values that a definition lists for every combination of some choices."""
    positions = {choice.name: position for position, choice in enumerate(choices)}
    for number, name in enumerate(table.over):
        if name not in positions:
            raise PlacedError((*place, "over", number), f"no choice {name!r}; {hint(name, positions)}")
    scope = [positions[name] for name in table.over]
    lengths = tuple(len(choices[position]) for position in scope)
    values = table.array()
    if values.shape != lengths:
        wanted = " of ".join(f"{length}" for length in lengths)
        raise PlacedError((*place, "values"), f"it has other than lists of {wanted} values; give one a combination")
    return Table(tuple(sorted(scope)), values.transpose(np.argsort(scope)))


def condition(text: Any, names: Mapping[str, Table], place: Place) -> Table:
    """A condition over the choices."""
    table = evaluated(text, names, place)
    if table.values.dtype.kind != "b":
        raise PlacedError(place, f"{text!r} is no condition; compare, as in depth >= 3")
    return table


def field(kind: str, key: str, body: Mapping[str, Any], around: Around) -> Table:
    """A field of a layer; where the layer is not there, any value will do, and a proper one stands in."""
    rules = KINDS[kind]
    if key not in body and key in rules.required:
        raise PlacedError(around.place, f"{kind} needs the field {key!r}; give it")
    text = body.get(key, rules.defaults.get(key))
    place = (*around.place, key)
    words = rules.words.get(key)
    if words and isinstance(text, str) and text.isidentifier() and text not in around.names:
        raise PlacedError(place, f"unknown word {text!r}; {hint(text, words)}")
    table = evaluated(text, around.names, place)
    if words:
        wrong, mend = ~np.isin(table.values, words), f"use one of {', '.join(words)}"
    else:
        if table.values.dtype.kind not in "iu":
            mend = "wrap it in int(...)" if table.values.dtype.kind == "f" else "give a whole number"
            raise PlacedError(place, f"{text!r} is not a whole number; {mend}")
        wrong, mend = (table.values < 1) | (table.values > MAX_SIZE), f"give 1 to {MAX_SIZE}"
    with placed(place):
        bad = both(Table(table.scope, wrong), around.active)
    if bad.values.any():
        value = _first(table, bad)
        raise PlacedError(
            place, f"{text!r} gives {value}; {mend}" if isinstance(text, str) else f"it is {value}; {mend}"
        )
    return Table(table.scope, np.where(wrong, words[0] if words else 1, table.values)).reduced()


def check_same(one: Shape, other: Shape, around: Around, channels: bool = True) -> None:
    """Two inputs of one shape, or only of one height and width.

    Raises:
        PlacedError: They differ.
    """
    for name, a, b in list(zip(("channels", "height", "width"), one, other, strict=True))[not channels :]:
        differs = combine(lambda x, y, on: (x != y) & on, a, b, around.active)
        if differs.values.any():
            sizes = f"{_first(a, differs)} and {_first(b, differs)}"
            raise PlacedError(around.place, f"its inputs differ in {name} ({sizes}); tie them or use 'when'")


def check_some(shape: Shape, around: Around) -> None:
    """An input that is there.

    Raises:
        PlacedError: It has no channels.
    """
    if both(Table(shape[0].scope, shape[0].values == 0), around.active).values.any():
        raise PlacedError(around.place, "its input may be empty; only concat leaves that out")


def check_which(which: Table, inputs: int, around: Around) -> None:
    """The input that is selected.

    Raises:
        PlacedError: There are not so many.
    """
    if (bad := both(Table(which.scope, which.values > inputs), around.active)).values.any():
        raise PlacedError((*around.place, "which"), f"there is no input {_first(which, bad)}; give 1 to {inputs}")


def check_groups(fields: Mapping[str, Table], shape: Shape, around: Around) -> None:
    """Groups of a convolution that reads ``shape``.

    Raises:
        PlacedError: They do not divide its channels.
    """
    channels = (shape[0], fields["out_channels"], fields["groups"])
    uneven = combine(lambda i, o, g, on: ((i % g != 0) | (o % g != 0)) & on, *channels, around.active)
    if uneven.values.any():
        i, o, g = (_first(table, uneven) for table in channels)
        problem = f"{g} does not divide both {i} input and {o} output channels; change one of them"
        raise PlacedError((*around.place, "groups"), problem)


def _first(table: Table, where: Table) -> Any:
    """The value of a table at the first place where a condition over a wider scope holds."""
    return np.broadcast_to(table.over(where.scope), where.values.shape)[where.values][0]
