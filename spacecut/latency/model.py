"""The latency of every architecture of a space: an overhead plus a sum over factors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from spacecut.errors import InputError
from spacecut.latency.bounded import BINS as FRONT_BINS
from spacecut.latency.bounded import Bounded
from spacecut.latency.correction import Correction, corrected_costs
from spacecut.latency.counting import BINS, count_within, sample_within
from spacecut.latency.elimination import SUM_ERROR, k_best, minimum
from spacecut.latency.estimator import Costs
from spacecut.latency.evidence import Evidence
from spacecut.latency.lookup import Lookup
from spacecut.latency.trellis import Scope, SumTable, Trellis
from spacecut.operators import ABSENT, Factor, Workload
from spacecut.operators.operator import macs
from spacecut.space import Architecture, Candidate, SearchSpace
from spacecut.space.table import Table

__all__ = ["LatencyModel", "Scored", "fit_latency_model"]


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
        costs: Milliseconds of each operator in a whole network.
        correction: What whole networks told beyond their operators.
        combinations: Where costs are known of combinations of candidates instead: their numbers, in the place of the
            workload's factors.
    """

    workload: Workload
    costs: Costs
    correction: Correction
    combinations: tuple[Factor, ...] | None = None

    @property
    def space(self) -> SearchSpace:
        """The space that the model is about."""
        return self.workload.space

    def __repr__(self) -> str:
        return (
            f"LatencyModel({self.space.name!r}, {len(self.costs.mean)} costs, "
            f"{self.correction.overhead_ms:.3g} ms overhead)"
        )

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Which costs an architecture sums."""
        return self.workload.factors if self.combinations is None else self.combinations

    @cached_property
    def tables(self) -> tuple[SumTable, ...]:
        """Milliseconds over the candidates, one table for each set of choices that operators depend on."""
        return _merged(self.factors, self.costs.mean)

    @cached_property
    def variances(self) -> tuple[SumTable, ...]:
        """Squared standard errors of ``tables``, scope by scope."""
        return _merged(self.factors, np.square(self.costs.error))

    @cached_property
    def macs(self) -> tuple[SumTable, ...]:
        """Multiply-accumulates over the candidates, a batch of one."""
        return _merged(self.workload.factors, macs(self.workload.rows))

    @cached_property
    def _latencies(self) -> Lookup:
        return Lookup(self.tables)

    @cached_property
    def _variances(self) -> Lookup:
        return Lookup(self.variances)

    @cached_property
    def _macs(self) -> Lookup:
        return Lookup(self.macs)

    @cached_property
    def trellis(self) -> Trellis:
        """The latency laid out for exact answers over all architectures."""
        return self.trellis_over([np.arange(length) for length in self.space.lengths])

    def trellis_over(self, kept: Sequence[np.ndarray]) -> Trellis:
        """The same over some of the candidates, given by their numbers for every choice."""
        return Trellis([len(numbers) for numbers in kept], self._tables_over(kept))

    def quality_trellis_over(self, kept: Sequence[np.ndarray]) -> Trellis:
        """The same, where qualities are told too: what a choice adds to them depends on whether it has an effect."""
        effects = []
        for effect in self.workload.effects:
            part = [kept[position] for position in effect.scope]
            effects.append(Table(effect.scope, effect.values[np.ix_(*part)] if part else effect.values).reduced())
        return Trellis([len(numbers) for numbers in kept], self._tables_over(kept), effects)

    def _tables_over(self, kept: Sequence[np.ndarray]) -> list[SumTable]:
        overhead = SumTable((), np.asarray(self.correction.overhead_ms))
        return [*(table.over(kept) for table in self.tables), overhead]

    def predict(self, architectures: Architecture | np.ndarray) -> np.ndarray:
        """Latency in ms of architectures.

        Args:
            architectures: Choice name to candidate or array of candidates; or candidate numbers of shape
                ``[architectures, choices]``.

        Raises:
            InputError: A choice or candidate is missing or unknown.
        """
        numbers = architectures if isinstance(architectures, np.ndarray) else self.space.encode(architectures)
        return self.correction.overhead_ms + self._latencies.total(numbers)

    def interval(self, architectures: Architecture | np.ndarray, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds in ms between which the latency of architectures lies with probability ``level``.

        They come of the model's error on whole networks, of how far runs of one network lie apart, and of the standard
        errors of the operators, taken for independent and normal. A drift over more than the profile took is not in
        them.

        Raises:
            InputError: ``level`` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise InputError(f"the level of an interval must lie between 0 and 1, not {level}")
        numbers = architectures if isinstance(architectures, np.ndarray) else self.space.encode(architectures)
        latency = self.predict(numbers)
        variance = np.square(self.correction.whole_error(latency)) + self._variances.total(numbers)
        half = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(variance)
        return np.maximum(latency - half, 0.0), latency + half

    def fastest(self) -> tuple[float, dict[str, Candidate]]:
        """The lowest latency in ms and an architecture that has it."""
        value, numbers = minimum(self.trellis)
        return value, self.space.decode(numbers)

    def slowest(self) -> tuple[float, dict[str, Candidate]]:
        """The highest latency in ms and an architecture that has it."""
        tables = tuple(SumTable(table.scope, -table.values) for table in self.tables)
        value, numbers = minimum(Trellis(self.space.lengths, tables))
        return self.correction.overhead_ms - value, self.space.decode(numbers)

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

    def count_macs(self, numbers: np.ndarray) -> np.ndarray:
        """Multiply-accumulates of architectures given as candidate numbers ``[architectures, choices]``."""
        return self._macs.total(numbers)

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
        overhead = SumTable((), np.asarray(self.correction.overhead_ms))
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


def _merged(factors: Sequence[Factor], values: np.ndarray) -> tuple[SumTable, ...]:
    """The sum of factors, one table for each scope."""
    padded = np.append(values, 0.0)  # the last entry serves ABSENT, which is -1
    assert ABSENT == -1
    merged: dict[Scope, np.ndarray] = defaultdict(lambda: np.zeros(()))
    for factor in factors:
        merged[factor.scope] = merged[factor.scope] + padded[factor.index]
    return tuple(SumTable(scope, merged[scope]) for scope in sorted(merged))


def fit_latency_model(workload: Workload, evidence: Evidence) -> LatencyModel:
    """A latency model from evidence.

    Raises:
        InputError: An operator of the workload is unlike any that was measured; it is named.
    """
    costs, correction = corrected_costs(evidence, workload.rows)
    return LatencyModel(workload, costs, correction)
