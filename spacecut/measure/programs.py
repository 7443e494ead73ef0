"""Programs that stay loaded: where loading takes longer than a run, further runs cost a fraction of the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from spacecut.operators import Network
from spacecut.platforms import Platform, Program

__all__ = ["Programs"]

_SHARE = 0.25
"""Of the memory there is, that a process fills with programs."""
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, where there is one


class Programs:
    """Programs of a platform in this process, kept for further runs as long as it takes no more than ``room`` bytes.

    A quarter of the memory there is unless given.
    """

    def __init__(self, platform: Platform, room: int | None = None) -> None:
        self._platform = platform
        self.room = int(_SHARE * _memory()) if room is None else room
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
            if again and psutil.Process().memory_info().rss <= self.room:
                self._kept[key] = program
        try:
            yield program, key in self._kept
        except Exception:
            self._kept.pop(key, None)
            raise
        finally:
            if key not in self._kept:
                program.close()


def _memory() -> int:
    """Bytes of memory that this machine, or the container that this is in, has."""
    limit = _LIMIT.read_text().strip() if _LIMIT.exists() else ""
    total = int(psutil.virtual_memory().total)
    return min(total, int(limit)) if limit.isdigit() else total
