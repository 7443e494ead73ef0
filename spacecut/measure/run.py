"""Runs: what to measure, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

__all__ = ["QUIET", "PlatformRecord", "Run", "Task"]

QUIET = 0.1
"""Quantile of a run's samples that stands for a machine with nothing else to do."""


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
    deterministic: bool = False
    estimated_by: str = ""

    def __str__(self) -> str:
        estimate = f", ESTIMATED by {self.estimated_by}, not measured" if self.estimated_by else ""
        return (
            f"{self.name} {self.version} on {self.device}, {self.precision}, {self.threads} thread(s),"
            f" batch {self.batch}{estimate}; {self.machine}"
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
        watched_ms: Milliseconds of each inference whose nodes were timed.
        reference_ms: Milliseconds of the reference network beside this run; 0 where there is none.
        clock_mhz: Clock of the platform's hardware right after it; 0 where it is not told.
        preparing: How many of the seconds went into what further runs need not do again: quantising the network, and
            loading it where it stays loaded.
        error: Why it failed; None where it did not.
    """

    task: Task
    taken_at: str
    seconds: float
    total_ms: tuple[float, ...] = ()
    node_ms: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    watched_ms: tuple[float, ...] = ()
    reference_ms: float = 0.0
    error: str | None = None
    clock_mhz: float = 0.0
    preparing: float = 0.0

    @cached_property
    def low_ms(self) -> float:
        """Milliseconds of an inference undisturbed by the rest of the machine: a low quantile of the samples.

        While nothing else runs, inferences differ by a few tenths of a percent; disturbances only ever add.
        """
        return float(np.quantile(self.total_ms, QUIET))

    @cached_property
    def low_watched_ms(self) -> float:
        """The same of an inference whose nodes were timed."""
        return float(np.quantile(self.watched_ms, QUIET))

    @cached_property
    def low_node_ms(self) -> dict[int, float]:
        """The same of each node; where the platform tells a node's mean only, it is as much lower as the total's."""
        slower = float(np.mean(self.watched_ms)) / self.low_watched_ms if self.watched_ms else 1.0
        low = {node: times[0] / slower for node, times in self.node_ms.items() if len(times) == 1}
        for length in {len(times) for times in self.node_ms.values()} - {1}:  # at once: a run has dozens of nodes
            nodes = [node for node, times in self.node_ms.items() if len(times) == length]
            quantiles = np.quantile([self.node_ms[node] for node in nodes], QUIET, axis=1)
            low.update(zip(nodes, quantiles.tolist(), strict=True))
        return low
