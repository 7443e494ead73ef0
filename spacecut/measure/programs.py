"""Programs that stay loaded: where loading takes longer than a run, further runs cost a fraction of the first."""

from __future__ import annotations

import psutil

from spacecut.operators import Network
from spacecut.platforms import Platform, Program

__all__ = ["Programs"]

_ROOM = 2 << 30  # bytes


class Programs:
    """Programs of a platform in this process, kept for further runs as long as it takes no more than ``room`` bytes."""

    def __init__(self, platform: Platform, room: int = _ROOM) -> None:
        self._platform = platform
        self._room = room
        # How much room another device has is not known, and what one run tells all of is not run again.
        self._keeps = platform.device == "cpu" and not platform.deterministic
        self._kept: dict[tuple[str, bool], Program] = {}

    def open(self, network: Network, nodes: bool) -> tuple[Program, bool]:
        """The network's program, and whether it is kept; one that is not is to be closed after its run.

        Raises:
            SpacecutError: The platform cannot load it; runtimes raise errors of their own, too.
        """
        key = network.key, nodes
        if key not in self._kept:
            program = self._platform.load(network, nodes)
            again = self._keeps and not (nodes and program.watched_once)
            if not again or psutil.Process().memory_info().rss > self._room:
                return program, False
            self._kept[key] = program
        return self._kept[key], True

    def drop(self, network: Network, nodes: bool) -> None:
        """Close a network's program, if it is kept."""
        program = self._kept.pop((network.key, nodes), None)
        if program is not None:
            program.close()
