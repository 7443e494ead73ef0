"""Choosing what to keep jointly over all choices, so that the fronts of many quality functions move least.

A point of a front's convex hull is the best network for a price of latency: the least of ``latency - worth`` with the
worths scaled to milliseconds. For many functions and prices at once one forward and one backward pass over the trellis
give every candidate's min-marginal, and with it what dropping it costs each problem: the best network without it is
the least min-marginal of the others. So candidates are dropped one by one, always the one that costs least for the
share of the space that goes with it (backward elimination), and uneven numbers of candidates come of themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.errors import InputError
from spacecut.latency import LatencyModel, Trellis
from spacecut.quality import Quality

__all__ = ["FUNCTIONS", "SEED", "Banded", "Problems", "drops", "hull_problems"]

_PRICES = np.geomspace(0.01, 100.0, 25)
"""Multiples of (slowest - fastest) / (best quality) that a unit of quality may be worth."""
FUNCTIONS = 100
"""Quality functions that a selection is made on, on each platform."""
SEED = 0
"""Of these functions; those that a selection is judged on are drawn from other seeds."""
_HELD = 400_000  # numbers in an array that is gone over again and again
_TAIL = 0.3  # how much the worst problems weigh beside the mean
_TAIL_POWER = 8
_SAME = 1e-9


@dataclass(frozen=True)
class Banded:
    """A platform's latency over the full space, and the latencies in ms of the fronts that count."""

    model: LatencyModel
    band: tuple[float, float]


