"""A recorded platform: what candidates cost somewhere else, as a file that a person can read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spacecut.errors import InputError
from spacecut.latency.correction import Correction
from spacecut.latency.estimator import Costs
from spacecut.latency.model import LatencyModel
from spacecut.operators import Factor, expand
from spacecut.space import SearchSpace

__all__ = ["Accuracy", "CostTable", "RecordedPlatform", "read_recorded"]

_VERSION = 1
_Ms = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Name = int | float | str


@dataclass(frozen=True)
class Accuracy:
    """How well networks were predicted that a fit had not seen.

    Attributes:
        networks: How many.
        within_5_percent, within_10_percent: Share of them predicted within so much of what they took.
        rank_correlation: Spearman's, between predicted and measured; 0 where it is not defined.
        mean_error: Mean absolute relative error.
        spread: Relative standard error, from the one that 90 % of the networks stay within.
    """

    networks: int
    within_5_percent: _Share
    within_10_percent: _Share
    rank_correlation: float
    mean_error: _Ms
    spread: _Ms


@dataclass(frozen=True)
class CostTable:
    """What the combinations of some choices' candidates cost.

    Attributes:
        choices: Names of the choices.
        candidates: Of each of them.
        ms: Milliseconds of each combination, the last choice running fastest. Where they come of whole networks, the
            cheapest has none: it is in the overhead.
        error_ms: Standard errors, of what tells a combination from the mean of the others.
    """

    choices: tuple[str, ...]
    candidates: tuple[tuple[_Name, ...], ...]
    ms: tuple[_Ms, ...]
    error_ms: tuple[_Ms, ...]


@dataclass(frozen=True)
class RecordedPlatform:
    """A platform known, for one space, by latencies of whole networks or of single operators.

    Attributes:
        space: Name of the space.
        source: Name of the file of latencies.
        column: Its column, which names the device.
        networks: How many networks, operators or blocks the costs come of.
        seed: What they were drawn by; None where all were taken.
        fitted_at: When, ISO 8601 in UTC.
        explained_by: ``choices``; ``operators`` where it predicts better that choices share theirs; ``interactions``
            where candidates cost more or less with those of other choices; or ``operators measured alone`` or ``blocks
            measured alone``.
        overhead_ms: What every network takes.
        held_out: Accuracy on networks left out in turn (cross-validation); None where nothing was estimated.
        left_out: Accuracy on the networks of the file that were not drawn; None where there were none.
        tables: The costs.
    """

    file_name = "profile.json"

    space: str
    source: str
    column: str
    networks: int
    seed: int | None
    fitted_at: str
    explained_by: str
    overhead_ms: _Ms
    held_out: Accuracy | None
    left_out: Accuracy | None
    tables: tuple[CostTable, ...]

    def __repr__(self) -> str:
        return f"RecordedPlatform({self.space!r} on {self.platform})"

    @property
    def platform(self) -> str:
        """What it is, for a person."""
        return f"{self.column}, recorded in {self.source}"

    def latency_model(self, space: SearchSpace) -> LatencyModel:
        """The latency of every architecture of the space, or of what is left of it.

        Raises:
            InputError: It is another space.
        """
        if space.name != self.space:
            raise InputError(f"{self.platform} is known on the space {self.space} only, not on {space.name}")
        known = {name for table in self.tables for name in table.choices}
        if unknown := [choice.name for choice in space.choices if choice.name not in known]:
            raise InputError(f"{self.platform}: nothing is known of the choice {unknown[0]!r}; fit it again")
        found = [_over(table, space) for table in self.tables]
        mean = np.concatenate([ms.ravel() for _, ms, _ in found])
        error = np.concatenate([errors.ravel() for _, _, errors in found])
        numbers = np.split(np.arange(len(mean)), np.cumsum([ms.size for _, ms, _ in found])[:-1])
        factors = [
            Factor(-1, scope, number.reshape(ms.shape)) for (scope, ms, _), number in zip(found, numbers, strict=True)
        ]
        costs = Costs(mean, error, np.full(len(mean), self.networks))
        spread = math.nan if self.held_out is None else self.held_out.spread
        correction = Correction(self.overhead_ms, spread, self.networks)
        return LatencyModel(expand(space), costs, correction, tuple(factors))

    def save(self, path: str | Path) -> None:
        """Write it as JSON, a line for each fact and each table."""
        content = {"spacecut_recorded_platform": _VERSION, **asdict(self)}
        tables = content.pop("tables")
        facts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        rows = ",\n ".join(json.dumps(table) for table in tables)
        Path(path).write_text("{" + ",\n".join([*facts, f'"tables": [\n {rows}\n]']) + "}\n", encoding="utf-8")


def _over(table: CostTable, space: SearchSpace) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
    """The positions of a table's choices in a space, ascending, and its costs and errors over their candidates."""
    places = []
    for name, candidates in zip(table.choices, table.candidates, strict=True):
        wanted = space.choice(name).candidates
        if strange := [candidate for candidate in wanted if candidate not in candidates]:
            raise InputError(f"nothing was recorded of {name} = {strange[0]}; fit the platform again")
        places.append(np.asarray([candidates.index(candidate) for candidate in wanted]))
    scope = [space.positions[name] for name in table.choices]
    order = np.argsort(scope)
    shape = [len(candidates) for candidates in table.candidates]

    def over(values: Sequence[float]) -> np.ndarray:
        return np.asarray(np.asarray(values).reshape(shape)[np.ix_(*places)].transpose(order))

    return tuple(sorted(scope)), over(table.ms), over(table.error_ms)


class _File(BaseModel):
    """What a file must hold."""

    model_config = ConfigDict(extra="forbid")

    platform: RecordedPlatform


def read_recorded(path: str | Path) -> RecordedPlatform:
    """Read what :meth:`RecordedPlatform.save` wrote.

    Raises:
        InputError: The file holds something else.
    """
    mend = "make one with `spacecut profile` or `spacecut fit`"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        version = content.pop("spacecut_recorded_platform")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise InputError(f"{path}: neither a profile nor a recorded platform; {mend}") from None
    if version != _VERSION:
        raise InputError(f"{path}: a recorded platform of version {version}; this spacecut reads {_VERSION}")
    try:
        recorded = _File.model_validate({"platform": content}).platform
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        raise InputError(f"{path}: {place}: {first['msg']}; {mend}") from None
    for table in recorded.tables:
        size = math.prod(map(len, table.candidates))
        if len(table.choices) != len(table.candidates) or {len(table.ms), len(table.error_ms)} != {size}:
            raise InputError(f"{path}: the table of {', '.join(table.choices)} does not have one cost a combination")
    return recorded
