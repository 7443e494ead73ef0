"""The file that says what a search may draw: ids slot by slot, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spacecut.cut.reduction import load_reduction, saved
from spacecut.errors import InputError
from spacecut.integrations.metapruning.encoding import FAMILIES, SCALES, Family

__all__ = ["FILE", "MetaPruningConfig", "Platform", "Slot", "Table", "read_config", "write_metapruning"]

FILE = "metapruning.json"

_Id = Annotated[int, Field(ge=0, lt=len(SCALES))]
_Ms = Annotated[float, Field(allow_inf_nan=False)]
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Slot(BaseModel):
    """One slot of the space.

    Attributes:
        name: Of the choice.
        ids: What may be drawn, ascending.
        widths: The channels that each id stands for.
        at: Where a candidate of the published search holds it, counted from 0; several places are tied.
    """

    model_config = _STRICT

    name: str
    ids: Annotated[list[_Id], Field(min_length=1)]
    widths: list[int]
    at: list[int]


class Table(BaseModel):
    """Milliseconds over the ids of some slots.

    Attributes:
        slots: Numbers of the slots, ascending; none for what does not depend on any.
        ms: One for each combination of their ids, the last slot's running fastest. Together the tables of a platform
            add up to a latency; one alone may be negative.
    """

    model_config = _STRICT

    slots: list[int]
    ms: list[_Ms]


class Platform(BaseModel):
    """What architectures take on a platform.

    Attributes:
        name: Of the platform, with version and machine.
        tables: Their sum is the latency.
        error: The relative error of that on whole networks; None where it is not known.
        slowdown: The certificate: the most that rounding up to the ids left may cost any architecture; None where
            it is not bounded.
    """

    model_config = _STRICT

    name: str
    tables: list[Table]
    error: _Ms | None
    slowdown: _Ms | None


class MetaPruningConfig(BaseModel):
    """What ``spacecut export --to metapruning`` writes.

    Attributes:
        spacecut_metapruning: Version of the format.
        spacecut: Version of spacecut that wrote it.
        space: Name of the search space, one of ``FAMILIES``.
        slots: In the order of the space's choices.
        platforms: In the order in which the cut was made for them.
    """

    model_config = _STRICT

    spacecut_metapruning: Literal[1] = 1
    spacecut: str
    space: Literal[tuple(FAMILIES)]  # type: ignore[valid-type]
    slots: list[Slot]
    platforms: Annotated[list[Platform], Field(min_length=1)]

    @property
    def family(self) -> Family:
        """How the published scripts write architectures of the space."""
        return FAMILIES[self.space]

    @model_validator(mode="after")
    def _fits(self) -> MetaPruningConfig:
        places = self.family.candidate
        for number, slot in enumerate(self.slots):
            if slot.at != [at for at, held in enumerate(places) if held == number]:
                raise ValueError(f"{slot.name} does not stand where {self.space} has slot {number}")
            if slot.ids != sorted(set(slot.ids)) or len(slot.widths) != len(slot.ids):
                raise ValueError(f"{slot.name} needs ids in ascending order, and a width for each")
        if len(self.slots) != max(places) + 1:
            raise ValueError(f"{self.space} has {max(places) + 1} slots, not {len(self.slots)}")
        for platform in self.platforms:
            for table in platform.tables:
                if any(not 0 <= slot < len(self.slots) for slot in table.slots):
                    raise ValueError(f"a table of {platform.name} is of slots that are not there: {table.slots}")
                wanted = int(np.prod([len(self.slots[slot].ids) for slot in table.slots]))
                if len(table.ms) != wanted:
                    what = f"the table over slots {table.slots} of {platform.name}"
                    raise ValueError(f"{what} has {len(table.ms)} entries, not {wanted}")
        return self


def read_config(path: str | Path) -> MetaPruningConfig:
    """Read what :func:`write_metapruning` wrote.

    Raises:
        InputError: It is missing or no such file.
    """
    try:
        return MetaPruningConfig.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; make it with `spacecut export DIR --to metapruning`") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where + ': ' if where else ''}{first['msg']}; export again") from None


def write_metapruning(directory: Path) -> list[Path]:
    """Write ``metapruning.json`` beside a cut.

    Args:
        directory: What ``cut -o`` or :meth:`Reduction.save` wrote.

    Raises:
        InputError: The directory holds no cut, or a cut of another space.
    """
    import spacecut

    full, reduced, *_ = load_reduction(directory)
    family = FAMILIES.get(full.name)
    if family is None or any(list(c.candidates) != list(range(len(SCALES))) for c in full.choices):
        raise InputError(f"{full.name} is none of the published spaces as they are: {', '.join(FAMILIES)}; cut one")
    kept = [np.asarray(choice.candidates) for choice in reduced.choices]  # of these spaces, numbers are ids
    slots = [
        Slot(
            name=choice.name,
            ids=[int(one) for one in choice.candidates],
            widths=[int(width) for width in choice.attributes["width"]],
            at=[at for at, held in enumerate(family.candidate) if held == number],
        )
        for number, choice in enumerate(reduced.choices)
    ]
    platforms = []
    for _, certificate in saved(directory):
        profile = load_reduction(directory, certificate.platform)[2]
        model = profile.latency_model(full)
        tables = [Table(slots=list(table.scope), ms=table.over(kept).values.ravel().tolist()) for table in model.tables]
        tables.append(Table(slots=[], ms=[model.correction.overhead_ms]))
        error, slowdown = model.correction.error, certificate.slowdown
        platforms.append(
            Platform(
                name=certificate.platform,
                tables=tables,
                error=float(error) if np.isfinite(error) else None,
                slowdown=slowdown if np.isfinite(slowdown) else None,
            )
        )
    config = MetaPruningConfig(spacecut=spacecut.__version__, space=full.name, slots=slots, platforms=platforms)
    path = directory / FILE
    path.write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return [path]
