"""Programs that stay loaded: where loading takes longer than a run, further runs cost a fraction of the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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

    def hold(self, network: Network, nodes: bool) -> bool:
        """Whether the network's program is loaded."""
        return (network.key, nodes) in self._kept

    @contextmanager
    def opened(self, network: Network, nodes: bool) -> Iterator[tuple[Program, bool]]:
        """The network's program, and whether it stays loaded; what fails, or does not stay, is closed in the end.

        Raises:
            SpacecutError: The platform cannot load it; runtimes raise errors of their own, too.
        """
        key = network.key, nodes
        if key in self._kept:
            program = self._kept[key]
        else:
            program = self._platform.load(network, nodes)
            again = self._keeps and not (nodes and program.watched_once)
            if again and psutil.Process().memory_info().rss <= self._room:
                self._kept[key] = program
        try:
            yield program, key in self._kept
        except Exception:
            self._kept.pop(key, None)
            raise
        finally:
            if key not in self._kept:
                program.close()
