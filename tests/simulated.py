"""A SIMULATED platform, whose true costs are known, and its runs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from models import space_of

from spacecut.measure import Run, Task
from spacecut.measure.plan import covering_sample
from spacecut.operators import Network, Operator, Workload, expand
from spacecut.space import SearchSpace

OVERHEAD, SCALE = 0.15, 1.1
TRAINED = 160


def simulated_ms(operator: Operator) -> float:
    """True cost on the simulated platform.

    Output channels are computed in blocks of 16; a ragged last block of 32 is dear, so that 17 to 31 channels are
    slower than 32; and an input or output that is no multiple of 4 has its layout converted.
    """
    inner, outer, pixels = operator.in_channels, operator.out_channels, operator.height * operator.width
    if operator.kind == "linear":
        return 0.01 + 2e-5 * inner
    window = operator.kernel**2 * (1 if operator.kind == "depthwise_conv2d" else inner)
    blocks = -(-outer // 16) * 16
    time = 0.02 + 1e-6 * pixels * window * (blocks + (16 if outer % 32 else 0))
    converted = inner * (inner % 4 != 0) + outer * (outer % 4 != 0)
    return time + 2e-5 * pixels * converted


def simulated_space(last: int = 96, step: int = 1) -> SearchSpace:
    """Four widths in a row, with plain and depthwise convolutions."""
    choices = {f"c{number}": {"candidates": f"8..{last}..{step}", "order": "larger"} for number in range(4)}
    network: list[dict[str, Any]] = [
        {"conv2d": {"out_channels": "c0", "kernel": 3}},
        {"depthwise_conv2d": {"kernel": 3}},
        {"conv2d": {"out_channels": "c1", "kernel": 1}},
        {"depthwise_conv2d": {"kernel": 3}},
        {"conv2d": {"out_channels": "c2", "kernel": 1}},
        {"conv2d": {"out_channels": "c3", "kernel": 1}},
        {"linear": {"out_channels": 10}},
    ]
    return space_of(choices, network, "simulated")


def disturbed(ms: float, generator: np.random.Generator, noise: float) -> tuple[float, ...]:
    """Twenty inferences; whatever else the machine does only ever adds to their times."""
    return tuple((ms * (1 + noise * np.abs(generator.normal(size=20)))).tolist())


def simulated_run(network: Network, nodes: bool, generator: np.random.Generator, noise: float = 0.02) -> Run:
    times = [simulated_ms(node.operator) for node in network.nodes]
    total = disturbed(OVERHEAD + SCALE * sum(times), generator, noise)
    if not nodes:
        return Run(Task(network.key, False, 0), "2025-01-01T00:00:00Z", 1.0, total)
    per_node = {position: disturbed(ms, generator, noise) for position, ms in enumerate(times)}
    return Run(Task(network.key, True, 0), "2025-01-01T00:00:00Z", 1.0, total, per_node, total)


def runs_beside_operators_alone(
    networks: Sequence[Network],
    alone: Callable[[Operator], float],
    generator: np.random.Generator,
    noise: float = 0.02,
) -> list[Run]:
    """Whole networks, and each of their operators alone, which then takes ``alone`` ms."""
    runs = [simulated_run(network, False, generator, noise) for network in networks]
    for operator in dict.fromkeys(node.operator for network in networks for node in network.nodes):
        task = Task(Network.single(operator).key, False, 0)
        runs.append(Run(task, "", 1.0, disturbed(alone(operator), generator, noise)))
    return runs


@functools.cache
def simulated_campaign() -> tuple[Workload, tuple[Run, ...]]:
    workload = expand(simulated_space())
    generator = np.random.default_rng(0)
    rows = covering_sample(workload.space, TRAINED)
    return workload, tuple(simulated_run(workload.network(row), True, generator) for row in rows)


def faster(run: Run, speed: float, repeat: int) -> Run:
    """The same run at another speed of the machine."""
    total, watched = (tuple(speed * ms for ms in times) for times in (run.total_ms, run.watched_ms))
    nodes = {node: tuple(speed * ms for ms in times) for node, times in run.node_ms.items()}
    task = dataclasses.replace(run.task, repeat=repeat)
    return dataclasses.replace(run, task=task, total_ms=total, watched_ms=watched, node_ms=nodes)
