"""Which operators to run alone, where a platform does not tell what each takes in a network."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from spacecut.operators import Network, Operator
from spacecut.operators.operator import COLUMNS, WIDTHS, encode, family_numbers

__all__ = ["spread"]

_WIDTHS = [COLUMNS.index(name) for name in WIDTHS]


def spread(networks: Sequence[Network]) -> tuple[list[Operator], Iterator[Operator]]:
    """One operator of each family that networks have, and then all others, those first that tell most.

    Operators of a family differ in nothing but how wide they are. Families take turns as often as networks have them.
    Within a family next is what is farthest, by the ratio of widths, from all before it (Gonzalez, Clustering to
    minimize the maximum intercluster distance, Theoretical Computer Science 38, 1985), so that the narrowest and the
    widest are among the first.
    """
    count = Counter(node.operator for network in networks for node in network.nodes)
    operators = list(count)
    rows = encode(operators)
    family = family_numbers(rows)
    weight = np.bincount(family, list(count.values()))
    widths = np.log(np.maximum(rows[:, _WIDTHS], 1))
    members = [np.flatnonzero(family == number) for number in range(len(weight))]
    orders = [map(operators.__getitem__, _farthest_first(widths, numbers)) for numbers in members]
    once = [next(order) for order in orders]
    turns = [_turns(order, number, share) for number, (order, share) in enumerate(zip(orders, weight, strict=True))]
    return once, (operator for _, _, operator in heapq.merge(*turns))


def _turns(order: Iterator[Operator], number: int, share: int) -> Iterator[tuple[float, int, Operator]]:
    """When each of a family's operators has its turn, the sooner the larger the family's share; numbers break ties."""
    for taken, operator in enumerate(order, 1):
        yield taken / share, number, operator


def _farthest_first(points: np.ndarray, members: np.ndarray) -> Iterator[int]:
    """Numbers of all points that are members, each the farthest from those before; first the one in the middle."""
    points = points[members]
    number = int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())
    nearest = np.full(len(points), np.inf)
    for _ in points:
        yield int(members[number])
        nearest = np.minimum(nearest, np.linalg.norm(points - points[number], axis=1))
        nearest[number] = -1.0
        number = int(nearest.argmax())
