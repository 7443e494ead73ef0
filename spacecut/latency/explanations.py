"""What may explain the latency of whole networks: their operators, or the candidates taken.

An explanation is a set of columns, in groups that are alike, and for each set of choices a table of what every
combination of candidates adds to each column. A network's columns are the sum over the tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from scipy.sparse import csr_matrix, hstack

from spacecut.latency.trellis import Scope
from spacecut.operators import Workload
from spacecut.operators.operator import COLUMNS, macs
from spacecut.space.table import Table

__all__ = ["Explanation", "by_choices", "by_interactions", "by_live_choices", "by_operators"]

_Block = tuple[Scope, csr_matrix]


@dataclass(frozen=True)
class Explanation:
    """Columns that networks differ in.

    Attributes:
        name: ``choices``, ``live choices``, ``operators`` or ``interactions``.
        lengths: How many candidates each choice has.
        tables: For each set of choices, what its combinations add: ``[combinations, columns]``, the last choice
            running fastest.
        group: Which group each column belongs to, shape ``[columns]``.
    """

    name: str
    lengths: tuple[int, ...]
    tables: Mapping[Scope, csr_matrix]
    group: np.ndarray

    def places(self, scope: Scope, numbers: np.ndarray) -> np.ndarray:
        """The combination of each network given as candidate numbers ``[networks, choices]``."""
        place = np.zeros(len(numbers), dtype=np.int64)
        for choice in scope:
            place = place * self.lengths[choice] + numbers[:, choice]
        return place

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Columns of networks given as candidate numbers: ``[networks, columns]``."""
        total = np.zeros((len(numbers), len(self.group)))
        for scope, table in self.tables.items():
            total += table[self.places(scope, numbers)].toarray()
        return total


def by_choices(workload: Workload) -> Explanation:
    """A cost for each candidate of each choice, which has something in common with those of like choices."""
    return _explanation("choices", workload, [_alike(workload), _own(workload)])


def by_live_choices(workload: Workload) -> Explanation:
    """The same, but that a candidate costs nothing where later choices let what it makes lead nowhere.

    Runtimes leave out what nothing reads, but many of them compute what is made of nothing but zeros. Choices are
    taken for given in order of execution.
    """
    alike, own = ([block for _, block in blocks(workload)] for blocks in (_alike, _own))

    def gated(each: list[csr_matrix]) -> Iterator[_Block]:
        for position, (block, effect) in enumerate(zip(each, workload.effects, strict=True)):
            earlier = tuple(axis for axis, other in enumerate(effect.scope) if other < position)
            later = Table(tuple(other for other in effect.scope if other > position), effect.values.any(axis=earlier))
            scope = (position, *later.scope)
            live = np.broadcast_to(later.over(scope), [workload.space.lengths[choice] for choice in scope])
            taken = np.broadcast_to(np.arange(block.shape[0]).reshape(-1, *[1] * len(later.scope)), live.shape)
            yield scope, csr_matrix(block[taken.ravel()].multiply(live.ravel()[:, None]))

    return _explanation("live choices", workload, [gated(alike), gated(own)])


def by_operators(workload: Workload) -> Explanation:
    """A cost for each operator, wherever it stands, which has something in common with those of its kind.

    Candidates may cost more or less than their operators besides.
    """
    groups = [_kinds(workload), _operators(workload), _alike(workload), _own(workload)]
    return _explanation("operators", workload, groups)


def by_interactions(workload: Workload, costs: Mapping[Scope, np.ndarray]) -> Explanation:
    """A cost for each candidate of each choice, of which a share comes or goes with a candidate of another choice.

    So it is where what a choice puts into the network leads nowhere unless another choice takes it up. Only choices
    that some layer depends on together have to do with each other. Each share is a group of its own, so that few are
    other than zero (Tipping, Sparse Bayesian Learning, JMLR 1, 2001).

    Args:
        workload: Of the space.
        costs: For each choice's scope, the ms of its candidates.
    """
    plain = _explanation("interactions", workload, [_alike(workload), _own(workload), _shares(workload, costs)])
    shares = plain.group == 2
    return replace(plain, group=np.where(shares, 1 + np.cumsum(shares), plain.group))


