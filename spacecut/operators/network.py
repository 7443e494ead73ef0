"""A concrete network: operators and how they are wired."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spacecut.errors import InputError
from spacecut.operators.operator import Operator

__all__ = ["INPUT", "ZERO", "Network", "Node"]

INPUT = -1
"""A node input that is the network's input."""
ZERO = -2
"""A node input that is a constant of zeros."""


@dataclass(frozen=True)
class Node:
    """An operator and where each of its inputs comes from: positions of earlier nodes, ``INPUT`` or ``ZERO``."""

    operator: Operator
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """Nodes in order of execution.

    Attributes:
        input_shape: Channels, height, width of the one input, for a batch of one.
        nodes: The operators; at least one.
        output: The node whose output is the network's.
    """

    input_shape: tuple[int, int, int]
    nodes: tuple[Node, ...]
    output: int

    @classmethod
    def single(cls, operator: Operator) -> Network:
        """The network of one operator alone; the inputs of a sum are all the network's input."""
        return cls(operator.input_shape, (Node(operator, (INPUT,) * operator.inputs),), 0)

    @property
    def key(self) -> str:
        """Text that tells this network from every other."""
        head = "x".join(map(str, self.input_shape))
        body = "; ".join(f"{node.operator} <{','.join(map(str, node.inputs))}>" for node in self.nodes)
        return f"{head}: {body} => {self.output}"

    @classmethod
    def parse(cls, key: str) -> Network:
        """Read what :attr:`key` wrote.

        Raises:
            InputError: The text is no network.
        """
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+): (.+) => (\d+)", key)
        if match is None:
            raise InputError(f"{key[:80]!r} is no network")
        nodes: list[Node] = []
        for text in match[4].split("; "):
            node = re.fullmatch(r"(.+) <(-?\d+(?:,-?\d+)*)>", text)
            if node is None:
                raise InputError(f"{text[:80]!r} is no operator with its inputs")
            inputs = tuple(map(int, node[2].split(",")))
            if not all(ZERO <= source < len(nodes) for source in inputs):
                raise InputError(f"{text[:80]!r} reads what does not come before it")
            nodes.append(Node(Operator.parse(node[1]), inputs))
        if (output := int(match[5])) >= len(nodes):
            raise InputError(f"{key[:80]!r} has no node {output}")
        return cls((int(match[1]), int(match[2]), int(match[3])), tuple(nodes), output)
