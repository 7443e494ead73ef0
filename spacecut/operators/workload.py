"""A search space as a workload: its distinct operators, and index tables over the choices (the core idea).

Latency of an architecture is an overhead plus, for each factor, the cost of the operator that the factor's table
names for the candidates taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from spacecut.errors import InputError
from spacecut.operators.conversions import converted_reads
from spacecut.operators.effects import effects_of
from spacecut.operators.fusion import fusions
from spacecut.operators.network import INPUT, ZERO, Network, Node
from spacecut.operators.operator import COLUMNS, KIND_NAMES, SUMS, Operator, decode
from spacecut.operators.poolings import readers_of_poolings
from spacecut.operators.reading import Wiring, passed_on, selects
from spacecut.operators.twins import twins
from spacecut.operators.twofold import twofold, twofold_of_operators
from spacecut.space import SearchSpace
from spacecut.space.layers import ACTIVATIONS, KINDS, PRECISIONS
from spacecut.space.place import placed
from spacecut.space.table import MAX_CONDITION, Table, combinations, combine, constant, held, levels, union
from spacecut.space.walk import NETWORK_INPUT, Layer

__all__ = ["ABSENT", "Factor", "Workload", "expand"]

ABSENT = -1
"""Operator number of a layer that is not there for some candidates."""

EMPTY = -3
"""A value without channels, which only stands where a network is put together."""

KEPT = 4
"""So many spaces' workloads are kept, as one command expands its space several times."""

MAX_CODES = 2**62
MAX_FACTOR = 200_000
"""Whether a layer is read narrows its factor only while this has no more combinations of candidates."""


@dataclass(frozen=True)
class Factor:
    """A layer's operator over the candidates of its scope.

    Attributes:
        layer: Position of the layer in ``space.layers``.
        scope: Positions of the choices that it depends on, ascending.
        index: Operator numbers, one axis for each choice of the scope; ``ABSENT`` where the layer is not there.
    """

    layer: int
    scope: tuple[int, ...]
    index: np.ndarray


@dataclass(frozen=True)
class Workload:
    """What a space asks of a platform.

    Attributes:
        space: The space.
        rows: Every distinct operator of any architecture, shape ``[operators, COLUMNS]``.
        factors: One for each layer that can hold an operator.
        exact: Every factor is absent where a runtime leaves its layer out, as nothing reads it. Else some layers,
            for which that depends on too many choices at once, always count, and sums are upper bounds there. The
            networks are exact all the same.
    """

    space: SearchSpace
    rows: np.ndarray
    factors: tuple[Factor, ...]
    exact: bool = True

    @cached_property
    def operators(self) -> list[Operator]:
        """The rows as operators."""
        return [decode(row) for row in self.rows]

    @cached_property
    def effects(self) -> tuple[Table, ...]:
        """For each choice, whether it has an effect, over the candidates of other choices."""
        return effects_of(len(self.space.choices), [Table(factor.scope, factor.index) for factor in self.factors])

    @cached_property
    def _factor_of(self) -> Mapping[int, Factor]:
        return {factor.layer: factor for factor in self.factors}

    def used(self, candidates: np.ndarray) -> np.ndarray:
        """Operator numbers of architectures given as candidate numbers: ``[architectures, factors]``."""
        columns = [
            factor.index[tuple(candidates[:, position] for position in factor.scope)]
            if factor.scope
            else np.full(len(candidates), factor.index)
            for factor in self.factors
        ]
        return np.stack(columns, axis=1)

    def network(self, candidates: np.ndarray) -> Network:
        """The concrete network of one architecture, given as candidate numbers ``[choices]``.

        Raises:
            InputError: Nothing is left of the network.
        """
        nodes: list[Node] = []
        value = {NETWORK_INPUT: INPUT}
        for position, layer in enumerate(self.space.layers):
            sources = tuple(value[source] for source in layer.inputs)
            live = tuple(source for source in sources if source not in (ZERO, EMPTY))
            if not layer.active.at(candidates):
                value[position] = sources[0]
            elif layer.kind == "select":
                value[position] = sources[int(layer.fields["which"].at(candidates)) - 1]
            elif layer.kind == "empty":
                value[position] = EMPTY
            elif layer.kind == "zero" or (layer.kind in SUMS and not live):
                value[position] = ZERO
            else:
                factor = self._factor_of.get(position)
                number = int(factor.index[tuple(candidates[choice] for choice in factor.scope)]) if factor else ABSENT
                if number == ABSENT:
                    value[position] = live[0] if live else sources[0]
                else:
                    nodes.append(Node(self.operators[number].alone, live or sources))
                    value[position] = len(nodes) - 1
        output = value[len(self.space.layers) - 1]
        if output < 0:
            raise InputError(f"{self.space.name}: the architecture {self.space.decode(candidates)} has no operator")
        return _without_unused(Network(self.space.document.input, tuple(nodes), output))


