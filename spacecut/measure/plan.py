"""Which networks to run: architectures that together show every candidate often, in ever new company."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from spacecut.measure.alone import spread
from spacecut.measure.run import Task
from spacecut.operators import ABSENT, Network, Operator, Workload
from spacecut.operators.operator import family_numbers
from spacecut.space import SearchSpace

__all__ = ["covering_sample", "plan", "sampled_networks"]

ENUMERATED = 512
"""Spaces up to this size are measured whole."""
SAMPLED = 2048
COMMON = 0.7
"""Share of a candidate's place in its order that it has in common with the others of an architecture."""
WHOLE = 5
"""Where operators run alone, with each network there come one in so many as it has operators."""


def covering_sample(space: SearchSpace, count: int, seed: int = 0) -> np.ndarray:
    """Architectures in which each candidate of each choice comes equally often; shape ``[count, choices]``.

    Each choice runs through its candidates again and again (a Latin hypercube over finite sets), so any prefix is
    balanced too. Were the choices independent, all architectures of a large space would be about as large as the mean.
    So candidates that are ordered by size, or listed from the worst to the best, follow a common lean of their
    architecture, as by a Gaussian copula (Nelsen, An Introduction to Copulas, ch. 2), and the networks cover the whole
    range of sizes. Those listed from the worst to the best stand in the first architectures in that order, so that all
    precisions, say, are seen without any other beside them.
    """
    generator = np.random.default_rng(seed)
    lean = generator.standard_normal(count)
    columns = []
    for choice in space.choices:
        listed = choice.order == (choice.candidates,)
        common = COMMON if choice.order == "larger" or listed else 0.0
        key = np.sqrt(common) * lean + np.sqrt(1 - common) * generator.standard_normal(count)
        column = _balanced(key, len(choice.candidates))
        if listed:  # each comes once among them, now as before
            column[: len(choice.candidates)] = np.arange(len(choice.candidates))[:count]
        columns.append(column)
    return np.stack(columns, axis=1) if columns else np.zeros((1, 0), dtype=np.int64)


def _balanced(key: np.ndarray, length: int) -> np.ndarray:
    """Numbers below ``length``, larger for larger keys, each once in every ``length`` places."""
    padded = np.append(key, np.zeros(-len(key) % length)).reshape(-1, length)
    return padded.argsort(axis=1).argsort(axis=1).ravel()[: len(key)]


def _architectures(space: SearchSpace, seed: int) -> np.ndarray:
    if space.size > ENUMERATED:
        return covering_sample(space, SAMPLED, seed)
    grid = np.indices(space.lengths).reshape(len(space.lengths), space.size).T
    return np.random.default_rng(seed).permutation(grid)


def sampled_networks(workload: Workload, seed: int = 0) -> Iterator[Network]:
    """Networks of a space, all of a small one, else a covering sample; those first that show a family of operators.

    What is rare, such as a sum that nothing else shares an input with, would else not be among the few dozen networks
    that there is time for.
    """
    architectures = _architectures(workload.space, seed)
    ahead = architectures[:ENUMERATED]
    family = np.append(family_numbers(workload.rows), ABSENT)[workload.used(ahead)]  # the last entry serves ABSENT
    found, first = np.unique(family, return_index=True)
    shows = np.zeros(len(ahead), dtype=bool)
    shows[first[found != ABSENT] // family.shape[1]] = True
    for candidates in (*ahead[shows], *ahead[~shows], *architectures[ENUMERATED:]):
        yield workload.network(candidates)


def plan(networks: Iterable[Network], node_times: bool) -> Iterator[list[Task]]:
    """Groups of tasks, one group a network, each task once.

    Where the platform tells node times inside a running network, each network tells the cost of all its operators in
    context. Else operators run alone beside the networks: one of each family at once, so that nothing is unknown, and
    then some with every network, as a whole network takes no longer than one of them does, and is what tells how much
    more operators cost in company.

    Args:
        networks: What is to be known about.
        node_times: Whether the platform tells node times.
    """
    groups = ([Task(network.key, True, 0)] for network in networks) if node_times else _with_operators(networks)
    seen: set[Task] = set()
    for group in groups:
        if fresh := [task for task in dict.fromkeys(group) if task not in seen]:
            seen.update(fresh)
            yield fresh


def _with_operators(networks: Iterable[Network]) -> Iterator[list[Task]]:
    networks = iter(networks)
    ahead = list(itertools.islice(networks, ENUMERATED))
    once, others = spread(ahead)
    for number, network in enumerate(itertools.chain(ahead, networks)):
        operators = itertools.islice(others, math.ceil(len(network.nodes) / WHOLE)) if number else once
        yield [Task(network.key, False, 0), *map(_alone, operators)]
    for operator in others:
        yield [_alone(operator)]


def _alone(operator: Operator) -> Task:
    return Task(Network.single(operator).key, False, 0)
