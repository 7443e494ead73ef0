"""Which candidates fall: those that no architecture within the bound contains, then by dominance or jointly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spacecut.cut.dominance import Comparison, Drop, compare, dominated, rounded_up
from spacecut.cut.inflation import Fronts, Inflation, affordable_functions, latency_band
from spacecut.cut.joint import drops
from spacecut.errors import InputError
from spacecut.latency import LatencyModel
from spacecut.latency.elimination import SUM_ERROR, min_marginals
from spacecut.quality import quality_family

__all__ = ["JUDGED_BY", "SAFETY", "Question", "by_dominance", "jointly"]

SAFETY = 1.645
"""Predictions stay so many of the model's relative errors below a hard bound: 19 of 20 then hold."""
JUDGED_BY = 1
"""Seed of the quality functions that a joint selection is judged by; it was not made on them."""


@dataclass(frozen=True)
class Question:
    """What is to be decided on: candidates, with all that decisions on them rest on.

    Attributes:
        model: Latency over the full space.
        bound: Largest predicted latency in ms that is surely within the bound asked for; None without one.
        least: For each choice, the least ms of any architecture with each candidate.
        feasible: For each choice, whether any architecture within the bound has the candidate.
        orders: For each choice, its quality order among the feasible candidates, ``[i, j]``: ``j`` is not worse.
        comparisons: For each choice, all pairs of its candidates.
    """

    model: LatencyModel
    bound: float | None
    least: tuple[np.ndarray, ...]
    feasible: tuple[np.ndarray, ...]
    orders: tuple[np.ndarray, ...]
    comparisons: tuple[Comparison, ...]

    @classmethod
    def of(cls, model: LatencyModel, max_latency: float | None) -> Question:
        """All candidates of the model's space, but for those that a hard bound in ms rules out.

        Raises:
            InputError: Nothing meets the bound.
        """
        choices = model.space.choices
        least = min_marginals(model.trellis)
        bound, limit = None, math.inf
        if max_latency is not None:
            bound = max_latency / (1 + SAFETY * float(np.nan_to_num(model.correction.error)))
            limit = bound * (1 + SUM_ERROR)
            fastest = model.fastest()[0]
            if not fastest <= limit:
                raise InputError(
                    f"no architecture of {model.space.name} surely takes at most {max_latency:g} ms; the fastest is "
                    f"predicted to take {fastest:.6g} ms, and {bound:.6g} ms would allow for the model's error: raise "
                    "--max-latency"
                )
        feasible = tuple(values <= limit for values in least)
        orders = tuple(
            choice.not_worse() & possible[None, :] & possible[:, None]
            for choice, possible in zip(choices, feasible, strict=True)
        )
        comparisons = tuple(compare(model, position) for position in range(len(choices)))
        return cls(model, bound, tuple(least), feasible, orders, comparisons)


def by_dominance(question: Question, tolerance: float) -> list[list[Drop]]:
    """What falls in each choice because a better candidate is not slower, but for noise and tolerance."""
    return [
        [drop for drop in dominated(comparison, order, tolerance) if possible[drop.candidate]]
        for comparison, order, possible in zip(question.comparisons, question.orders, question.feasible, strict=True)
    ]


def jointly(question: Question, target_size: int) -> tuple[list[list[Drop]], Inflation]:
    """What falls in each choice so that ``target_size`` architectures are left, and what that does to the fronts.

    Raises:
        InputError: Not even one candidate a choice is few enough, or no front lies in the band of latencies.
    """
    model = question.model
    start = [np.flatnonzero(possible) for possible in question.feasible]
    band = latency_band(model, question.bound)
    # Where one candidate is better than all others it stays, so that everything can be rounded up.
    protected = [order[numbers].all(axis=0) for order, numbers in zip(question.orders, start, strict=True)]
    for kept in drops(model, start, protected, band):
        if math.prod(map(len, kept)) <= target_size:
            break
    else:
        raise InputError(f"the target size {target_size} is out of reach; raise --target-size")
    family = quality_family(model.space, affordable_functions(model.trellis), JUDGED_BY)
    fallen = [rounded_up(*entry) for entry in zip(question.comparisons, question.orders, start, kept, strict=True)]
    return fallen, Fronts(model, family, band, start).inflation(kept)