@lru_cache(KEPT)
def expand(space: SearchSpace) -> Workload:
    """All distinct operators of a space, and which layer holds which under which candidates."""
    found: list[np.ndarray] = []
    local: list[tuple[int, Table]] = []
    live, exact = _live(space.layers)
    there = [_there(layer, space.layers) for layer in space.layers]
    passed = [passed_on(space.layers, layer, on) for layer, on in zip(space.layers, there, strict=True)]
    wiring = Wiring(space.layers, there, live, passed)
    twin = twins(wiring)
    summed = [_summed(layer, space.layers) if layer.kind in SUMS else constant(np.int64(0)) for layer in space.layers]
    wanted_twofold = twofold(wiring)
    fusable, exclusive, more, beside, of_sums = fusions(wiring, twin, summed, wanted_twofold)
    context = (
        fusable, exclusive, twin, converted_reads(wiring), more, beside, readers_of_poolings(wiring),
        twofold_of_operators(wiring, wanted_twofold, of_sums),
    )  # fmt: skip
    for position, layer in enumerate(space.layers):
        if KINDS[layer.kind].computes:
            with placed((layer.name,)):
                columns = [*_columns(layer, space), *(column[position] for column in context)]
                assert len(columns) == len(COLUMNS)
                needed = live[position]
                if combinations((*columns, there[position], needed)) > MAX_FACTOR:
                    exact = False
                    needed = _ever(needed, union((*columns, there[position])))
                rows, index = _distinct(columns, combine(np.logical_and, there[position], needed).reduced())
            if len(rows):
                found.append(rows)
                local.append((position, index))
    if not found:
        raise InputError(f"{space.name}: the network has no operator; add a layer")
    rows, inverse = np.unique(np.concatenate(found), axis=0, return_inverse=True)
    numbers = np.split(inverse.ravel(), np.cumsum([len(piece) for piece in found])[:-1])
    factors = []
    for (position, index), number in zip(local, numbers, strict=True):
        # The last entry serves ABSENT, which is -1.
        reduced = Table(index.scope, np.append(number, ABSENT)[index.values]).reduced()
        factors.append(Factor(position, reduced.scope, reduced.values))
    return Workload(space, rows, tuple(factors), exact)


def _ever(condition: Table, scope: tuple[int, ...]) -> Table:
    """Whether a condition can hold, over only the choices of a scope."""
    others = tuple(axis for axis, position in enumerate(condition.scope) if position not in scope)
    return Table(tuple(p for p in condition.scope if p in scope), condition.values.any(axis=others))


def _distinct(columns: Sequence[Table], active: Table) -> tuple[np.ndarray, Table]:
    """The distinct operator rows of one layer, and which of them (or ABSENT) stands for which candidates."""
    scope = union((*columns, active))
    values, places = zip(*(levels(table.values) for table in columns), strict=True)
    if math.prod(map(len, values)) >= MAX_CODES:
        raise InputError("its operators vary in too many ways; tie some choices")
    codes = np.zeros((1,) * len(scope), dtype=np.int64)
    for table, column, place in zip(columns, values, places, strict=True):
        codes = codes * len(column) + Table(table.scope, place).over(scope)
    there = active.over(scope)
    codes, there = np.broadcast_arrays(codes, there)
    result = np.full(codes.shape, ABSENT, dtype=np.int64)
    kept, result[there] = levels(codes[there])
    rows = np.empty((len(kept), len(columns)), dtype=np.int64)
    for number in range(len(columns) - 1, -1, -1):
        rows[:, number] = values[number][kept % len(values[number])]
        kept = kept // len(values[number])
    return rows, Table(scope, result)


