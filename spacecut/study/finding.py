"""A finding of the behaviour study, with its verdict on a platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spacecut.cut import Rule

__all__ = ["HOLDS", "MIXED", "NOT", "UNKNOWN", "Finding"]

HOLDS, MIXED, NOT, UNKNOWN = "holds", "mixed", "does not hold", "not measured"


@dataclass(frozen=True)
class Finding:
    """A finding on a platform.

    Attributes:
        number: In the study, from 1.
        question: What it answers.
        claim: What the study found.
        verdict: ``holds``, ``mixed``, ``does not hold`` or ``not measured``.
        said: The verdict with its figures, for a person.
        figures: The figures.
        rule: What it means for a search space on this platform; empty where nothing follows.
        rules: The same for ``cut``.
    """

    number: int
    question: str
    claim: str
    verdict: str
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)
    rule: str = ""
    rules: tuple[Rule, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The finding as plain data."""
        return {**vars(self), "figures": dict(self.figures), "rules": [rule.model_dump() for rule in self.rules]}
