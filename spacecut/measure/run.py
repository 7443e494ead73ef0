"""Runs: what to measure, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

__all__ = ["PlatformRecord", "Run", "Task"]


@dataclass(frozen=True)
class PlatformRecord:
    """What a measurement was made on: enough to tell it from every other."""

    name: str
    version: str
    device: str
    precision: str
    threads: int
    batch: int
    machine: str

    def __str__(self) -> str:
        return (
            f"{self.name} {self.version} on {self.device}, {self.precision}, {self.threads} thread(s),"
            f" batch {self.batch}; {self.machine}"
        )


@dataclass(frozen=True)
class Task:
    """A network to run; ``nodes`` asks for the time of each of its nodes, ``repeat`` tells passes apart."""

    network: str
    nodes: bool
    repeat: int


@dataclass(frozen=True)
class Run:
    """One run of a network.

    Attributes:
        task: What was asked.
        taken_at: When, ISO 8601 in UTC.
        seconds: How long it took with building and loading.
        total_ms: Milliseconds of each timed inference.
        node_ms: Milliseconds of each node, by its position.
        reference_ms: Milliseconds of the reference network beside this run; 0 where there is none.
        error: Why it failed; None where it did not.
    """

    task: Task
    taken_at: str
    seconds: float
    total_ms: tuple[float, ...] = ()
    node_ms: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    reference_ms: float = 0.0
    error: str | None = None

    @cached_property
    def median_ms(self) -> float:
        """Median milliseconds of an inference."""
        return float(np.median(self.total_ms))
