"""The form of a space file, checked on load: every key, its type and its meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, field_validator

from spacecut.space.choice import Candidate
from spacecut.space.expressions import MAX_NUMBER

__all__ = [
    "MAX_REPEAT", "MAX_SIZE", "TAGS", "BlockDocument", "ChoiceDocument", "SpaceDocument", "TableDocument",
    "expand_range",
]  # fmt: skip

MAX_CANDIDATES = 10_000
MAX_REPEAT = 1_000
MAX_SIZE = 1_000_000

TAGS = ("<list>", "<mapping>", "<text>")
"""Which form of a field was given; pydantic names it in the places of its errors."""


def expand_range(text: str) -> list[int]:
    """``1..4`` is 1 2 3 4; ``8..32..8`` is 8 16 24 32."""
    try:
        numbers = [int(part) for part in text.split("..")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and numbers[2] < 1):
        raise ValueError(f"{text!r} is no range; write FIRST..LAST or FIRST..LAST..STEP, or a list")
    if max(map(abs, numbers)) > MAX_NUMBER:
        raise ValueError(f"{text!r} goes beyond {MAX_NUMBER}; stay within it")
    first, last, step = (*numbers, 1)[:3]
    if (last - first) // step >= MAX_CANDIDATES:
        raise ValueError(f"{text!r} has more than {MAX_CANDIDATES} candidates; give a larger step")
    return list(range(first, last + 1, step))


def _number_or_text(value: Any) -> bool | int | float | str:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        if abs(value) <= MAX_NUMBER:
            return value
        raise ValueError(f"it is too large or no number; stay within {MAX_NUMBER}")
    shown = "nothing" if value is None else f"a {type(value).__name__}"
    raise ValueError(f"it is {shown}; give a number, a word or an expression")


def _range(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it has no candidates; give a list, a range such as 8..64..8, or a mapping to attributes")
    expand_range(value)
    return value


def _candidate(value: Any) -> Candidate:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no candidate; give a number, or put the name in quotes")
    value = _number_or_text(value)
    return _one_line(value) if isinstance(value, str) else value


def _one_line(text: str) -> str:
    if not (text.strip() and text.isprintable()):
        raise ValueError(f"{text!r} is no name; give it one line of printable characters")
    return text


def _field(value: Any) -> bool | int | float | str | list[str]:
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return value
    if isinstance(value, list):
        raise ValueError("it is no list of layer names; give at least one, each a word")
    return _number_or_text(value)


def _size(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError("it is no size; give channels, height and width, as in [3, 224, 224]")
    for number in value:
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_SIZE:
            raise ValueError(f"channels, height and width are whole numbers from 1 to {MAX_SIZE}; change them")
    return value[0], value[1], value[2]


def _version(value: Any) -> int:
    if value != 1 or isinstance(value, bool):
        raise ValueError("it is no version of the file format; give 1")
    return 1


def _form(value: Any) -> str:
    return TAGS[0] if isinstance(value, list) else TAGS[1] if isinstance(value, dict) else TAGS[2]


Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Text = Annotated[str, AfterValidator(_one_line)]
Value = Annotated[bool | int | float | str, PlainValidator(_number_or_text)]
CandidateValue = Annotated[int | float | str, PlainValidator(_candidate)]
Layers = Annotated[
    list[dict[Text, dict[Text, Annotated[bool | int | float | str | list[str], PlainValidator(_field)]]]],
    Field(min_length=1),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChoiceDocument(_Strict):
    """``candidates`` is a list, a range, or a mapping from each candidate to its attributes."""

    candidates: Annotated[
        Annotated[list[CandidateValue], Tag(TAGS[0])]
        | Annotated[dict[CandidateValue, dict[Name, Value]], Tag(TAGS[1])]
        | Annotated[str, PlainValidator(_range), Tag(TAGS[2])],
        Discriminator(_form),
    ]
    attributes: dict[Name, Value] = {}
    order: Annotated[
        Annotated[list[list[CandidateValue]], Tag(TAGS[0])] | Annotated[Literal["larger", "none"], Tag(TAGS[2])],
        Discriminator(lambda value: TAGS[0] if isinstance(value, list) else TAGS[2]),
    ] = "none"

    @field_validator("candidates")
    @classmethod
    def _distinct(cls, candidates: Any) -> Any:
        values = expand_range(candidates) if isinstance(candidates, str) else list(candidates)
        if not values:
            raise ValueError("it has no candidates; give at least one")
        if len(values) > MAX_CANDIDATES:
            raise ValueError(f"it has more than {MAX_CANDIDATES} candidates; leave some out")
        seen: set[Candidate] = set()
        for value in values:
            if value in seen:
                raise ValueError(f"the candidate {value!r} is given twice; remove one")
            seen.add(value)
        if len({isinstance(value, str) for value in values}) > 1:
            raise ValueError("candidates are numbers and names; give all numbers, or put all in quotes")
        return candidates

    def values(self) -> list[Candidate]:
        """The candidates in order."""
        return list(expand_range(self.candidates)) if isinstance(self.candidates, str) else list(self.candidates)


class BlockDocument(_Strict):
    """Layers with parameters; ``input`` and ``previous`` name the block's input and the layer before."""

    parameters: dict[Name, Value | None] = {}
    layers: Layers


class TableDocument(_Strict):
    """A definition by its values for every combination of some choices: lists of lists in the order of ``over``."""

    over: Annotated[list[Name], Field(min_length=1)]
    values: Annotated[list[Any], Field(min_length=1)]

    @field_validator("values")
    @classmethod
    def _regular(cls, values: list[Any]) -> list[Any]:
        leaves = list(_leaves(values))
        for leaf in leaves:
            _number_or_text(leaf)
        if len({isinstance(leaf, str) for leaf in leaves}) > 1:
            raise ValueError("its values are words and numbers; give one of them")
        return values

    def array(self) -> np.ndarray:
        """The values with one axis for each choice of ``over``; of no shape at all where lists differ in length."""
        try:
            return np.asarray(self.values)
        except ValueError:
            return np.empty(0)

    def taken(self, kept: Mapping[str, Sequence[int]]) -> TableDocument:
        """The values of only some candidates, given by their positions, of the choices named."""
        values = self.array()
        for axis, name in enumerate(self.over):
            if name in kept:
                values = values.take(kept[name], axis=axis)
        return self.model_copy(update={"values": values.tolist()})


def _leaves(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _leaves(value)
        else:
            yield value


class SpaceDocument(_Strict):
    """A whole space file."""

    spacecut: Annotated[int, PlainValidator(_version)]
    name: Text
    description: str = ""
    source: str = ""
    input: Annotated[tuple[int, int, int], PlainValidator(_size)]
    choices: dict[Name, ChoiceDocument] = {}
    definitions: dict[
        Name,
        Annotated[
            Annotated[TableDocument, Tag(TAGS[1])] | Annotated[Value, Tag(TAGS[2])],
            Discriminator(lambda value: TAGS[1] if isinstance(value, dict | TableDocument) else TAGS[2]),
        ],
    ] = {}
    blocks: dict[Name, BlockDocument] = {}
    network: Layers
    precisions: list[Text] = []
    """The field ``precision`` of each layer that does not give it, in order of execution; or nothing."""
