"""Programs that stay loaded: where loading takes longer than a run, further runs cost a fraction of the first."""

from __future__ import annotations

import psutil

from spacecut.operators import Network
from spacecut.platforms import Platform, Program

__all__ = ["Programs"]

_ROOM = 2 << 30


class Programs:
    """Programs of a platform in this process, kept for further runs as long as it takes no more than ``room`` bytes."""

    def __init__(self, platform: Platform, room: int = _ROOM) -> None:
        self._platform = platform
        self._room = room
        self._kept: dict[tuple[str, bool], Program] = {}

    def open(self, network: Network, nodes: bool) -> tuple[Program, bool]:
        """The network's program, and whether it is kept; one that is not is to be closed after its run.

        Raises:
            SpacecutError: The platform cannot load it; runtimes raise errors of their own, too.
        """
        key = network.key, nodes
        if key not in self._kept:
            program = self._load(network, nodes)
            once = self._platform.deterministic or (nodes and program.watched_once)
            if once or psutil.Process().memory_info().rss > self._room:
                return program, False
            self._kept[key] = program
        return self._kept[key], True

    def _load(self, network: Network, nodes: bool) -> Program:
        try:
            return self._platform.load(network, nodes)
        except Exception:
            if not self._kept:
                raise
        self.clear()  # beside them the device may have had no memory left
        return self._platform.load(network, nodes)

    def clear(self) -> None:
        """Close all that are kept."""
        for program in self._kept.values():
            program.close()
        self._kept.clear()
