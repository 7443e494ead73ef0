"""The form of a space file, checked on load: every key, its type and its meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from spacecut.space.choice import Candidate

__all__ = ["BlockDocument", "ChoiceDocument", "SpaceDocument", "expand_range"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Value = int | float | str
MAX_CANDIDATES = 100_000
MAX_REPEAT = 1_000


def expand_range(text: str) -> list[int]:
    """``1..4`` is 1 2 3 4; ``8..32..8`` is 8 16 24 32."""
    parts = text.split("..")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        raise ValueError(f"{text!r} is no range; write FIRST..LAST or FIRST..LAST..STEP") from None
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and numbers[2] < 1):
        raise ValueError(f"{text!r} is no range; write FIRST..LAST or FIRST..LAST..STEP")
    step = numbers[2] if len(numbers) == 3 else 1
    if (numbers[1] - numbers[0]) // step + 1 > MAX_CANDIDATES:
        raise ValueError(f"{text!r} has more than {MAX_CANDIDATES} candidates")
    return list(range(numbers[0], numbers[1] + 1, step))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChoiceDocument(_Strict):
    """``candidates`` is a list, a range, or a mapping from each candidate to its attributes."""

    candidates: list[Candidate] | dict[Candidate, dict[Name, Value]] | str
    attributes: dict[Name, Value] = {}
    order: Literal["larger", "none"] | list[list[Candidate]] = "none"

    @field_validator("candidates")
    @classmethod
    def _distinct(cls, candidates: Any) -> Any:
        values = expand_range(candidates) if isinstance(candidates, str) else list(candidates)
        if not values:
            raise ValueError("a choice needs at least one candidate")
        if len(set(values)) < len(values):
            raise ValueError("candidates must be distinct")
        if len({isinstance(value, str) for value in values}) > 1:
            raise ValueError("candidates must be all numbers or all names")
        return candidates

    def values(self) -> list[Candidate]:
        """The candidates in order."""
        return list(expand_range(self.candidates)) if isinstance(self.candidates, str) else list(self.candidates)


class BlockDocument(_Strict):
    """Layers with parameters; ``input`` and ``previous`` name the block's input and the layer before."""

    parameters: dict[Name, Value | None] = {}
    layers: Annotated[list[dict[str, dict[str, Any]]], Field(min_length=1)]


class SpaceDocument(_Strict):
    """A whole space file."""

    spacecut: Literal[1]
    name: str
    description: str = ""
    source: str = ""
    input: tuple[PositiveInt, PositiveInt, PositiveInt]
    choices: dict[Name, ChoiceDocument] = {}
    definitions: dict[Name, Value] = {}
    blocks: dict[Name, BlockDocument] = {}
    network: Annotated[list[dict[str, dict[str, Any]]], Field(min_length=1)]
