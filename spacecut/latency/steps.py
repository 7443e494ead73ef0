"""Adaptive step search: all edges of a platform's staircase over one width, with as few probes as possible.

The search walks along the axis. From the stairs seen so far it guesses where the next one ends (the step widths of a
platform repeat, singly or in a cycle) and probes both sides of that edge: two probes settle it if the guess holds.
Else it gallops until the cost leaves the stair and halves its way back to the edge. What rises inside a stair is
learnt as a slope, so that a smooth curve gives no edges. A single regular step width is the special case of
Blackthorn (Lechner & Jantsch, IEEE Access 9, 2021); irregular edges, dips included, are found here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from spacecut.errors import InputError

__all__ = ["Probe", "Staircase", "find_steps"]

Probe = Callable[[int], float]
"""Measures the cost at a width."""

_SIGMAS = 3.0  # a comparison is settled once it is so many standard errors from undecided
_FIRST_JUMP = 0.03  # of the cost: what counts as an edge before one was seen
_SHARES_OF_JUMP = (0.25, 0.5)  # of the jumps seen so far: what counts as one from then on, by the noise
_DOUBLING = 16  # galloping doubles up to here
_GROWTH = 1.5  # and grows so from here on: no faster, or a dip as wide as the stair before it could be leapt over
_CALIBRATION = 5
_MOST_REPEATS = 40


@dataclass(frozen=True)
class Staircase:
    """What the search found.

    Attributes:
        edges: First widths of new stairs, ascending; the first width of the axis is none.
        tops: The largest width of each stair.
        probes: Distinct widths that were probed.
        measurements: Measurements in all: where a difference is near the noise, a width is measured again.
    """

    edges: tuple[int, ...]
    tops: tuple[int, ...]
    probes: int
    measurements: int


@dataclass
class _Axis:
    """Probed costs of an axis.

    Attributes:
        probe: Measures.
        noise: Standard deviation of one measurement, as a share of the cost.
        seen: Measurements by width.
        jumps: Rises (or falls) at the edges found so far.
    """

    probe: Probe
    noise: float = 0.0
    seen: dict[int, list[float]] = field(default_factory=dict)
    jumps: list[float] = field(default_factory=list)

    def cost(self, width: int) -> float:
        """Mean cost at a width, measured when it is first asked for."""
        if width not in self.seen:
            self.again(width)
        return float(np.mean(self.seen[width]))

    def again(self, width: int) -> None:
        """Measure a width once more."""
        self.seen.setdefault(width, []).append(self.probe(width))

    def gap(self, one: int, other: int, slope: float) -> float:
        """How far two costs are apart beyond what the slope explains."""
        return self.cost(other) - self.cost(one) - slope * (other - one)

    def differs(self, one: int, other: int, slope: float) -> bool:
        """Whether the gap is an edge's; measured again and again while that is in doubt."""
        while True:
            gap = abs(self.gap(one, other, slope))
            least = self._least_jump(one, other)
            counts = len(self.seen[one]), len(self.seen[other])
            if abs(gap - least) >= _SIGMAS * self._error(one, other, *counts) or min(counts) >= _MOST_REPEATS:
                return bool(gap > least)
            self.again(one if counts[0] <= counts[1] else other)

    def _least_jump(self, one: int, other: int) -> float:
        """What counts as an edge between two widths: as little as a single measurement of each can tell from none."""
        if not self.jumps:
            return _FIRST_JUMP * self.cost(one)
        low, high = np.multiply(_SHARES_OF_JUMP, np.median(np.abs(self.jumps)))
        return float(np.clip(2 * _SIGMAS * self._error(one, other, 1, 1), low, high))

    def _error(self, one: int, other: int, *counts: int) -> float:
        """Standard error of the difference of two costs, each a mean of so many measurements."""
        return self.noise * float(np.hypot(*(self.cost(w) / n**0.5 for w, n in zip((one, other), counts, strict=True))))