@dataclass(frozen=True)
class Problems:
    """Quality functions with a price each: minimise latency less what the candidates are worth.

    Attributes:
        worth: For each choice, ms that each candidate is worth, ``[problems, candidates]``.
        optimum: The least ``latency - worth`` over the full space, ms, ``[problems]``.
        latency: Of the network that reaches it, ms, ``[problems]``.
    """

    worth: tuple[np.ndarray, ...]
    optimum: np.ndarray
    latency: np.ndarray

    def over(self, kept: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The worths of some candidates of each choice."""
        return [worth[:, numbers] for worth, numbers in zip(self.worth, kept, strict=True)]


def hull_problems(
    model: LatencyModel, family: Sequence[Quality], candidates: Sequence[np.ndarray], band: tuple[float, float]
) -> Problems:
    """All prices of all functions whose best network lies in a band of latencies.

    Args:
        model: Latency over the full space.
        family: Quality functions over the full space.
        candidates: For each choice, the numbers of the candidates that networks may have.
        band: From and to how many ms.

    Raises:
        InputError: No best network lies in the band.
    """
    span = model.slowest()[0] - model.fastest()[0]
    prices = [_PRICES * span / max(quality.best, 1) for quality in family]
    worth = [
        np.concatenate([np.outer(price, quality.worth[choice]) for price, quality in zip(prices, family, strict=True)])
        for choice in range(len(model.space.choices))
    ]
    optimum, latency = _solve(model.trellis_over(candidates), [w[:, n] for w, n in zip(worth, candidates, strict=True)])
    inside = (latency >= band[0]) & (latency <= band[1])
    if not inside.any():
        raise InputError(f"no best network takes {band[0]:.6g} to {band[1]:.6g} ms; raise --max-latency")
    return Problems(tuple(values[inside] for values in worth), optimum[inside], latency[inside])


def drops(
    platforms: Sequence[Banded],
    family: Sequence[Quality],
    start: Sequence[np.ndarray],
    protected: Sequence[np.ndarray],
) -> Iterator[list[np.ndarray]]:
    """Drop candidates one by one, the cheapest for the fronts of all platforms first.

    Args:
        platforms: Latency over the full space, and the fronts that count.
        family: Quality functions to select on.
        start: For each choice, the candidate numbers to choose from.
        protected: For each choice, whether a candidate must stay, ``[candidates]``.

    Yields:
        What is kept, beginning with those candidates that any best network uses, until none is left to drop.
    """
    problems = [hull_problems(platform.model, family, start, platform.band) for platform in platforms]
    optimum = np.concatenate([found.optimum for found in problems])
    latency = np.concatenate([found.latency for found in problems])

    def marginals(kept: Sequence[np.ndarray]) -> list[np.ndarray]:
        each = [
            _min_marginals(platform.model.trellis_over(kept), found.over(kept))
            for platform, found in zip(platforms, problems, strict=True)
        ]
        return [np.concatenate(pieces) for pieces in zip(*each, strict=True)]

    kept = []
    for numbers, values, stays in zip(start, marginals(start), protected, strict=True):
        best = values.min(axis=1, keepdims=True) + _SAME * latency[:, None]
        kept.append(numbers[(values <= best).any(axis=0) | stays[numbers]])
    while True:
        yield kept
        fixed = [stays[numbers] for stays, numbers in zip(protected, kept, strict=True)]
        found = _cheapest(marginals(kept), optimum, latency, fixed)
        if found is None:
            return
        choice, place = found
        kept = [np.delete(numbers, place) if at == choice else numbers for at, numbers in enumerate(kept)]


def _cheapest(
    marginals: Sequence[np.ndarray], optimum: np.ndarray, latency: np.ndarray, protected: Sequence[np.ndarray]
) -> tuple[int, int] | None:
    """The choice, and the place in it, whose drop costs least for the share of the space that goes with it."""
    best: tuple[float, int, int] | None = None
    now = _loss(marginals[0].min(axis=1, keepdims=True), optimum, latency)[0]
    for choice, values in enumerate(marginals):
        free = np.flatnonzero(~protected[choice])
        if values.shape[1] < 2 or not len(free):
            continue
        after = _loss(_without(values)[:, free], optimum, latency)
        price = (after - now) / np.log(values.shape[1] / (values.shape[1] - 1))
        place = int(np.argmin(price))
        if best is None or price[place] < best[0]:
            best = float(price[place]), choice, int(free[place])
    return None if best is None else best[1:]


def _without(values: np.ndarray) -> np.ndarray:
    """The least of all other entries of the row, for each entry of ``[problems, candidates]``."""
    place = values.argmin(axis=1)
    rows = np.arange(len(values))
    least = values[rows, place]
    second = np.partition(values, 1, axis=1)[:, 1]
    result = np.repeat(least[:, None], values.shape[1], axis=1)
    result[rows, place] = second
    return result


def _loss(least: np.ndarray, optimum: np.ndarray, latency: np.ndarray) -> np.ndarray:
    """What a selection costs, by the least ``latency - worth`` that it leaves ``[problems, selections]``."""
    slower = (least - optimum[:, None]) / latency[:, None]
    return np.asarray(slower.mean(axis=0) + _TAIL * (slower**_TAIL_POWER).mean(axis=0) ** (1 / _TAIL_POWER))


def _pieces(trellis: Trellis, worth: Sequence[np.ndarray]) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Pieces of the problems, small enough to hold, with the worths ``[candidates, problems]`` of every stage."""
    widest = max((stage.cost.shape[0] for stage in trellis.stages), default=1)
    count = len(worth[0]) if worth else 0
    step = max(1, _HELD // widest)
    for begin in range(0, count, step):
        piece = slice(begin, begin + step)
        yield piece, [np.ascontiguousarray(worth[stage.choice][piece].T) for stage in trellis.stages]


def _backward(trellis: Trellis, worth: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Least price from each state to the end, ``[states, problems]`` before each stage and at the end."""
    values = [np.zeros((1, worth[0].shape[1]))]
    for stage, worths in zip(reversed(trellis.stages), reversed(worth), strict=True):
        least = np.full((len(stage.cost), worths.shape[1]), np.inf)
        for cost, target, each in zip(stage.cost.T, stage.target.T, worths, strict=True):
            np.minimum(least, values[-1][target] - each + cost[:, None], out=least)
        values.append(least)
    return values[::-1]


def _solve(trellis: Trellis, worth: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The least ``latency - worth`` of each problem, and the latency of the network that reaches it."""
    count = len(worth[0])
    optimum, latency = np.empty(count), np.full(count, trellis.constant)
    for piece, worths in _pieces(trellis, worth):
        values = _backward(trellis, worths)
        optimum[piece] = trellis.constant + values[0][0]
        columns = np.arange(values[0].shape[1])
        state = np.zeros(len(columns), dtype=np.int64)
        for stage, each, after in zip(trellis.stages, worths, values[1:], strict=True):
            onward = stage.cost[state] - each.T + after[stage.target[state], columns[:, None]]
            candidate = onward.argmin(axis=1)
            latency[piece] += stage.cost[state, candidate]
            state = stage.target[state, candidate]
    return optimum, latency


def _min_marginals(trellis: Trellis, worth: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each choice, the least ``latency - worth`` with each candidate, ``[problems, candidates]``."""
    result = [np.empty_like(values) for values in worth]
    arrivals = [[_incoming(target) for target in stage.target.T] for stage in trellis.stages]
    for piece, worths in _pieces(trellis, worth):
        values = _backward(trellis, worths)
        before = np.full((1, values[0].shape[1]), trellis.constant)
        for stage, incoming, each, after in zip(trellis.stages, arrivals, worths, values[1:], strict=True):
            reached = np.full_like(after, np.inf)
            for candidate, (cost, (order, states, starts)) in enumerate(zip(stage.cost.T, incoming, strict=True)):
                least = np.minimum.reduceat((before + cost[:, None])[order], starts, axis=0) - each[candidate]
                result[stage.choice][piece, candidate] = (least + after[states]).min(axis=0)
                reached[states] = np.minimum(reached[states], least)
            before = reached
    return result


def _incoming(target: np.ndarray) -> tuple[np.ndarray | slice, np.ndarray, np.ndarray]:
    """The states in the order of those that they lead to, the latter, and where those of each begin."""
    ordered = bool((target[1:] >= target[:-1]).all())
    order = slice(None) if ordered else np.argsort(target, kind="stable")
    states, starts = np.unique(target[order], return_index=True)
    return order, states, starts
