"""Models that are slow to make are made in processes of their own, on all cores, while nothing is measured."""

from __future__ import annotations

import itertools
import os
import queue
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spacecut.errors import MeasurementError
from spacecut.measure.worker import Worker
from spacecut.operators import Network
from spacecut.platforms import Platform

__all__ = ["Made", "Makers"]

_MOST = 8  # processes, as each takes memory for a quantiser

Item = TypeVar("Item")


@dataclass(frozen=True)
class Made:
    """A model that was made ahead: the folder that it is in, and its share of the seconds that all took together."""

    folder: Path
    seconds: float


class Makers:
    """Processes that make models for a platform.

    Args:
        platform: That is to run them.
        cores: How many models to make at a time; one for each core unless given.
    """

    def __init__(self, platform: Platform, cores: int | None = None) -> None:
        self._platform = platform
        self._count = min(cores or _cores(), _MOST)
        self._workers: list[Worker] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._numbers = itertools.count()
        self._made: dict[str, Made] = {}

    def close(self) -> None:
        """End the processes, and drop what was not taken."""
        for worker in self._workers:
            worker.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        self._made.clear()

    def ahead(self, items: Iterable[Item], needs: Callable[[Item], Iterable[Network]]) -> Iterator[Item]:
        """The items one after the other; what some of them need is made before the first of those comes.

        Args:
            items: Such as groups of tasks.
            needs: Which networks an item will run.
        """
        items = iter(items)
        while batch := list(itertools.islice(items, self._count)):
            self._make([network for item in batch for network in needs(item)])
            yield from batch

    def take(self, network: str) -> Made | None:
        """The model of the network with this key, which is then no longer kept here; None if none was made."""
        return self._made.pop(network, None)

    def _make(self, networks: list[Network]) -> None:
        slow = {network.key: network for network in networks if self._platform.slow_to_build(network)}
        if min(len(slow), self._count) < 2:  # the process that measures may as well do it
            return
        while len(self._workers) < self._count:
            self._workers.append(Worker.of(self._platform))
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="spacecut-")
        parent = Path(self._folder.name)
        free = queue.SimpleQueue[Worker]()
        for worker in self._workers:
            free.put(worker)

        def make(network: Network) -> Path | None:
            folder = parent / str(next(self._numbers))
            worker = free.get()
            try:
                worker.make(network, folder)
            except MeasurementError:  # it fails again where it is to be measured, and is recorded there
                return None
            finally:
                free.put(worker)
            return folder

        start = time.perf_counter()
        with ThreadPoolExecutor(self._count) as pool:
            folders = list(pool.map(make, slow.values()))
        share = (time.perf_counter() - start) / len(slow)
        self._made |= {
            key: Made(folder, share) for key, folder in zip(slow, folders, strict=True) if folder is not None
        }


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
