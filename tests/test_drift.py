"""Taking a drift of the machine out of runs, on simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from spacecut.latency.evidence import gather
from spacecut.measure import Run, Task, steadied
from spacecut.operators import Network, Operator

NETWORKS = [Network.single(Operator("conv2d", 4, 6, 6, channels)).key for channels in range(4, 44)]
COSTS = np.geomspace(1.0, 30.0, len(NETWORKS))
START = datetime(2026, 12, 1, tzinfo=UTC)


def simulated(
    drift: Callable[[float], float], passes: int = 5, apart: float = 0.5, noise: float = 0.01, seed: int = 0
) -> list[Run]:
    """Runs of all networks in passes, ``apart`` seconds from each other, on a machine so much slower at a second."""
    generator = np.random.default_rng(seed)
    runs: list[Run] = []
    for repeat in range(passes):
        for number in generator.permutation(len(NETWORKS)):
            second = apart * len(runs)
            took = COSTS[number] * drift(second) * np.exp(noise * generator.standard_normal())
            taken_at = (START + timedelta(seconds=second)).isoformat(timespec="seconds")
            task = Task(NETWORKS[number], True, repeat)
            runs.append(Run(task, taken_at, 0.4, (took,) * 6, {0: (took / 2,) * 6}, (took,) * 6, 0.3))
    return runs


def errors(runs: list[Run]) -> np.ndarray:
    """Of each run against its network's cost, as a share."""
    costs = dict(zip(NETWORKS, COSTS, strict=True))
    return np.asarray([run.low_ms / costs[run.task.network] - 1 for run in runs])


@pytest.mark.parametrize("seed", range(5))
def test_a_drift_is_taken_out(seed: int) -> None:
    runs = simulated(lambda second: 1 + 0.12 * np.sin(second / 8), seed=seed)
    steady = steadied(runs)
    assert errors(runs).std() > 0.07
    assert errors(steady).std() < 0.025
    assert abs(np.median(errors(steady))) < 0.02  # as fast as in the middle
    for before, after in zip(runs, steady, strict=True):
        share = after.low_ms / before.low_ms
        assert after.low_node_ms[0] == pytest.approx(share * before.low_node_ms[0])
        assert after.low_watched_ms == pytest.approx(share * before.low_watched_ms)
        assert (after.task, after.taken_at, after.reference_ms) == (before.task, before.taken_at, before.reference_ms)


def test_a_spell_counts_by_its_seconds_not_by_its_runs() -> None:
    """A seventh of the time the machine is slow, and most runs are made then."""
    slow = [run for run in simulated(lambda _: 1.1, passes=9, apart=0.05) if run.task.repeat]
    rest = simulated(lambda _: 1.0, apart=0.5)
    moved = [
        Run(run.task, (START + timedelta(seconds=60 + 0.5 * number)).isoformat(timespec="seconds"), 0.4, run.total_ms)
        for number, run in enumerate(rest)
    ]
    assert len(slow) > len(moved)
    bare = [Run(run.task, run.taken_at, run.seconds, run.total_ms) for run in slow]
    assert abs(np.median(errors(steadied([*bare, *moved])))) < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_machine_is_left_alone(seed: int) -> None:
    runs = simulated(lambda _: 1.0, seed=seed)
    assert max(abs(after.low_ms / before.low_ms - 1) for before, after in zip(runs, steadied(runs), strict=True)) < 0.01


def test_single_runs_that_something_disturbed_move_no_others() -> None:
    runs = simulated(lambda second: 2.0 if second % 4 == 0 else 1.0)  # every eighth
    steady = steadied(runs)
    quiet = [number for number in range(len(runs)) if number % 8]
    assert np.abs(errors([steady[number] for number in quiet])).max() < 0.05


def test_what_cannot_be_judged_is_as_it_was() -> None:
    runs = simulated(lambda second: 1 + 0.12 * np.sin(second / 8))
    failed = Run(Task(NETWORKS[0], True, 9), runs[3].taken_at, 0.1, error="out of memory")
    assert steadied([*runs, failed])[-1] is failed
    sparse = simulated(lambda second: 1 + 0.12 * np.sin(second / 120), apart=5.0)  # two others within four seconds
    assert all(after is before for before, after in zip(sparse, steadied(sparse), strict=True))
    once = simulated(lambda second: 1 + 0.12 * np.sin(second / 8), passes=1)
    assert all(after is before for before, after in zip(once, steadied(once), strict=True))
    assert steadied([]) == []


def test_evidence_is_of_a_steady_machine_but_further_runs_meet_the_drift_again() -> None:
    evidence = gather(simulated(lambda second: 1 + 0.12 * np.sin(second / 8)))
    assert np.abs(np.asarray([evidence.totals[key] for key in NETWORKS]) / COSTS - 1).max() < 0.03
    assert evidence.repeat_error > 0.05
    exact = gather(simulated(lambda second: 1 + 0.12 * np.sin(second / 8)), deterministic=True)
    assert np.abs(np.asarray([exact.totals[key] for key in NETWORKS]) / COSTS - 1).max() > 0.03
