"""Choosing what to keep jointly over all choices, so that the fronts of many quality functions move least.

A point of a front's convex hull is the best network for a price of quality: the least of ``latency - worth`` with the
worths scaled to milliseconds. For many functions and prices at once one forward and one backward pass over the trellis
give every candidate's min-marginal, and with it what is left to each price without it: the least min-marginal of the
others. All prices of a function together tell the hull that is left, and so how much slower it is at equal quality.
Candidates are dropped one by one, always the one that costs least for the share of the space that goes with it
(backward elimination), and uneven numbers of candidates come of themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.errors import InputError
from spacecut.latency import LatencyModel, Trellis
from spacecut.quality import Quality

__all__ = ["FUNCTIONS", "SEED", "Banded", "Hulls", "drops", "hulls"]

_PRICES = np.append(0.0, np.geomspace(0.01, 100.0, 25))
"""Multiples of (slowest - fastest) / (best quality) that a unit of quality may be worth."""
FUNCTIONS = 100
"""Quality functions that a selection is made on, on each platform."""
SEED = 0
"""Of these functions; those that a selection is judged on are drawn from other seeds."""
_HELD = 400_000  # numbers in an array that is gone over again and again
_POINTS = 16  # of a hull, evenly over the qualities of the band
_TAIL = 0.3  # how much the worst points weigh beside the mean
_TAIL_POWER = 8
_LEAST = 0.01
"""A slow-down is a share of at least so much of the slowest network: some take nothing at all."""
_SAME = 1e-9


@dataclass(frozen=True)
class Banded:
    """A platform's latency over the full space, and the latencies in ms of the fronts that count."""

    model: LatencyModel
    band: tuple[float, float]