def _live(layers: Sequence[Layer]) -> tuple[list[Table], bool]:
    """Whether each layer's value reaches the network's output, as runtimes drop what does not; and if that is exact."""
    live = [constant(False)] * len(layers)
    live[-1] = constant(True)
    exact = True

    def meet(one: Table, other: Table) -> Table:
        nonlocal exact
        exact &= combinations((one, other)) <= MAX_CONDITION
        return held(other, np.logical_and, one, other)

    def either(one: Table, other: Table) -> Table:
        nonlocal exact
        exact &= combinations((one, other)) <= MAX_CONDITION
        return held(constant(True), np.logical_or, one, other).reduced()

    for position in range(len(layers) - 1, -1, -1):
        layer = layers[position]
        with placed((layer.name,)):
            if layer.kind in ("zero", "empty"):  # where it is there, it reads nothing
                reads = meet(live[position], combine(np.logical_not, layer.active))
                through = reads
            else:
                reads = live[position]
                through = meet(live[position], layer.active)
            for number, source in enumerate(layer.inputs):
                if source != NETWORK_INPUT:
                    if layer.kind == "select":
                        used = meet(live[position], selects(layer, number))
                    else:
                        used = reads if number == 0 else through  # an absent layer passes its first input on
                    live[source] = either(live[source], used)
    return live, exact


def _there(layer: Layer, layers: Sequence[Layer]) -> Table:
    """Whether a layer holds an operator: a sum of one value is none, unless it has an activation or is of a stack."""
    if not KINDS[layer.kind].computes:
        return constant(False)
    if layer.kind == "concat":
        return combine(lambda on, n: on & (n > 1), layer.active, _joined(layer, layers)).reduced()
    if layer.kind not in SUMS:
        return layer.active
    if layer.kind == "stack_sum":
        return combine(lambda on, n: on & (n > 0), layer.active, _summed(layer, layers)).reduced()
    activated = combine(lambda word: word != "none", layer.fields.get("activation", constant("none")))
    joined = combine(lambda n, on: (n > 1) | ((n == 1) & on), _summed(layer, layers), activated)
    return combine(np.logical_and, layer.active, joined).reduced()


def _joined(layer: Layer, layers: Sequence[Layer]) -> Table:
    """How many of the values set side by side are not empty."""
    sizes = [layers[source].shape[0] for source in layer.inputs if source != NETWORK_INPUT]
    more = len(layer.inputs) - len(sizes)
    return combine(lambda *channels: more + sum((c > 0).astype(np.int64) for c in channels), *sizes).reduced()


def _summed(layer: Layer, layers: Sequence[Layer]) -> Table:
    """How many of a sum's inputs are not zero."""
    zeros = [constant(False) if source == NETWORK_INPUT else layers[source].zero for source in layer.inputs]
    return combine(lambda *all_zeros: sum((~zero).astype(np.int64) for zero in all_zeros), *zeros)


def _columns(layer: Layer, space: SearchSpace) -> list[Table]:
    """The operator columns of a layer as tables, all but its context."""
    one, nothing = constant(np.int64(1)), constant(np.int64(0))
    fields = layer.fields
    activation = fields.get("activation", constant("none"))
    code = Table(activation.scope, _positions(activation.values, ACTIVATIONS))
    precision = Table(fields["precision"].scope, _positions(fields["precision"].values, PRECISIONS))
    channels, height, width = layer.input_shape
    groups = fields.get("groups", one)
    inputs = one
    if layer.kind in SUMS:
        inputs = _summed(layer, space.layers)
    elif layer.kind == "concat":
        inputs = _joined(layer, space.layers)
        channels = combine(lambda total, n: -(-total // np.maximum(n, 1)), layer.shape[0], inputs).reduced()
    if layer.kind == "linear":
        channels, height, width = combine(lambda c, h, w: c * h * w, channels, height, width), one, one
    kind = constant(np.int64(KIND_NAMES.index(layer.kind)))
    return [
        kind, channels, height, width, layer.shape[0], fields.get("kernel", one), fields.get("stride", one), groups,
        code, fields.get("reduced", nothing), inputs, fields.get("dilation", one), precision,
    ]  # fmt: skip


def _positions(words: np.ndarray, listed: Sequence[str]) -> np.ndarray:
    names = np.asarray(listed)
    sorter = np.argsort(names)
    return np.asarray(sorter[np.searchsorted(names, words, sorter=sorter)])


def _without_unused(network: Network) -> Network:
    """Drop nodes that do not reach the output, as every runtime does."""
    needed = {network.output}
    for position in range(len(network.nodes) - 1, -1, -1):
        if position in needed:
            needed.update(source for source in network.nodes[position].inputs if source >= 0)
    if len(needed) == len(network.nodes):
        return network
    number = {old: new for new, old in enumerate(sorted(needed))}
    number.update({INPUT: INPUT, ZERO: ZERO})
    nodes = tuple(
        Node(node.operator, tuple(number[source] for source in node.inputs))
        for position, node in enumerate(network.nodes)
        if position in needed
    )
    return Network(network.input_shape, nodes, number[network.output])
