"""The latency of every architecture of a space: an overhead plus a sum over factors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spacecut.errors import InputError
from spacecut.latency.bounded import BINS as FRONT_BINS
from spacecut.latency.bounded import Bounded
from spacecut.latency.counting import BINS, count_within, sample_within
from spacecut.latency.elimination import SUM_ERROR, k_best, minimum
from spacecut.latency.estimator import Costs, estimate
from spacecut.latency.evidence import Evidence
from spacecut.latency.trellis import Scope, SumTable, Trellis
from spacecut.operators import ABSENT, Network, Workload
from spacecut.operators.operator import encode, macs
from spacecut.space import Architecture, Candidate, SearchSpace

__all__ = ["Calibration", "LatencyModel", "Scored", "fit_latency_model"]

_FEWEST_TOTALS = 8
_LEAST_VARIATION = 0.1


@dataclass(frozen=True)
class Calibration:
    """From the sum of operator costs to the latency of the whole network: ``overhead_ms + scale * sum``.

    Attributes:
        overhead_ms: What every inference takes besides its operators.
        scale: How much longer operators take in the whole network than they were seen to.
        error: Root mean square relative error over the networks that it was fitted on; NaN where it was not fitted.
        networks: How many those were.
    """

    overhead_ms: float
    scale: float
    error: float
    networks: int


@dataclass(frozen=True)
class Scored:
    """An architecture with its predicted latency in ms and its multiply-accumulates."""

    architecture: dict[str, Candidate]
    latency_ms: float
    macs: int


@dataclass(frozen=True)
class LatencyModel:
    """Latency over a space.

    Attributes:
        workload: The space's operators and factors.
        costs: Milliseconds of each operator, before calibration.
        calibration: From operators to whole networks.
    """

    workload: Workload
    costs: Costs
    calibration: Calibration

    @property
    def space(self) -> SearchSpace:
        """The space that the model is about."""
        return self.workload.space

    def __repr__(self) -> str:
        return (
            f"LatencyModel({self.space.name!r}, {len(self.costs.mean)} operators, "
            f"{self.calibration.overhead_ms:.3g} ms overhead)"
        )

    @cached_property
    def tables(self) -> tuple[SumTable, ...]:
        """Milliseconds over the candidates, one table for each set of choices that operators depend on."""
        return self._merged(self.costs.mean * self.calibration.scale)

    @cached_property
    def variances(self) -> tuple[SumTable, ...]:
        """Squared standard errors of ``tables``, scope by scope."""
        return self._merged(np.square(self.costs.error * self.calibration.scale))

    def _merged(self, values: np.ndarray) -> tuple[SumTable, ...]:
        padded = np.append(values, 0.0)  # the last entry serves ABSENT, which is -1
        assert ABSENT == -1
        merged: dict[Scope, np.ndarray] = defaultdict(lambda: np.zeros(()))
        for factor in self.workload.factors:
            merged[factor.scope] = merged[factor.scope] + padded[factor.index]
        return tuple(SumTable(scope, merged[scope]) for scope in sorted(merged))

    @cached_property
    def trellis(self) -> Trellis:
        """The latency laid out for exact answers over all architectures."""
        overhead = SumTable((), np.asarray(self.calibration.overhead_ms))
        return Trellis(self.space.lengths, (*self.tables, overhead))

    def predict(self, architectures: Architecture | np.ndarray) -> np.ndarray:
        """Latency in ms of architectures.

        Args:
            architectures: Choice name to candidate or array of candidates; or candidate numbers of shape
                ``[architectures, choices]``.

        Raises:
            InputError: A choice or candidate is missing or unknown.
        """
        numbers = architectures if isinstance(architectures, np.ndarray) else self.space.encode(architectures)
        return self.calibration.overhead_ms + _total(self.tables, numbers)

    def fastest(self) -> tuple[float, dict[str, Candidate]]:
        """The lowest latency in ms and an architecture that has it."""
        value, numbers = minimum(self.trellis)
        return value, self.space.decode(numbers)

    def slowest(self) -> tuple[float, dict[str, Candidate]]:
        """The highest latency in ms and an architecture that has it."""
        tables = tuple(SumTable(table.scope, -table.values) for table in self.tables)
        value, numbers = minimum(Trellis(self.space.lengths, tables))
        return self.calibration.overhead_ms - value, self.space.decode(numbers)

    def count(self, max_ms: float, bins: int = BINS) -> int:
        """Number of architectures of at most ``max_ms``, by elimination over the factors.

        Latencies are rounded choice by choice to ``bins`` steps between the fastest and ``max_ms``; the count is
        exact for the rounded latencies. :meth:`count_between` brackets the count of the unrounded ones.
        """
        return count_within(self.trellis, max_ms, bins)

    def count_between(self, max_ms: float, bins: int = BINS) -> tuple[int, int]:
        """A lower and an upper bound of the number of architectures of at most ``max_ms``."""
        return (
            count_within(self.trellis, max_ms, bins, np.ceil),
            count_within(self.trellis, max_ms, bins, np.floor),
        )

    @cached_property
    def macs(self) -> tuple[SumTable, ...]:
        """Multiply-accumulates over the candidates, a batch of one."""
        return self._merged(macs(self.workload.rows))

    def count_macs(self, numbers: np.ndarray) -> np.ndarray:
        """Multiply-accumulates of architectures given as candidate numbers ``[architectures, choices]``."""
        return _total(self.macs, numbers)

    def best(self, k: int, max_ms: float | None = None, by: str = "macs") -> list[Scored]:
        """The ``k`` best architectures, best first.

        Args:
            k: How many; fewer come back where there are not so many.
            max_ms: Only those of at most so many ms.
            by: ``macs``: the largest; ``latency``: the fastest.
        """
        if k < 1:
            raise InputError(f"the number of architectures must be at least 1, not {k}")
        if by == "latency":
            return self.scored(k_best(self.trellis, k)[1], max_ms)
        if by != "macs":
            raise InputError(f"{by!r} is no order of architectures; use macs or latency")
        if max_ms is None:
            negated = [SumTable(table.scope, -table.values) for table in self.macs]
            return self.scored(k_best(Trellis(self.space.lengths, negated), k)[1])
        return self.scored(self._bounded(max_ms).best(k), max_ms)

    def front(self, max_ms: float | None = None) -> list[Scored]:
        """The Pareto front of latency (low) and multiply-accumulates (high), fastest first."""
        if max_ms is None:
            (least, _), (most, _) = self.fastest(), self.slowest()
            choices = len(self.space.lengths)
            max_ms = most + (most - least) * choices / max(
                FRONT_BINS - choices, 1
            )  # room for a bin of rounding a choice
        return self.scored(self._bounded(max_ms).front(), max_ms)

    def _bounded(self, max_ms: float) -> Bounded:
        overhead = SumTable((), np.asarray(self.calibration.overhead_ms))
        return Bounded(self.space.lengths, (*self.tables, overhead), self.macs, max_ms)

    def scored(self, numbers: np.ndarray, max_ms: float | None = None) -> list[Scored]:
        """Architectures given as candidate numbers, with their figures."""
        latency, size = self.predict(numbers), self.count_macs(numbers)
        return [
            Scored(self.space.decode(row), float(ms), int(count))
            for row, ms, count in zip(numbers, latency, size, strict=True)
            if max_ms is None or ms <= max_ms * (1 + SUM_ERROR)
        ]

    def sample(self, n: int, max_ms: float | None = None, seed: int = 0) -> list[dict[str, Candidate]]:
        """Uniform samples, of all architectures or of those of at most ``max_ms``; empty where there are none."""
        numbers = self.space.sample(n, seed) if max_ms is None else sample_within(self.trellis, max_ms, n, seed)
        return [self.space.decode(row) for row in numbers]


def _total(tables: tuple[SumTable, ...], numbers: np.ndarray) -> np.ndarray:
    total = np.zeros(len(numbers))
    for table in tables:
        total += table.values[tuple(numbers[:, position] for position in table.scope)]
    return total


def fit_latency_model(workload: Workload, evidence: Evidence) -> LatencyModel:
    """A latency model from evidence.

    Raises:
        InputError: An operator of the workload is unlike any that was measured; it is named.
    """
    networks = _whole_networks(evidence)
    theirs = list(dict.fromkeys(node.operator for network, _ in networks for node in network.nodes))
    costs = estimate(evidence, np.concatenate([workload.rows, encode(theirs)]))
    ours = len(workload.rows)
    cost = dict(zip(theirs, costs.mean[ours:], strict=True))
    summed = np.asarray([sum(cost[node.operator] for node in network.nodes) for network, _ in networks])
    calibration = _calibrate(summed, np.asarray([measured for _, measured in networks]))
    return LatencyModel(workload, Costs(costs.mean[:ours], costs.error[:ours], costs.measured[:ours]), calibration)


def _whole_networks(evidence: Evidence) -> list[tuple[Network, float]]:
    """Networks timed end to end, with their ms; operators timed alone only where there is nothing else."""
    networks = [(Network.parse(key), measured) for key, measured in evidence.totals.items()]
    return [entry for entry in networks if len(entry[0].nodes) > 1] or networks


def _calibrate(summed: np.ndarray, measured: np.ndarray) -> Calibration:
    if not len(measured):
        return Calibration(0.0, 1.0, float("nan"), 0)
    overhead, scale = _line(summed, measured)
    error = float(np.sqrt(np.mean(np.square((overhead + scale * summed) / measured - 1))))
    return Calibration(overhead, scale, error, len(measured))


def _line(summed: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """Overhead and scale by least squares on the relative error; only one of them where the data tell no more."""
    if len(summed) >= _FEWEST_TOTALS and summed.std() > _LEAST_VARIATION * summed.mean():
        design = np.stack([1 / measured, summed / measured], axis=1)
        overhead, scale = np.linalg.lstsq(design, np.ones(len(measured)), rcond=None)[0]
        if scale > 0:
            return (float(overhead), float(scale)) if overhead >= 0 else (0.0, float(np.median(measured / summed)))
    extra = float(np.median(measured - summed))
    return (extra, 1.0) if extra >= 0 else (0.0, float(np.median(measured / summed)))
