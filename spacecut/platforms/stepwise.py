"""Programs that run a network node by node, so that each node's time is its own by the caller's clock."""

from __future__ import annotations

import time

from spacecut.platforms.platform import Program

__all__ = ["Stepwise"]


class Stepwise(Program):
    """What a program that can stop after each of its nodes needs to tell their times."""

    def __init__(self) -> None:
        self._watched = False
        self._times: dict[int, list[float]] = {}
        self._last = 0.0

    def mark(self) -> None:
        self._times, self._watched = {}, True

    def node_times(self) -> dict[int, list[float]]:
        times, self._watched = self._times, False
        return times

    def _begin(self) -> None:
        """The first node is about to run."""
        self._last = time.perf_counter()

    def _passed(self, node: int) -> None:
        """A node has run; the next one is about to."""
        now = time.perf_counter()
        self._times.setdefault(node, []).append((now - self._last) * 1e3)
        self._last = time.perf_counter()
