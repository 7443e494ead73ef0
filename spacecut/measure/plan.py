"""Which networks to run: architectures that together show every candidate often, in ever new company."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from spacecut.measure.run import Task
from spacecut.operators import Network, Workload
from spacecut.space import SearchSpace

__all__ = ["covering_sample", "plan", "sampled_networks"]

ENUMERATED = 512
"""Spaces up to this size are measured whole."""
SAMPLED = 2048
WHOLE_NETWORKS = 48
"""How many architectures are also timed end to end."""


def covering_sample(space: SearchSpace, count: int, seed: int = 0) -> np.ndarray:
    """Architectures in which each candidate of each choice comes equally often; shape ``[count, choices]``.

    Each choice runs through its candidates in random order again and again (a Latin hypercube over finite sets), so
    any prefix is balanced too.
    """
    generator = np.random.default_rng(seed)
    columns = []
    for length in space.lengths:
        rounds = -(-count // length)
        columns.append(np.concatenate([generator.permutation(length) for _ in range(rounds)])[:count])
    return np.stack(columns, axis=1) if columns else np.zeros((1, 0), dtype=np.int64)


def _architectures(space: SearchSpace, seed: int) -> np.ndarray:
    if space.size > ENUMERATED:
        return covering_sample(space, SAMPLED, seed)
    grid = np.indices(space.lengths).reshape(len(space.lengths), -1).T
    return np.random.default_rng(seed).permutation(grid)


def sampled_networks(workload: Workload, seed: int = 0) -> Iterator[Network]:
    """Networks of a space, all of a small one, else a covering sample."""
    for candidates in _architectures(workload.space, seed):
        yield workload.network(candidates)


def plan(networks: Iterable[Network], node_times: bool) -> Iterator[list[Task]]:
    """Groups of tasks, one group a network, each task once.

    Args:
        networks: What is to be known about.
        node_times: Whether the platform tells node times inside a running network. Then whole networks are run, and
            each tells the cost of all its operators in context. Else each operator runs alone, and whole networks
            beside them tell what the sum leaves out.
    """
    seen: set[Task] = set()
    for number, network in enumerate(networks):
        whole = [Task(network.key, False, 0)] if number < WHOLE_NETWORKS else []
        if node_times:
            evidence = [Task(network.key, True, 0)]
        else:
            evidence = [Task(Network.single(node.operator).key, False, 0) for node in network.nodes]
        group = [task for task in dict.fromkeys(whole + evidence) if task not in seen]
        seen.update(group)
        if group:
            yield group
