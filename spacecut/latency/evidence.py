"""From runs to evidence: what each operator was seen to cost, and what whole networks took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spacecut.measure import Run, quiet_reference, quiet_runs
from spacecut.operators import Network, Operator
from spacecut.operators.operator import encode

__all__ = ["QUIET", "Evidence", "gather", "whole_latencies"]

QUIET = 0.1
"""Quantile of a run's samples that stands for an operator undisturbed by the rest of the machine."""


@dataclass(frozen=True)
class Evidence:
    """What the runs say.

    Attributes:
        operators: Distinct operators seen.
        number: For each observation, the operator's position; an observation is one operator in one network.
        network: For each observation, which network it was seen in.
        cost: For each observation, milliseconds: mean over the network's nodes with that operator, median over the
            passes.
        pass_error: For each observation, the relative standard deviation between passes; NaN for a single pass.
        totals: Whole networks with their milliseconds, median over the quiet passes.
    """

    operators: list[Operator]
    number: np.ndarray
    network: np.ndarray
    cost: np.ndarray
    pass_error: np.ndarray
    totals: dict[str, float]

    @cached_property
    def rows(self) -> np.ndarray:
        """The operators as an array."""
        return encode(self.operators)


def gather(runs: Sequence[Run]) -> Evidence:
    """Sort runs into evidence; failed runs count for nothing, and disturbed ones only where there is no quiet one."""
    seen: dict[tuple[Operator, str], list[float]] = defaultdict(list)
    alone: dict[tuple[Operator, str], list[float]] = defaultdict(list)
    networks: dict[str, Network] = {}
    for run, slower in _undisturbed(runs):
        key = run.task.network
        if key not in networks:
            networks[key] = Network.parse(key)
        nodes = networks[key].nodes
        if run.task.nodes:
            quiet = _node_times(run)
            alike: dict[Operator, list[float]] = defaultdict(list)
            for position, node in enumerate(nodes):
                # A node without a time of its own was fused into a neighbour, whose time it is part of.
                alike[node.operator].append(quiet.get(position, 0.0) / slower)
            for operator, times in alike.items():
                seen[operator, key].append(float(np.mean(times)))
        elif len(nodes) == 1:
            alone[nodes[0].operator, key].append(float(np.quantile(run.total_ms, QUIET)) / slower)
    seen = seen or alone  # node times leave the overhead out, and are not to be mixed with what holds it
    whole = whole_latencies(run for run in runs if not run.task.nodes)
    operators = list(dict.fromkeys(operator for operator, _ in seen))
    positions = {operator: position for position, operator in enumerate(operators)}
    keys = {key: position for position, key in enumerate(networks)}
    return Evidence(
        operators,
        np.asarray([positions[operator] for operator, _ in seen], dtype=np.int64),
        np.asarray([keys[key] for _, key in seen], dtype=np.int64),
        np.asarray([float(np.median(values)) for values in seen.values()]),
        np.asarray([_spread(values) for values in seen.values()]),
        {key: float(np.median(found)) for key, found in whole.items()},
    )


def whole_latencies(runs: Iterable[Run]) -> dict[str, list[float]]:
    """Milliseconds of whole networks: the median of each quiet run, by network."""
    values: dict[str, list[float]] = defaultdict(list)
    for run, slower in _undisturbed(runs):
        values[run.task.network].append(run.median_ms / slower)
    return values


def _undisturbed(runs: Iterable[Run]) -> Iterator[tuple[Run, float]]:
    """The quiet runs; of what was only ever disturbed, the least disturbed run and how much slower it was."""
    good = [run for run in runs if run.error is None]
    quiet = quiet_reference(good)
    by_task: dict[tuple[str, bool], list[Run]] = defaultdict(list)
    for run in good:
        by_task[run.task.network, run.task.nodes].append(run)
    for found in by_task.values():
        kept = quiet_runs(found, quiet)
        if kept:
            yield from ((run, 1.0) for run in kept)
        else:
            least = min(found, key=lambda run: run.reference_ms)
            yield least, least.reference_ms / quiet


def _node_times(run: Run) -> dict[int, float]:
    """Low milliseconds of each node; where the runtime tells only means, by the run's quiet over mean total."""
    if not run.node_ms:
        return {}
    times = np.asarray(list(run.node_ms.values()))
    if times.shape[1] > 1:
        quiet = np.quantile(times, QUIET, axis=1)
    else:
        total = np.asarray(run.total_ms)
        quiet = times[:, 0] * np.quantile(total, QUIET) / total.mean()
    return dict(zip(run.node_ms, quiet.tolist(), strict=True))


def _spread(values: list[float]) -> float:
    mean = float(np.mean(values))
    return float(np.std(values, ddof=1)) / mean if len(values) > 1 and mean > 0 else float("nan")