def find_steps(probe: Probe, first: int = 1, last: int = 1024, noise: float | None = None) -> Staircase:
    """Find every edge of a staircase over the widths ``first`` to ``last``.

    Args:
        probe: Measures the cost at a width; its noise is taken for independent from call to call.
        first: Least width of the axis.
        last: Largest width of the axis.
        noise: Standard deviation of one measurement, as a share of the cost; measured at the first width if not given.

    Raises:
        InputError: The axis is empty.
    """
    if first > last:
        raise InputError(f"no widths from {first} to {last}")
    axis = _Axis(probe)
    if noise is not None:
        axis.noise = noise
    else:
        for _ in range(_CALIBRATION):
            axis.again(first)
        axis.noise = float(np.std(axis.seen[first], ddof=1) / np.mean(axis.seen[first]))
    edges = _Search(axis, last).edges(first)
    tops = (*(edge - 1 for edge in edges), last)
    return Staircase(tuple(edges), tops, len(axis.seen), sum(len(values) for values in axis.seen.values()))


class _Search:
    def __init__(self, axis: _Axis, last: int) -> None:
        self._axis = axis
        self._last = last
        self._slope = 0.0

    def edges(self, first: int) -> list[int]:
        found: list[int] = []
        start = first
        while start < self._last:
            edge = self._guessed(start, found, first) or self._searched(start)
            if edge is None or edge > self._last:
                break
            found.append(edge)
            self._axis.jumps.append(self._axis.gap(edge - 1, edge, self._slope))
            start = edge
        return found

    def _same_stair(self, start: int, width: int) -> bool:
        return not self._axis.differs(start, width, self._slope)

    def _guessed(self, start: int, found: list[int], first: int) -> int | None:
        """The next edge where earlier stairs say that it should be, if probes on both sides agree.

        It lies beyond the axis where the last stair is shorter than its like.
        """
        for length in self._guesses(found, first):
            top = start + length - 1
            if top + 1 > self._last:
                if self._even(start, self._last):
                    return self._last + 1
                continue
            if self._even(start, top) and self._axis.differs(top, top + 1, self._slope):
                return top + 1
        return None

    def _even(self, start: int, top: int) -> bool:
        """Whether all between is one stair; on a platform whose cost was seen to fall, a look inside is worth it."""
        falls = any(jump < 0 for jump in self._axis.jumps)
        inside = [start + 3 * (top - start) // 4] if falls and top - start > 2 else []
        return all(self._same_stair(start, width) for width in (top, *inside))

    def _guesses(self, found: list[int], first: int) -> list[int]:
        """Lengths that the stair after the last edge found may have, the likeliest first."""
        lengths = np.diff([first, *found]).tolist()
        guesses: list[int] = []
        for cycle in (2, 3):  # a repeating cycle of lengths: what came after the same history
            if len(lengths) >= 2 * cycle - 1 and lengths[-cycle + 1 :] == lengths[-2 * cycle + 1 : -cycle]:
                guesses.append(lengths[-cycle])
        guesses += lengths[:-4:-1]
        return list(dict.fromkeys(int(guess) for guess in guesses))

    def _searched(self, start: int) -> int | None:
        """The next edge by galloping and halving."""
        inside = start
        while inside < self._last:
            reach = inside - start
            growth = _GROWTH if reach >= _DOUBLING else 2
            outside = min(start + max(int(reach * growth), 1), self._last)
            if self._same_stair(start, outside):
                inside = outside
                continue
            while outside - inside > 1:
                middle = (inside + outside) // 2
                if self._same_stair(start, middle):
                    inside = middle
                else:
                    outside = middle
            if self._axis.differs(inside, outside, self._slope):
                return outside
            # No jump: the cost rises inside the stair. Learn how fast, and go on with that.
            self._slope = (self._axis.cost(outside) - self._axis.cost(start)) / (outside - start)
            inside = outside
        return None
