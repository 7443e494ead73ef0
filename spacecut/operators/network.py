"""A concrete network: operators and how they are wired."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from spacecut.errors import InputError
from spacecut.operators.operator import CONVOLUTIONS, FUSABLE, POOLINGS, SUMS, WEIGHTLESS, Operator, Readers, fuses

__all__ = ["INPUT", "ZERO", "Affine", "Network", "Node"]

Affine = tuple[np.ndarray, np.ndarray]
"""A kernel or matrix, and the bias; float32."""

INPUT = -1
"""A node input that is the network's input."""
ZERO = -2
"""A node input that is a constant of zeros."""


@dataclass(frozen=True)
class Node:
    """An operator of a network.

    Attributes:
        operator: What it computes.
        inputs: Where each of its inputs comes from: positions of earlier nodes, ``INPUT`` or ``ZERO``.
        weights: Kernels or matrices with their biases, in the form that :mod:`~spacecut.operators.weights` makes up
            where there are none. They change what is computed, not what it costs, so no network is told by them.
    """

    operator: Operator
    inputs: tuple[int, ...]
    weights: tuple[Affine, ...] = field(default=(), compare=False, repr=False)


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

    def shape(self, source: int) -> tuple[int, int, int]:
        """Channels, height, width of the network's input or of a node's output."""
        return self.input_shape if source == INPUT else self.nodes[source].operator.output_shape

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """The nodes' operators, told apart by what the network around them lets a runtime do."""
        read = (
            source for position, node in enumerate(self.nodes) if position not in self.twins for source in node.inputs
        )
        reads = Counter(read)
        reads[self.output] += 1
        fusable, exclusive, conversions, summed, beside, twofold = ([0] * len(self.nodes) for _ in range(6))
        for position, node in enumerate(self.nodes):
            fused = []
            for source in node.inputs:
                if source < 0:
                    continue
                its = self.nodes[source].operator
                if its.precision != node.operator.precision:
                    conversions[source] += 1
                elif reads[source] == 1 and node.operator.kind in FUSABLE:
                    if fuses(its.kind, its.activation):
                        fused.append(source)
                    else:
                        exclusive[position] += 1
            fusable[position] = len(fused)
            if node.operator.kind == "add":
                for source in fused:
                    summed[source], beside[source] = node.operator.inputs - 1, len(fused) - 1
                    twofold[source] = int(position in self._twofold)
            if node.operator.kind in (*SUMS, *POOLINGS):
                value = position if node.operator.kind in SUMS else node.inputs[0]
                twofold[position] = int(value in self._twofold)
        return tuple(
            replace(
                node.operator,
                fusable=fusable[position],
                exclusive=exclusive[position],
                conversions=conversions[position],
                twin=int(position in self.twins),
                summed=summed[position],
                beside=beside[position],
                readers=self._readers[position] if node.operator.kind in POOLINGS else 0,
                twofold=twofold[position],
            )
            for position, node in enumerate(self.nodes)
        )

    @cached_property
    def _twofold(self) -> set[int]:
        """The nodes whose output an activation reads and something else does, too."""
        reads = {True: set[int](), False: {self.output}}
        for node in self.nodes:
            reads[node.operator.kind == "activation"].update(source for source in node.inputs if source >= 0)
        return reads[True] & reads[False]

    @cached_property
    def _readers(self) -> list[int]:
        """What reads each node's output, as :class:`~spacecut.operators.operator.Readers`."""
        found = [Readers(0)] * len(self.nodes)
        read = Counter(source for node in self.nodes for source in node.inputs)
        read[self.output] += 1
        for position in range(len(self.nodes) - 1, -1, -1):
            kind = self.nodes[position].operator.kind
            its = Readers.of(kind)
            if kind in CONVOLUTIONS:
                its |= Readers.CONVOLUTION
            elif kind != "linear":
                its |= found[position] & Readers.CONVOLUTION
            for source in self.nodes[position].inputs:
                if source >= 0:
                    found[source] |= its
        return [int(flags | Readers.SEVERAL if read[node] > 1 else flags) for node, flags in enumerate(found)]

    @cached_property
    def twins(self) -> dict[int, int]:
        """Nodes that do what an earlier one does to the same value, and which one that is."""
        value = {INPUT: INPUT}
        first: dict[tuple[Operator, int], int] = {}
        for position, node in enumerate(self.nodes):
            value[position] = position
            if node.operator.kind in WEIGHTLESS and node.inputs[0] != ZERO:
                value[position] = first.setdefault((node.operator, value[node.inputs[0]]), position)
        return {position: other for position, other in value.items() if position != other}

    @cached_property
    def slice_starts(self) -> dict[int, int]:
        """The first channel of every ``channel_slice``, by its position: those of one value follow one another."""
        ends: dict[int, int] = {}
        starts = {}
        for position, node in enumerate(self.nodes):
            if (operator := node.operator).kind == "channel_slice":
                start = ends.get(node.inputs[0], 0)
                starts[position] = start if start + operator.out_channels <= operator.in_channels else 0
                ends[node.inputs[0]] = starts[position] + operator.out_channels
        return starts

    @classmethod
    def single(cls, operator: Operator) -> Network:
        """The network of one operator alone; several inputs are all the network's input."""
        operator = operator.alone
        if operator.kind == "concat":
            operator = replace(operator, out_channels=operator.in_channels * operator.inputs)
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
