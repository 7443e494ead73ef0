"""Carrying out a plan within a time budget, resuming from the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from spacecut.errors import MeasurementError
from spacecut.measure.disturbance import quiet_reference, settled
from spacecut.measure.machine import machine
from spacecut.measure.makers import Made, Makers
from spacecut.measure.plan import plan
from spacecut.measure.protocol import Protocol
from spacecut.measure.run import PlatformRecord, Run, Task
from spacecut.measure.store import Store
from spacecut.measure.worker import Worker
from spacecut.operators import Network
from spacecut.platforms import Platform

__all__ = ["Budget", "Campaign", "Progress", "interleave", "interleaved", "platform_record"]

Progress = Callable[[float, float], None]
"""Called with how much of the measuring is done and how much is expected in all."""

_HOPELESS = 5  # so many failures before the first success, and the campaign gives up


@dataclass(frozen=True)
class Budget:
    """How long to measure.

    Attributes:
        seconds: About how much measurement a space gets; the number of networks follows from it.
        passes: Every network is run so many times, far apart in time, so that drift is not taken for a step; at least
            twice, even where that takes longer than was expected.
        beside: Operators alone beside networks are run so many times: what they cost in company, and what others cost
            that are not run, is known less well than what they take.
        repairs: So many further times what is not settled yet, since the machine was disturbed, is measured again
            within the seconds.
        more_passes: Small spaces get up to so many passes, while they stay under a quarter of the seconds.
        error: Enough was measured once the relative standard error on networks left out is below this; it is not asked
            for where this is 0.
    """

    seconds: float = 120.0
    passes: int = 5
    beside: int = 2
    more_passes: int = 7
    repairs: int = 8
    error: float = 0.01


@dataclass
class _FirstPass:
    """What was run once, and how long it took.

    Attributes:
        beside: Operators alone beside networks.
        runs: All of it.
        prepared: Seconds that no further pass takes.
        networks: Seconds that all others take in every pass.
        operators: Seconds that those operators take.
    """

    beside: set[Task] = field(default_factory=set)
    runs: list[Run] = field(default_factory=list)
    prepared: float = 0.0
    networks: float = 0.0
    operators: float = 0.0

    def add(self, run: Run) -> None:
        """Count a run."""
        self.runs.append(run)
        once_only = run.seconds if run.error else run.preparing  # what failed is hardly begun again
        self.prepared += once_only
        if run.task in self.beside:
            self.operators += run.seconds - once_only
        else:
            self.networks += run.seconds - once_only

    def seconds(self, passes: int, beside: int = 1) -> float:
        """Of so many passes, but of those operators in no more than ``beside`` of them."""
        return self.prepared + passes * self.networks + min(passes, beside) * self.operators


def platform_record(platform: Platform) -> PlatformRecord:
    """What tells measurements on a platform from all others."""
    return PlatformRecord(
        str(platform.name),
        platform.version,
        platform.device,
        platform.precision,
        platform.threads,
        platform.batch,
        platform.hardware() or machine(),
        platform.deterministic,
        platform.estimated_by,
    )


class Campaign:
    """Measures on one platform, through a worker and a store.

    Args:
        platform: Where to measure.
        store: Where runs are kept, and looked up first.
        protocol: How one run is timed.
        progress: Told about the seconds of measurement.
    """

    def __init__(
        self, platform: Platform, store: Store, protocol: Protocol | None = None, progress: Progress | None = None
    ) -> None:
        self._platform = platform
        self._store = store
        self._protocol = protocol or Protocol()
        self._progress = progress or (lambda done, expected: None)
        self._worker = Worker.of(platform)
        self._makers = Makers(platform)
        self._succeeded = store.succeeded()
        self._failures = 0
        self.measured = 0
        """Runs made by this campaign, not found in the store."""

    def cover(
        self,
        networks: Iterable[Network],
        budget: Budget,
        enough: Callable[[Sequence[Run]], bool] = lambda runs: False,
        seed: int = 0,
    ) -> list[Run]:
        """Measure as many of the networks as the budget allows; failures come back as runs with an error.

        Args:
            networks: In the order in which they are to be added.
            budget: How long to measure.
            enough: Asked whether the runs so far will do, once all have been made twice; a small space gets its passes
                whatever it says. On a deterministic platform every network is run once, and it is asked whenever the
                networks have doubled.
            seed: Of the orders of the passes.

        Raises:
            MeasurementError: Nothing can be measured.
        """
        once = self._platform.deterministic
        rounds = 1 if once else budget.passes + 1  # the last one is for what has to be repeated
        first = _FirstPass()
        try:
            groups = self._makers.ahead(plan(networks, self._platform.tells_node_times), self._unknown)
            for number, group in enumerate(groups, 1):
                first.beside.update(group[1:])
                for task in group:
                    first.add(self._run(task))
                self._progress(first.seconds(1), budget.seconds)
                doubled = first.seconds(1) >= budget.seconds / 4 and not number & (number - 1)
                expected = first.seconds(rounds, budget.beside + 1)
                if expected >= budget.seconds or (once and doubled and enough(first.runs)):
                    break
            runs = first.runs if once else self._repeated(first, budget, enough, seed)
        finally:
            self._worker.close()
            self._makers.close()
        if all(run.error for run in runs):
            raise MeasurementError(f"every measurement on {self._platform.name} failed; the last: {runs[-1].error}")
        return runs

    def _repeated(
        self, first: _FirstPass, budget: Budget, enough: Callable[[Sequence[Run]], bool], seed: int
    ) -> list[Run]:
        """The runs of a first pass, of further ones, and again of what those did not settle."""
        runs, tasks = list(first.runs), [run.task for run in first.runs]
        order = np.random.default_rng(seed)
        repeat, whole = 1, first.seconds(1)

        def run(task: Task, number: int, expected: float) -> None:
            nonlocal whole
            runs.append(self._run(replace(task, repeat=number)))
            whole += runs[-1].seconds
            self._progress(whole, max(expected, whole))

        while (
            repeat < budget.more_passes
            if whole + first.networks < budget.seconds / 4
            else repeat < budget.passes
            and not (repeat > 1 and (whole + first.networks > budget.seconds or enough(runs)))
        ):
            for index in order.permutation(len(tasks)):
                if repeat < budget.beside or tasks[index] not in first.beside:
                    run(tasks[index], repeat, first.seconds(budget.passes, budget.beside))
            repeat += 1
        for repair in range(budget.repairs):
            if whole >= budget.seconds or enough(runs):
                break
            for task in _unsettled(runs):
                if whole >= budget.seconds:
                    break
                run(task, repeat + repair, budget.seconds)
        return runs

    def _known(self, task: Task) -> Run | None:
        known = self._store.find(task)
        return known if known is not None and known.error is None else None

    def _unknown(self, tasks: Iterable[Task]) -> Iterator[Network]:
        """The networks of tasks that are still to be run."""
        return (Network.parse(task.network) for task in tasks if self._known(task) is None)

    def _run(self, task: Task) -> Run:
        if known := self._known(task):
            return known
        run = _measure(self._worker, task, self._protocol, self._makers.take(task.network))
        self._store.add(run)
        self.measured += 1
        if run.error is None:
            self._succeeded = True
        elif not self._succeeded:
            self._failures += 1
            if self._failures >= _HOPELESS:
                raise MeasurementError(f"measuring on {self._platform.name} fails: {run.error}")
        return run


def _unsettled(runs: list[Run]) -> list[Task]:
    """What runs do not agree on yet."""
    quiet = quiet_reference(runs)
    by_task: dict[Task, list[Run]] = {}
    for run in runs:
        if run.error is None:
            by_task.setdefault(replace(run.task, repeat=0), []).append(run)
    return [task for task, found in by_task.items() if not settled(found, quiet)]


def interleave(
    platform: Platform, networks: list[str], passes: int, seed: int = 0, progress: Progress | None = None
) -> list[Run]:
    """Fresh end-to-end runs of networks, all run once before any is run again.

    Args:
        platform: Where to measure.
        networks: Network keys, distinct.
        passes: How often each is run, in a new random order every time.
        seed: Of the orders.
        progress: Called with the runs done and to do at least.

    Raises:
        MeasurementError: A network fails.
    """
    runs: list[Run] = []
    for run in interleaved(platform, networks, passes, seed):
        runs.append(run)
        if progress is not None:
            progress(len(runs), max(len(runs), passes * len(networks)))
    return runs


def interleaved(platform: Platform, networks: list[str], passes: int, seed: int = 0) -> Iterator[Run]:
    """The runs of :func:`interleave` one by one, each measured when it is asked for.

    What several passes do not settle, since the machine was disturbed, is run in up to as many passes more.

    Raises:
        MeasurementError: A network fails.
    """
    order = np.random.default_rng(seed)
    runs: list[Run] = []
    with Worker.of(platform) as worker, closing(Makers(platform)) as makers:
        for repeat in range(2 * passes if passes > 1 else 1):
            left = networks if repeat < passes else [task.network for task in _unsettled(runs)]
            shuffled = [left[index] for index in order.permutation(len(left))]
            for key in shuffled if repeat else makers.ahead(shuffled, lambda key: [Network.parse(key)]):
                run = _measure(worker, Task(key, False, repeat), Protocol(), makers.take(key))
                if run.error:
                    raise MeasurementError(f"a network failed on {platform.name}: {run.error}")
                runs.append(run)
                yield run


def _measure(worker: Worker, task: Task, protocol: Protocol, made: Made | None = None) -> Run:
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    ahead = made.seconds if made else 0.0
    start = time.perf_counter()
    try:
        samples = worker.measure(Network.parse(task.network), task.nodes, protocol, made.folder if made else None)
    except MeasurementError as error:
        return Run(task, taken_at, ahead + time.perf_counter() - start, error=str(error))
    return Run(
        task,
        taken_at,
        ahead + time.perf_counter() - start,
        tuple(round(value, 6) for value in samples.total_ms),
        {node: tuple(round(value, 6) for value in times) for node, times in samples.node_ms.items()},
        tuple(round(value, 6) for value in samples.watched_ms),
        round(samples.reference_ms, 6),
        clock_mhz=samples.clock_mhz,
        preparing=ahead + samples.preparing,
    )