def _explanation(name: str, workload: Workload, groups: list[Iterator[_Block]]) -> Explanation:
    lengths = workload.space.lengths
    summed: list[dict[Scope, csr_matrix]] = []
    for blocks in groups:
        tables: dict[Scope, csr_matrix] = {}
        for scope, block in blocks:
            tables[scope] = tables[scope] + block if scope in tables else block
        if tables:
            summed.append(tables)
    widths = [next(iter(tables.values())).shape[1] for tables in summed]
    joined = {}
    for scope in sorted({scope for tables in summed for scope in tables if scope}):
        rows = math.prod(lengths[choice] for choice in scope)
        parts = [
            tables.get(scope, csr_matrix((rows, width))) for tables, width in zip(summed, widths, strict=True)
        ]  # what depends on no choice is overhead
        joined[scope] = csr_matrix(hstack(parts))
    return Explanation(name, lengths, joined, np.repeat(np.arange(len(widths)), widths))


def _shares(workload: Workload, costs: Mapping[Scope, np.ndarray]) -> Iterator[_Block]:
    """For each two choices that have to do with each other and each candidate of one, the other's cost with it."""
    lengths = workload.space.lengths
    pairs = sorted({pair for factor in workload.factors for pair in permutations(factor.scope, 2)})
    starts = np.cumsum([0, *(lengths[other] for _, other in pairs)])
    for (choice, other), start in zip(pairs, starts[:-1], strict=True):
        scope = (min(choice, other), max(choice, other))
        grid = dict(zip(scope, np.indices([lengths[position] for position in scope]).reshape(2, -1), strict=True))
        taken = _indicator(start + grid[other], int(starts[-1]))
        yield scope, csr_matrix(taken.multiply(costs[(choice,)][grid[choice]][:, None]))


def _indicator(numbers: np.ndarray, width: int) -> csr_matrix:
    """A one for each number, in its column; none for those below zero."""
    rows = np.flatnonzero(numbers >= 0)
    return csr_matrix((np.ones(len(rows)), (rows, numbers[rows])), shape=(len(numbers), width))


def _operators(workload: Workload) -> Iterator[_Block]:
    for factor in workload.factors:
        yield factor.scope, _indicator(factor.index.ravel(), len(workload.rows))


def _kinds(workload: Workload) -> Iterator[_Block]:
    """For each kind of operator their number, multiply-accumulates, and the values they read."""
    rows = workload.rows
    place = {name: position for position, name in enumerate(COLUMNS)}
    read = np.prod(rows[:, [place[name] for name in ("in_channels", "height", "width")]].astype(float), axis=1)
    sizes = np.stack([np.ones(len(rows)), macs(rows), read], axis=1)
    sizes = sizes / np.maximum(sizes.max(axis=0), 1)
    _, kind = np.unique(rows[:, place["kind"]], return_inverse=True)
    features = np.zeros((len(rows), int(kind.max()) + 1, sizes.shape[1]))
    features[np.arange(len(rows)), kind.ravel()] = sizes
    wide = csr_matrix(features.reshape(len(rows), -1))
    for scope, block in _operators(workload):
        yield scope, block @ wide


def _own(workload: Workload) -> Iterator[_Block]:
    lengths = workload.space.lengths
    for position, length in enumerate(lengths):
        yield (position,), _indicator(sum(lengths[:position]) + np.arange(length), sum(lengths))


def _alike(workload: Workload) -> Iterator[_Block]:
    """Equal candidates of choices among the same candidates."""
    offset: dict[tuple[object, ...], int] = {}
    total = 0
    for choice in workload.space.choices:
        if choice.candidates not in offset:
            offset[choice.candidates] = total
            total += len(choice)
    for position, choice in enumerate(workload.space.choices):
        yield (position,), _indicator(offset[choice.candidates] + np.arange(len(choice)), total)
