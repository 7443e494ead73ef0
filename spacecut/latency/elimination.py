"""Exact answers over all paths of a trellis: extremes, min-marginals and the k best."""

from __future__ import annotations

import numpy as np

from spacecut.latency.trellis import Trellis

__all__ = ["SUM_ERROR", "k_best", "min_marginals", "minimum", "to_go"]

SUM_ERROR = 1e-12
"""Relative error that a sum may carry, depending on the order in which it was added up."""

_CHUNK = 8_000_000  # numbers held at once while k best lists are merged


def to_go(trellis: Trellis) -> list[np.ndarray]:
    """Least cost from each state of each stage to the end; the last entry is the end itself."""
    values = [np.zeros(1)]
    for stage in reversed(trellis.stages):
        values.append((stage.cost + values[-1][stage.target]).min(axis=1))
    return values[::-1]


def minimum(trellis: Trellis) -> tuple[float, np.ndarray]:
    """The least sum, and candidate numbers ``[choices]`` that reach it."""
    values = to_go(trellis)
    state, taken = 0, []
    for stage, after in zip(trellis.stages, values[1:], strict=True):
        candidate = int(np.argmin(stage.cost[state] + after[stage.target[state]]))
        taken.append(candidate)
        state = int(stage.target[state, candidate])
    return trellis.constant + float(values[0][0]), trellis.assignment(np.asarray(taken, dtype=np.int64))


def min_marginals(trellis: Trellis) -> list[np.ndarray]:
    """For each choice and candidate, the least sum of any architecture with that candidate."""
    values = to_go(trellis)
    result: list[np.ndarray] = [np.empty(0)] * len(trellis.lengths)
    before = np.zeros(1)
    for stage, after in zip(trellis.stages, values[1:], strict=True):
        through = before[:, None] + stage.cost
        result[stage.choice] = trellis.constant + (through + after[stage.target]).min(axis=0)
        before = np.full(len(after), np.inf)
        np.minimum.at(before, stage.target.ravel(), through.ravel())
    return result


def k_best(trellis: Trellis, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` least sums in ascending order and their candidate numbers ``[k, choices]``; fewer if there are."""
    values = np.zeros((1, 1))
    links: list[tuple[np.ndarray, np.ndarray]] = []
    for stage in reversed(trellis.stages):
        states, candidates = stage.cost.shape
        width = min(k, candidates * values.shape[1])
        merged = np.empty((states, width))
        chosen = np.empty((states, width), dtype=np.int64)
        step = max(1, _CHUNK // (candidates * values.shape[1]))
        for start in range(0, states, step):
            part = slice(start, start + step)
            lists = stage.cost[part, :, None] + values[stage.target[part]]
            flat = lists.reshape(lists.shape[0], -1)
            kept = np.argpartition(flat, width - 1, axis=1)[:, :width]
            kept = np.take_along_axis(kept, np.take_along_axis(flat, kept, 1).argsort(axis=1, kind="stable"), 1)
            merged[part] = np.take_along_axis(flat, kept, 1)
            chosen[part] = kept
        links.append((chosen // values.shape[1], chosen % values.shape[1]))
        values = merged
    count = values.shape[1]
    state = np.zeros(count, dtype=np.int64)
    rank = np.arange(count)
    taken = np.empty((count, len(trellis.stages)), dtype=np.int64)
    for column, (stage, (candidate, following)) in enumerate(zip(trellis.stages, reversed(links), strict=True)):
        taken[:, column] = candidate[state, rank]
        rank = following[state, rank]
        state = stage.target[state, taken[:, column]]
    return trellis.constant + values[0], trellis.assignment(taken)
