"""Rules that a behaviour study found on a platform, and what they say of the candidates of a choice.

A rule never takes the place of a measurement. One about widths or kernels says that a better candidate should cost the
same; then it only must not be slower on average here, where without the rule it must not be in any context. One that
speaks against an operator drops a candidate that is like another one but for that operator, where the other is faster
here; that candidate is then outside the certificate, unless a better one is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spacecut.errors import InputError
from spacecut.operators import ABSENT, Workload
from spacecut.operators.operator import COLUMNS, CONTEXT, CONVOLUTIONS, KIND_NAMES
from spacecut.space.layers import ACTIVATIONS

__all__ = ["RULES_FILE", "Against", "Rule", "RuleBook", "against", "level", "read_rules", "write_rules"]

RULES_FILE = "rules.json"
ACCURACY = 6
"""Rules of this finding are about accuracy; all others are about latency."""
_KIND, _IN, _OUT, _KERNEL, _ACTIVATION = (
    COLUMNS.index(name) for name in ("kind", "in_channels", "out_channels", "kernel", "activation")
)
_CHANNELS = [COLUMNS.index(name) for name in ("in_channels", "out_channels", "groups", "reduced")]
_CONTEXT = [COLUMNS.index(name) for name in CONTEXT]
_CONVOLUTIONS = tuple(KIND_NAMES.index(kind) for kind in CONVOLUTIONS)
_GATED = KIND_NAMES.index("squeeze_excite")


class Rule(BaseModel):
    """What one finding on one platform means for a search space.

    Attributes:
        platform: Where it was found: ``RUNTIME[/DEVICE][:PRECISION]``.
        finding: Number of the finding of the behaviour study.
        dimension: What it is about.
        kind: The kind of operator; empty for any.
        side: Of a rule on channels: which channels.
        multiple: Of a rule on channels: latency steps at its multiples.
        avoid: Of a rule on activations: the one it speaks against.
        prefer: Of a rule on activations: those that may take its place.
        evidence: What was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    platform: str
    finding: int = Field(ge=1, le=7)
    dimension: Literal["channels", "kernel", "activation", "squeeze_excite"]
    kind: str = ""
    side: Literal["", "in_channels", "out_channels"] = ""
    multiple: int = Field(default=0, ge=0)
    avoid: str = ""
    prefer: tuple[str, ...] = ()
    evidence: str

    def __str__(self) -> str:
        told = {
            "channels": f"widths between multiples of {self.multiple} cost what the next multiple costs",
            "kernel": f"a larger kernel of {self.kind} hardly costs more",
            "activation": f"{', '.join(self.prefer)} instead of {self.avoid}",
            "squeeze_excite": "no squeeze-and-excitation",
        }
        return f"finding {self.finding} on {self.platform}: {told[self.dimension]} ({self.evidence})"

    @property
    def subject(self) -> tuple[object, ...]:
        """What tells it from other rules, wherever they were found."""
        return self.finding, self.dimension, self.kind, self.side, self.multiple, self.avoid


