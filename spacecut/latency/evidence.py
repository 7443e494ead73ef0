"""From runs to evidence: what each operator was seen to cost, and what whole networks took."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

import numpy as np

from spacecut.latency.robust import MOST, standard_deviation
from spacecut.measure import Run, quiet_runs, steadied
from spacecut.operators import Network, Operator
from spacecut.operators.operator import encode, macs

__all__ = ["Evidence", "gather", "whole_latencies"]


@dataclass(frozen=True)
class Evidence:
    """What the runs say.

    Attributes:
        operators: Distinct operators seen.
        number: For each observation, the operator's position; an observation is one operator in one network.
        network: For each observation, which of the ``totals`` it was seen in.
        cost: For each observation, milliseconds: mean over the network's nodes with that operator, median over the
            passes.
        pass_error: For each observation, its relative standard error by how far its passes lie apart; NaN for one pass.
        totals: Whole networks with their milliseconds, median over the quiet passes.
        exact: Every run takes the same, so that a whole network takes what its operators were seen to take in it.
        repeat_error: Relative standard deviation of one quiet run of a network about all of its quiet runs, with what
            the machine drifted by meanwhile, from the one that 90 % of the runs stay within; 0 where nothing was run
            twice.
        alone: Operators were seen in networks of their own, called one by one, as no node times are told.
    """

    operators: list[Operator]
    number: np.ndarray
    network: np.ndarray
    cost: np.ndarray
    pass_error: np.ndarray
    totals: dict[str, float]
    exact: bool = False
    repeat_error: float = 0.0
    alone: bool = False

    @cached_property
    def rows(self) -> np.ndarray:
        """The operators as an array."""
        return encode(self.operators)


def gather(runs: Sequence[Run], deterministic: bool = False) -> Evidence:
    """Sort runs into evidence; failed runs count for nothing, nor do those slower than others of the same network.

    What the machine drifted by is taken out of all costs (see :mod:`spacecut.measure.drift`); the ``repeat_error``
    holds it, as further runs will meet it again.

    Args:
        runs: Of one platform.
        deterministic: The platform takes the same time at every run, so that a single one has no error.
    """
    steady = runs if deterministic else steadied(runs)
    timed: dict[tuple[Operator, str], list[float]] = defaultdict(list)
    alone: dict[tuple[Operator, str], list[float]] = defaultdict(list)
    networks = {key: Network.parse(key) for key in dict.fromkeys(run.task.network for run in runs if not run.error)}
    for run in _undisturbed((run for run in steady if run.task.nodes), attrgetter("low_watched_ms")):
        key = run.task.network
        alike: dict[Operator, list[float]] = defaultdict(list)
        charged = _by_carrier(networks[key], run.low_node_ms)
        for position, operator in enumerate(networks[key].operators):
            alike[operator].append(charged.get(position, 0.0))
        for operator, times in alike.items():
            timed[operator, key].append(float(np.mean(times)))
    whole = whole_latencies(steady)
    for key, latencies in whole.items():
        if len(networks[key].nodes) == 1:
            alone[networks[key].nodes[0].operator, key] = latencies
    seen = timed or alone  # node times leave the overhead out, and are not to be mixed with what holds it
    operators = list(dict.fromkeys(operator for operator, _ in seen))
    positions = {operator: position for position, operator in enumerate(operators)}
    keys = {key: position for position, key in enumerate(networks)}
    return Evidence(
        operators,
        np.asarray([positions[operator] for operator, _ in seen], dtype=np.int64),
        np.asarray([keys[key] for _, key in seen], dtype=np.int64),
        np.asarray([float(np.median(values)) for values in seen.values()]),
        np.asarray([0.0 if deterministic else _standard_error(values) for values in seen.values()]),
        {key: float(np.median(found)) for key, found in whole.items()},
        deterministic,
        0.0 if deterministic else _between_runs(runs, networks),
        not timed,
    )


def whole_latencies(runs: Iterable[Run]) -> dict[str, list[float]]:
    """Milliseconds of whole networks in each quiet run, by network."""
    values: dict[str, list[float]] = defaultdict(list)
    for run in _undisturbed(runs, attrgetter("low_ms")):
        values[run.task.network].append(run.low_ms)
    return dict(values)


def _undisturbed(runs: Iterable[Run], latency: Callable[[Run], float]) -> Iterator[Run]:
    """Of each network's successful runs, those that count."""
    for found in _by_network(runs).values():
        yield from quiet_runs(found, latency)


def _by_network(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The successful runs of each network."""
    result: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.error is None:
            result[run.task.network].append(run)
    return result


def _by_carrier(network: Network, timed: Mapping[int, float]) -> dict[int, float]:
    """Times by the node that does the work.

    A node without a time of its own was done together with another, and runtimes differ in which of them they name. Of
    twins it is the first that counts. Where a node is larger than the one node that takes its output, as a convolution
    before its activation, that one's time is its own.
    """
    times = dict(timed)
    for twin, first in network.twins.items():
        if twin in times and first not in times:
            times[first] = times.pop(twin)
    missing = [position for position in range(len(network.nodes)) if position not in times | network.twins]
    if missing:
        size = macs(encode([node.operator for node in network.nodes]))
        takers: dict[int, list[int]] = defaultdict(list)
        for position, node in enumerate(network.nodes):
            for source in node.inputs if position not in network.twins else ():
                takers[source].append(position)
        for position in missing:
            if len(takers[position]) == 1 and takers[position][0] in times:
                (taker,) = takers[position]
                if size[position] > size[taker]:
                    times[position] = times.pop(taker)
    return times


def _between_runs(runs: Sequence[Run], networks: Mapping[str, Network]) -> float:
    """How far quiet runs of a network lie apart.

    Operators alone are so short that a run of theirs shows little of a drift; they count where there is nothing else.
    """
    again = {key: np.asarray(low) for key, low in whole_latencies(runs).items() if len(low) > 1}
    again = {key: low for key, low in again.items() if len(networks[key].nodes) > 1} or again
    if not again:
        return 0.0
    # Deviations from the middle of n are too small by the root.
    deviations = [(low / np.median(low) - 1) / np.sqrt(1 - 1 / len(low)) for low in again.values()]
    return standard_deviation(np.concatenate(deviations), MOST)


def _standard_error(values: list[float]) -> float:
    mean = float(np.mean(values))
    several = len(values) > 1 and mean > 0
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) / mean if several else float("nan")