@dataclass(frozen=True)
class Hulls:
    """The convex hulls of the fronts of quality functions.

    A problem is a function with a price: minimise latency less what the candidates are worth at that price. The
    problems of one function follow each other.

    Attributes:
        worth: For each choice, ms that each candidate and, last, having no effect is worth,
            ``[candidates + 1, problems]``.
        inside: Whether the network that solves a problem lies in the band, ``[problems]``.
        price: ms that one more of quality is worth, ``[functions, prices]``.
        level: Qualities at which hulls are compared, ``[functions, points]``.
        latency: Of the full space's hull there, ms, ``[functions, points]``.
    """

    worth: tuple[np.ndarray, ...]
    inside: np.ndarray
    price: np.ndarray
    level: np.ndarray
    latency: np.ndarray

    def over(self, kept: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The worths of some candidates of each choice."""
        return _some(self.worth, kept)

    def slower(self, least: np.ndarray) -> np.ndarray:
        """How much slower hulls become at equal quality, ``[functions * points, selections]``; 0.01 is 1 %.

        Args:
            least: The least ``latency - worth`` that a selection leaves, ``[problems, selections]``.
        """
        found = _hull(least.reshape(*self.price.shape, -1), self.price, self.level)
        unit = np.maximum(self.latency, _LEAST * self.latency.max())
        slower = (found - self.latency[:, :, None]) / unit[:, :, None]
        return np.asarray(np.maximum(slower, 0.0).reshape(-1, least.shape[1]))


def hulls(
    model: LatencyModel, family: Sequence[Quality], candidates: Sequence[np.ndarray], band: tuple[float, float]
) -> Hulls:
    """The hulls of all functions that have a best network in a band of latencies.

    Args:
        model: Latency over the full space.
        family: Quality functions over the full space.
        candidates: For each choice, the numbers of the candidates that networks may have.
        band: From and to how many ms.

    Raises:
        InputError: No best network lies in the band.
    """
    span = model.slowest()[0] - model.fastest()[0]
    best = np.asarray([quality.best for quality in family], dtype=float)
    price = _PRICES * span / np.maximum(best, 1)[:, None]
    worth = [
        np.concatenate([np.outer(entries, row) for row, entries in zip(price, each, strict=True)], axis=1)
        for each in zip(*(quality.entries for quality in family), strict=True)
    ]
    optimum, latency = _solve(model.quality_trellis_over(candidates), _some(worth, candidates))
    inside = (latency >= band[0] * (1 - _SAME)) & (latency <= band[1] * (1 + _SAME))
    some = inside.reshape(price.shape).any(axis=1)
    if not some.any():
        raise InputError(f"no best network takes {band[0]:.6g} to {band[1]:.6g} ms; raise --max-latency")
    each = np.repeat(some, price.shape[1])
    optimum, price = optimum.reshape(price.shape)[some], price[some]
    ends = [
        ((ms - optimum[:, 1:]) / np.maximum(price[:, 1:], np.finfo(float).tiny)).min(axis=1).clip(0, best[some])
        for ms in band
    ]
    level = np.linspace(ends[0], ends[1], _POINTS, axis=1)
    found = _hull(optimum[:, :, None], price, level)[:, :, 0]
    return Hulls(tuple(values[:, each] for values in worth), inside[each], price, level, found)


def _some(worth: Sequence[np.ndarray], kept: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Worths of some candidates of each choice, and last that of having no effect."""
    return [values[np.append(numbers, -1)] for values, numbers in zip(worth, kept, strict=True)]


def _hull(least: np.ndarray, price: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Least latency ``[functions, points, selections]`` at each quality, by Lagrangian duality.

    ``least`` is ``latency - price * quality`` at its least, ``[functions, prices, selections]``.
    """
    found = np.full((*level.shape, least.shape[2]), -np.inf)
    for values, row in zip(least.swapaxes(0, 1), price.T, strict=True):
        np.maximum(found, values[:, None, :] + (row[:, None] * level)[:, :, None], out=found)
    return found


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
        What is kept, beginning with all, until none is left to drop. First those candidates fall that no best network
        uses, those first that are furthest from it.
    """
    every = [hulls(platform.model, family, start, platform.band) for platform in platforms]

    def marginals(kept: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        return [
            _min_marginals(platform.model.quality_trellis_over(kept), found.over(kept))
            for platform, found in zip(platforms, every, strict=True)
        ]

    away = [np.full(len(numbers), np.inf) for numbers in start]
    for found, each in zip(every, marginals(start), strict=True):
        for gap, values in zip(away, each, strict=True):
            slower = (values - values.min(axis=1, keepdims=True))[found.inside] / found.latency.max()
            np.minimum(gap, slower.min(axis=0), out=gap)
    unused = [
        (gap, choice, number)
        for choice, gaps in enumerate(away)
        for number, gap in zip(start[choice].tolist(), gaps.tolist(), strict=True)
        if gap > _SAME and not protected[choice][number]
    ]
    kept = list(start)
    for _, choice, number in sorted(unused, reverse=True):
        yield kept
        kept = [np.setdiff1d(numbers, [number]) if at == choice else numbers for at, numbers in enumerate(kept)]
    while True:
        yield kept
        fixed = [stays[numbers] for stays, numbers in zip(protected, kept, strict=True)]
        cheapest = _cheapest(marginals(kept), every, fixed)
        if cheapest is None:
            return
        choice, place = cheapest
        kept = [np.delete(numbers, place) if at == choice else numbers for at, numbers in enumerate(kept)]


def _cheapest(
    marginals: Sequence[Sequence[np.ndarray]], every: Sequence[Hulls], protected: Sequence[np.ndarray]
) -> tuple[int, int] | None:
    """The choice, and the place in it, whose drop costs least for the share of the space that goes with it."""
    best: tuple[float, int, int] | None = None
    now = _loss(
        [found.slower(each[0].min(axis=1, keepdims=True)) for found, each in zip(every, marginals, strict=True)]
    )
    for choice, fixed in enumerate(protected):
        free = np.flatnonzero(~fixed)
        if len(fixed) < 2 or not len(free):
            continue
        after = _loss(
            [found.slower(_without(each[choice])[:, free]) for found, each in zip(every, marginals, strict=True)]
        )
        price = (after - now[0]) / np.log(len(fixed) / (len(fixed) - 1))
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


def _loss(slower: Sequence[np.ndarray]) -> np.ndarray:
    """What selections cost, ``[selections]``, by how much slower each platform's hulls become."""
    every = np.concatenate(slower)
    return np.asarray(every.mean(axis=0) + _TAIL * (every**_TAIL_POWER).mean(axis=0) ** (1 / _TAIL_POWER))


def _pieces(trellis: Trellis, worth: Sequence[np.ndarray]) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Pieces of the problems, small enough to hold, with their worths ``[candidates + 1, problems]``."""
    widest = max((stage.cost.shape[0] for stage in trellis.stages), default=1)
    count = worth[0].shape[1] if worth else 0
    step = max(1, _HELD // widest)
    for begin in range(0, count, step):
        piece = slice(begin, begin + step)
        yield piece, [np.ascontiguousarray(values[:, piece]) for values in worth]


def _backward(trellis: Trellis, worth: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Least price from each state to the end, ``[states, problems]`` before each stage and at the end."""
    values = [np.zeros((1, worth[0].shape[1]))]
    for stage in reversed(trellis.stages):
        least = np.full((len(stage.cost), worth[0].shape[1]), np.inf)
        for candidate, (cost, target) in enumerate(zip(stage.cost.T, stage.target.T, strict=True)):
            np.minimum(least, values[-1][target] - stage.quality(worth, candidate) + cost[:, None], out=least)
        values.append(least)
    return values[::-1]


def _solve(trellis: Trellis, worth: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The least ``latency - worth`` of each problem, and the latency of the network that reaches it."""
    count = worth[0].shape[1]
    optimum, latency = np.empty(count), np.full(count, trellis.constant)
    for piece, worths in _pieces(trellis, worth):
        values = _backward(trellis, worths)
        optimum[piece] = trellis.constant + values[0][0]
        columns = np.arange(values[0].shape[1])
        state = np.zeros(len(columns), dtype=np.int64)
        for stage, after in zip(trellis.stages, values[1:], strict=True):
            onward = stage.cost[state] + after[stage.target[state], columns[:, None]]
            for choice, number in stage.settled:
                onward -= worths[choice][number[state if len(number) > 1 else [0]], columns[:, None]]
            candidate = onward.argmin(axis=1)
            latency[piece] += stage.cost[state, candidate]
            state = stage.target[state, candidate]
    return optimum, latency


def _min_marginals(trellis: Trellis, worth: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each choice, the least ``latency - worth`` with each candidate, ``[problems, candidates]``."""
    result = [np.empty((values.shape[1], len(values) - 1)) for values in worth]
    arrivals = [[_incoming(target) for target in stage.target.T] for stage in trellis.stages]
    for piece, worths in _pieces(trellis, worth):
        values = _backward(trellis, worths)
        before = np.full((1, values[0].shape[1]), trellis.constant)
        for stage, incoming, after in zip(trellis.stages, arrivals, values[1:], strict=True):
            reached = np.full_like(after, np.inf)
            for candidate, (cost, (order, states, starts)) in enumerate(zip(stage.cost.T, incoming, strict=True)):
                through = before + cost[:, None] - stage.quality(worths, candidate)
                least = np.minimum.reduceat(through[order], starts, axis=0)
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