class RuleBook(BaseModel):
    """The content of a ``rules.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spacecut_rules: Literal[1] = 1
    platforms: tuple[str, ...]
    """All that were studied, also those on which no rule was found."""
    rules: tuple[Rule, ...]

    def of(self, platform: str) -> list[Rule]:
        """The rules found on a platform.

        Raises:
            InputError: It was not studied.
        """
        if platform not in self.platforms:
            raise InputError(
                f"the rules are of {', '.join(self.platforms)}, not of {platform}; "
                f"make them with `spacecut study -p {platform} -o DIR`"
            )
        return [rule for rule in self.rules if rule.platform == platform]


def read_rules(path: str | Path) -> RuleBook:
    """Read rules that ``spacecut study -o DIR`` wrote.

    Args:
        path: The directory, or the file in it.

    Raises:
        InputError: It is missing or holds something else.
    """
    file = Path(path)
    file = file / RULES_FILE if file.is_dir() else file
    try:
        return RuleBook.model_validate(json.loads(file.read_text()))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; make it with `spacecut study -o DIR`") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{file}: {place}: {first['msg']}; make it with `spacecut study -o DIR`") from None
    except ValueError as error:
        raise InputError(f"{file}: no rules ({error}); make them with `spacecut study -o DIR`") from None


def write_rules(book: RuleBook, path: Path) -> None:
    """Write a ``rules.json``."""
    path.write_text(book.model_dump_json(indent=1) + "\n")


@dataclass(frozen=True)
class Against:
    """A rule that speaks against a candidate, by number, and the candidates like it that the rule prefers."""

    candidate: int
    others: tuple[int, ...]
    rule: Rule


def against(workload: Workload, position: int, rules: Sequence[Rule]) -> list[Against]:
    """Which candidates of the choice at ``position`` rules speak against.

    A rule does so only where another candidate makes the same network but for what the rule is about: without the
    squeeze-and-excitation, or with an activation that the rule prefers.
    """
    places = _places(workload, position)
    rows = workload.rows
    found = []
    for rule in rules:
        if rule.dimension == "squeeze_excite":
            bad, good = rows[:, _KIND] == _GATED, np.zeros(len(rows), dtype=bool)
            labels = np.where(bad, ABSENT, _labels(rows))
        elif rule.dimension == "activation":
            wanted = [ACTIVATIONS.index(word) for word in rule.prefer]
            free = rows[:, _KIND] != _GATED  # a gate is no activation of a layer
            bad = free & (rows[:, _ACTIVATION] == ACTIVATIONS.index(rule.avoid))
            good = free & np.isin(rows[:, _ACTIVATION], wanted)
            alike = rows.copy()
            alike[bad | good, _ACTIVATION] = 0
            labels = _labels(alike)
        else:
            continue
        has = np.append(bad, False)[places]
        instead = np.append(good, rule.dimension == "squeeze_excite")[places]
        like = _alike(np.append(labels, ABSENT)[places])
        for candidate in range(len(places)):
            better = [
                other
                for other in np.flatnonzero(like[candidate])
                if (has[candidate] & instead[other]).any() and not (has[other] & ~has[candidate]).any()
            ]
            if better:
                found.append(Against(candidate, tuple(map(int, better)), rule))
    return found


def level(workload: Workload, position: int, rules: Sequence[Rule]) -> tuple[np.ndarray, list[Rule]]:
    """Which two candidates of a choice should cost the same by rules on channels or kernels.

    Returns:
        For each two the number of the rule in the list returned, ``[i, j]``; -1 where none says so.
    """
    places = _places(workload, position)
    rows = workload.rows
    cited: list[Rule] = []
    numbers = np.full((len(places), len(places)), -1)
    for rule in (rule for rule in rules if rule.dimension == "kernel"):
        alike = rows.copy()
        alike[rows[:, _KIND] == KIND_NAMES.index(rule.kind), _KERNEL] = 0
        numbers[_alike(np.append(_labels(alike), ABSENT)[places])] = len(cited)
        cited.append(rule)
    if channels := [rule for rule in rules if rule.dimension == "channels"]:
        alike = rows.copy()
        convolution = np.isin(rows[:, _KIND], _CONVOLUTIONS)
        alike[np.flatnonzero(~convolution)[:, None], _CHANNELS] = 0  # what moves with the width of convolutions
        for rule in channels:
            of_kind = rows[:, _KIND] == KIND_NAMES.index(rule.kind)
            columns = (_IN, _OUT) if rule.kind == "depthwise_conv2d" else (COLUMNS.index(rule.side),)
            for column in columns:
                alike[of_kind, column] = -(-rows[of_kind, column] // rule.multiple)
        numbers[_alike(np.append(_labels(alike), ABSENT)[places])] = len(cited)
        cited.append(channels[0])
    return numbers, cited


def _places(workload: Workload, position: int) -> np.ndarray:
    """The operator numbers at every place and in every context that a choice touches, ``[candidates, places]``."""
    count = workload.space.lengths[position]
    touched = [
        np.moveaxis(factor.index, factor.scope.index(position), 0).reshape(count, -1)
        for factor in workload.factors
        if position in factor.scope
    ]
    return np.concatenate(touched, axis=1) if touched else np.zeros((count, 0), dtype=np.int64)


def _labels(rows: np.ndarray) -> np.ndarray:
    """The same number for operators that are the same but for the network around them."""
    kept = np.delete(rows, _CONTEXT, axis=1)
    return np.asarray(np.unique(kept, axis=0, return_inverse=True)[1].ravel())


def _alike(labels: np.ndarray) -> np.ndarray:
    """Which two candidates have the same labels at every place, ``[i, j]``; none is like itself."""
    same = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    return np.asarray((same[:, None] == same[None, :]) & ~np.eye(len(labels), dtype=bool))
