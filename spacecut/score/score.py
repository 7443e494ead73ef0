"""What is in a space: how many architectures meet a bound, which are largest, which are fastest."""

from __future__ import annotations

from dataclasses import dataclass

from spacecut.errors import InputError
from spacecut.latency import LatencyModel, Scored

__all__ = ["Score", "score"]


@dataclass(frozen=True)
class Score:
    """Figures of a space on a platform.

    Attributes:
        size: Architectures in all.
        fastest_ms, slowest_ms: The range of predicted latency.
        max_latency_ms: The bound asked for, if any.
        count: Architectures within the bound, for latencies rounded to a grid; ``size`` without a bound.
        count_between: Bounds of the count of unrounded latencies.
        largest: The architectures with most multiply-accumulates within the bound, largest first.
        fastest: The fastest architectures, fastest first.
        pareto: The front of latency and multiply-accumulates, fastest first; empty unless asked for.
    """

    size: int
    fastest_ms: float
    slowest_ms: float
    max_latency_ms: float | None
    count: int
    count_between: tuple[int, int]
    largest: tuple[Scored, ...]
    fastest: tuple[Scored, ...]
    pareto: tuple[Scored, ...]


def score(model: LatencyModel, max_latency: float | None = None, top: int = 5, pareto: bool = False) -> Score:
    """Score a space by elimination over the model's factors; nothing is enumerated.

    Args:
        model: Latency over the space.
        max_latency: Bound in ms.
        top: How many of the largest and of the fastest to name.
        pareto: Also find the front of latency and multiply-accumulates.

    Raises:
        InputError: ``top`` is below 1 or the bound is no positive number.
    """
    if max_latency is not None and not 0 < max_latency < float("inf"):
        raise InputError(f"the latency bound must be a positive number of ms, not {max_latency}")
    size = model.space.size
    return Score(
        size,
        model.fastest()[0],
        model.slowest()[0],
        max_latency,
        size if max_latency is None else model.count(max_latency),
        (size, size) if max_latency is None else model.count_between(max_latency),
        tuple(model.best(top, max_latency)),
        tuple(model.best(top, max_latency, by="latency")),
        tuple(model.front(max_latency)) if pareto else (),
    )
