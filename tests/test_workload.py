"""The expansion of a space against every one of its architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spaces import HEAD, architectures, documents, space_of

from spacecut import load_space
from spacecut.errors import InputError
from spacecut.operators import ABSENT, INPUT, ZERO, Network, Node, Operator, Workload, expand
from spacecut.operators.operator import KIND_NAMES, Readers, decode, encode
from spacecut.space import SearchSpace
from spacecut.space.layers import ACTIVATIONS, PRECISIONS
from spacecut.space.walk import NETWORK_INPUT

quick = settings(deadline=None, max_examples=60)


def expanded(document: dict[str, Any]) -> Workload:
    try:
        return expand(space_of(document))
    except InputError as error:
        assume("no operator" not in str(error))
        raise


def operators_of(workload: Workload, candidates: np.ndarray) -> Counter[Operator]:
    used = workload.used(candidates[None])[0]
    return Counter(workload.operators[number] for number in used if number != ABSENT)


def network_of(workload: Workload, candidates: np.ndarray) -> Network | None:
    try:
        return workload.network(candidates)
    except InputError:
        return None


def present(space: SearchSpace, candidates: np.ndarray) -> set[int]:
    """Layers that hold an operator of one architecture, found layer by layer."""
    is_zero: list[bool] = []
    for layer in space.layers:
        zeros = [source != NETWORK_INPUT and is_zero[source] for source in layer.inputs]
        there = bool(layer.active.at(candidates))
        is_zero.append((layer.kind == "zero" or (layer.kind == "add" and all(zeros))) if there else zeros[0])
    found = set()
    needed = {len(space.layers) - 1}
    for position in range(len(space.layers) - 1, -1, -1):
        layer = space.layers[position]
        if position not in needed:
            continue
        if not layer.active.at(candidates):
            needed.add(layer.inputs[0])
        elif layer.kind != "zero":
            needed.update(layer.inputs)
            values = sum(source == NETWORK_INPUT or not is_zero[source] for source in layer.inputs)
            activated = "activation" in layer.fields and layer.fields["activation"].at(candidates) != "none"
            if layer.kind != "add" or values > 1 or (values == 1 and activated):
                found.add(position)
    return found


@given(documents())
@quick
def test_operators_are_those_of_the_networks(document: dict[str, Any]) -> None:
    workload = expanded(document)
    found: set[Operator] = set()
    for candidates in architectures(workload.space):
        network = network_of(workload, candidates)
        operators = Counter(network.operators) if network else Counter()
        assert operators_of(workload, candidates) == operators
        found |= set(operators)
    assert found == set(workload.operators)
    assert len(np.unique(workload.rows, axis=0)) == len(workload.rows)


@given(documents(), st.data())
@quick
def test_operators_are_those_of_the_space_of_one_architecture(document: dict[str, Any], data: st.DataObject) -> None:
    workload = expanded(document)
    candidates = data.draw(st.sampled_from(list(architectures(workload.space))))
    only = workload.space.restrict({name: [one] for name, one in workload.space.decode(candidates).items()})
    first = np.zeros(len(only.choices), dtype=np.int64)
    if network_of(workload, candidates) is None:
        with pytest.raises(InputError, match="no operator"):
            expand(only)
    else:
        assert operators_of(expand(only), first) == operators_of(workload, candidates)
        assert expand(only).network(first) == workload.network(candidates)


@given(documents())
@quick
def test_absent_where_a_layer_is_not_there_or_not_read(document: dict[str, Any]) -> None:
    workload = expanded(document)
    every = architectures(workload.space)
    for candidates, used in zip(every, workload.used(every), strict=True):
        there = {factor.layer for factor, number in zip(workload.factors, used, strict=True) if number != ABSENT}
        assert there == present(workload.space, candidates)


@given(documents())
@quick
def test_networks_are_wired_and_written(document: dict[str, Any]) -> None:
    workload = expanded(document)
    for candidates in architectures(workload.space)[:6]:
        if network := network_of(workload, candidates):
            assert Network.parse(network.key) == network
            for node in network.nodes:
                for source in node.inputs:
                    shape = node.operator.input_shape if source == ZERO else shape_of(network, source)
                    wanted = node.operator.input_shape
                    assert shape == wanted or (node.operator.kind == "linear" and np.prod(shape) == wanted[0])


def shape_of(network: Network, source: int) -> tuple[int, int, int]:
    return network.input_shape if source == INPUT else network.nodes[source].operator.output_shape


@st.composite
def operators(draw: st.DrawFn) -> Operator:
    kind = draw(st.sampled_from(KIND_NAMES))
    sizes = st.integers(1, 10**6)
    ins, height, width = (draw(sizes) for _ in range(3))
    windowed = kind.endswith(("conv2d", "pool2d"))
    return Operator(
        kind, ins, height, width,
        draw(sizes) if kind in ("conv2d", "linear") else ins,
        kernel=draw(sizes) if windowed else 1,
        stride=draw(sizes) if windowed else 1,
        groups=draw(sizes) if kind == "conv2d" else 1,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        reduced=draw(sizes) if kind == "squeeze_excite" else 0,
        inputs=draw(st.integers(1, 9)) if kind == "add" else 1,
        precision=draw(st.sampled_from(PRECISIONS)), conversions=draw(st.integers(0, 3)),
        twin=draw(st.integers(0, 1)),
    )  # fmt: skip


@given(st.lists(operators(), max_size=5))
@quick
def test_operators_read_back(given: list[Operator]) -> None:
    assert [Operator.parse(str(operator)) for operator in given] == given
    assert [decode(row) for row in encode(given)] == given
    for operator in given:
        assert Network.parse(Network.single(operator).key) == Network.single(operator)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "conv2d",
        "conv3d 3->4 @5x5",
        "zero 3 @5x5",
        "conv2d 3->x @5x5",
        "add 3 @5",
        "conv2d 3 @5x5 k",
        "add 3 @5x5 q2",
    ],
)
def test_what_is_no_operator_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no operator"):
        Operator.parse(text)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "3x4: add 3 @4x4 <-1> => 0",
        "3x4x4: add 3 @4x4 => 0",
        "3x4x4: add 3 @4x4 <x> => 0",
        "3x4x4: add 3 @4x4 <0> => 0",
        "3x4x4: add 3 @4x4 <-3> => 0",
        "3x4x4: add 3 @4x4 <-1> => 1",
        "3x4x4: nothing <-1> => 0",
    ],
)
def test_what_is_no_network_is_refused(key: str) -> None:
    with pytest.raises(InputError):
        Network.parse(key)


def network_space(choices: dict[str, Any], network: Sequence[dict[str, Any]]) -> SearchSpace:
    return space_of({**HEAD, "choices": choices, "network": list(network)})


def test_what_an_inactive_layer_would_be_does_not_matter() -> None:
    choices = {"s": {"candidates": [0, 1, 2]}, "act": {"candidates": ["relu", "of no kind"]}}
    space = network_space(
        choices,
        [
            {"conv2d": {"out_channels": 8, "kernel": 3, "stride": "s", "when": "s > 0"}},
            {"conv2d": {"out_channels": 8, "kernel": 1, "groups": "s", "when": "s > 0"}},
            {"activation": {"activation": "act", "when": "act == 'relu'"}},
        ],
    )
    networks = [network_of(expand(space), row) for row in architectures(space)]
    assert [len(network.nodes) if network else 0 for network in networks] == [1, 0, 3, 2, 3, 2]


def test_a_layer_that_nothing_reads_holds_no_operator() -> None:
    unread = {"conv2d": {"out_channels": 8, "kernel": 3, "name": "unread"}}
    read = {"conv2d": {"out_channels": "w", "kernel": 3, "input": "input"}}
    workload = expand(network_space({"w": {"candidates": [2, 4]}}, [unread, read]))
    assert [factor.layer for factor in workload.factors] == [1]
    assert [str(operator) for operator in workload.operators] == ["conv2d 4->2 @8x6 k3 s1", "conv2d 4->4 @8x6 k3 s1"]
    assert [str(node.operator) for node in workload.network(np.array([1])).nodes] == ["conv2d 4->4 @8x6 k3 s1"]


def test_a_space_without_operators_is_refused() -> None:
    with pytest.raises(InputError, match="no operator; add a layer"):
        expand(network_space({}, [{"conv2d": {"out_channels": 8, "kernel": 3}}, {"zero": {}}]))


def test_layers_that_depend_on_too_much_are_refused() -> None:
    choices = {f"c{number}": {"candidates": "0..15"} for number in range(8)}
    with pytest.raises(
        InputError, match=r"^network\[0\]\.conv2d.*: it depends on \d choices with more than \d+ combinations"
    ):
        expand(network_space(choices, [{"conv2d": {"out_channels": " + ".join(choices), "kernel": 1}}]))


def test_a_layer_counts_where_too_many_choices_decide_whether_it_is_read() -> None:
    choices = {f"c{number}": {"candidates": "0..15"} for number in range(8)}
    network = [{"conv2d": {"out_channels": 4, "kernel": 3}}]
    sums = [{"add": {"inputs": ["input", "previous"], "when": f"{name} > 3"}} for name in choices]
    workload = expand(network_space(choices, [*network, *sums]))
    assert not workload.exact
    for numbers in np.random.default_rng(0).integers(0, 16, (50, 8)):
        numbers[-1] = 9  # the last sum is there, so that there is a network
        counted = Counter(workload.operators[n].alone for n in workload.used(numbers[None])[0] if n >= 0)
        built = Counter(node.operator.alone for node in workload.network(numbers).nodes)
        assert not built - counted


def test_operators_that_vary_in_too_many_ways_are_refused() -> None:
    first = {"conv2d": {"out_channels": "w", "kernel": 1}}
    second = {"conv2d": {"out_channels": "w", "kernel": "w", "stride": "w", "groups": "w"}}
    with pytest.raises(InputError, match="vary in too many ways; tie some choices"):
        expand(network_space({"w": {"candidates": "1..10000"}}, [first, second]))


def test_what_only_one_activation_or_sum_reads_may_be_fused_with_it() -> None:
    plain, activated = Operator("conv2d", 4, 6, 6, 4), Operator("conv2d", 4, 6, 6, 4, activation="relu")
    relu = Operator("activation", 4, 6, 6, 4, activation="relu")
    pair, triple = (Operator("add", 4, 6, 6, 4, inputs=inputs) for inputs in (2, 3))
    wired = [
        (plain, (INPUT,), 0, 0),
        (relu, (0,), 1, 0),
        (plain, (1,), 0, 0),
        (relu, (2,), 0, 0),  # the sum reads the convolution too
        (pair, (2, 3), 0, 1),
        (plain, (4,), 0, 0),
        (plain, (4,), 0, 0),
        (triple, (5, 4, 6), 2, 0),
        (activated, (7,), 0, 0),
        (relu, (8,), 0, 1),
        (plain, (9,), 0, 0),
        (relu, (10,), 0, 0),  # the network's output is read from outside
        (pair, (11, 11), 0, 0),
    ]
    network = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs, *_ in wired), 10)
    found = [(operator.fusable, operator.exclusive) for operator in network.operators]
    assert found == [(fusable, exclusive) for _, _, fusable, exclusive in wired]
    assert Network.single(network.operators[1]) == Network.single(relu)


def test_how_a_convolution_is_summed_is_told_where_only_a_sum_reads_it() -> None:
    plain, activated = Operator("conv2d", 4, 6, 6, 4), Operator("conv2d", 4, 6, 6, 4, activation="relu")
    eight, pool = Operator("conv2d", 4, 6, 6, 4, precision="int8"), Operator("avg_pool2d", 4, 6, 6, 4, kernel=3)
    relu = Operator("activation", 4, 6, 6, 4, activation="relu")
    single, pair, triple = (Operator("add", 4, 6, 6, 4, inputs=count) for count in (1, 2, 3))
    wired = [
        (plain, (INPUT,), 0, 0),  # two sums read it
        (plain, (0,), 2, 1),
        (depthwise := Operator("depthwise_conv2d", 4, 6, 6, 4, kernel=3), (0,), 2, 1),
        (triple, (0, 1, 2), 0, 0),
        (plain, (3,), 1, 0),
        (pair, (0, 4), 0, 0),
        (plain, (5,), 1, 0),
        (activated, (5,), 0, 0),
        (pair, (6, 7), 0, 0),
        (plain, (8,), 0, 0),  # an activation reads it
        (relu, (9,), 0, 0),
        (eight, (10,), 0, 0),  # the sum is of another precision
        (pool, (10,), 0, 0),
        (pair, (11, 12), 0, 0),
        (plain, (13,), 0, 0),  # nothing else is summed
        (single, (14,), 0, 0),
        (plain, (15,), 0, 0),
    ]
    network = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs, *_ in wired), len(wired) - 1)
    found = [(operator.summed, operator.beside) for operator in network.operators]
    assert found == [(summed, beside) for _, _, summed, beside in wired]
    assert Network.single(network.operators[2]) == Network.single(depthwise)
    assert [Operator.parse(str(operator)) for operator in network.operators] == list(network.operators)


def test_what_reads_a_pooling_is_told() -> None:
    pool, relu = Operator("max_pool2d", 4, 6, 6, 4, kernel=3), Operator("activation", 4, 6, 6, 4, activation="relu")
    pair = Operator("add", 4, 6, 6, 4, inputs=2)
    last = Readers.POOLING | Readers.CONVOLUTION
    wired = [
        (pool, (INPUT,), Readers.SUM | Readers.POOLING | Readers.SEVERAL | Readers.CONVOLUTION),
        (pool, (0,), Readers.SUM | Readers.CONVOLUTION),
        (pair, (0, 1), None),
        (pool, (2,), Readers.SUM | Readers.SEVERAL | Readers.CONVOLUTION),  # twice by one sum
        (pair, (3, 3), None),
        (pool, (4,), last),  # through three operators
        (pool, (5,), Readers.ACTIVATION | Readers.CONVOLUTION),
        (relu, (6,), None),
        (Operator("depthwise_conv2d", 4, 6, 6, 4, kernel=3), (7,), None),
        (pool, (8,), Readers.OTHER | Readers.SEVERAL),  # it is given out, too
        (Operator("linear", 144, 1, 1, 5), (9,), None),
        (Operator("conv2d", 5, 1, 1, 5), (10,), None),  # behind a matrix, values have no layout any more
    ]
    network = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs, _ in wired), 9)
    assert [operator.readers for operator in network.operators] == [readers or 0 for _, _, readers in wired]
    assert [Operator.parse(str(operator)) for operator in network.operators] == list(network.operators)


def test_what_reads_a_pooling_agrees_with_the_networks() -> None:
    workload = expand(load_space("nasbench201/cell"))
    seen = set()
    for candidates in workload.space.sample(200, seed=1):
        network = workload.network(candidates)
        used = [workload.operators[number] for number in workload.used(candidates[None])[0] if number != ABSENT]
        assert Counter(used) == Counter(network.operators)
        seen |= {operator.readers for operator in used}
    assert len(seen) > 12


def test_what_reads_a_pooling_is_told_in_part_where_too_many_choices_decide() -> None:
    choices = {f"c{number}": {"candidates": [0, 1]} for number in range(20)}
    readers = [
        {"activation": {"activation": "relu", "input": "pool", "when": f"{name} == 1", "name": f"r{name}"}}
        for name in choices
    ]
    first = [{"avg_pool2d": {"kernel": 3, "name": "pool"}}, *readers, {"add": {"inputs": [f"r{n}" for n in choices]}}]
    workload = expand(network_space(choices, [*first, {"conv2d": {"out_channels": 4, "kernel": 1}}]))
    usual = Readers.SUM | Readers.SEVERAL | Readers.CONVOLUTION
    found = {operator.readers for operator in workload.operators if operator.kind == "avg_pool2d"}
    assert found == {usual, usual | Readers.ACTIVATION}
    for number in (0, 1):
        pool, *_ = workload.network(np.full(20, number)).operators
        assert pool.readers == (Readers.ACTIVATION | Readers.SEVERAL | Readers.CONVOLUTION if number else usual)


def test_what_does_again_what_an_earlier_one_does_is_its_twin() -> None:
    pool, wide = (Operator("avg_pool2d", 4, 6, 6, 4, kernel=kernel) for kernel in (3, 5))
    convolution, relu = Operator("conv2d", 4, 6, 6, 4), Operator("activation", 4, 6, 6, 4, activation="relu")
    pair = Operator("add", 4, 6, 6, 4, inputs=2)
    wired = [
        (convolution, (INPUT,), None),
        (pool, (0,), None),
        (pool, (0,), 1),
        (wide, (0,), None),
        (convolution, (0,), None),
        (convolution, (0,), None),  # its weights are others
        (relu, (1,), None),
        (relu, (2,), 6),  # what twins give is one value
        (pool, (INPUT,), None),
        (pool, (ZERO,), None),
        (pool, (ZERO,), None),
        (pair, (6, 7), None),
        (relu, (4,), None),
        (relu, (4,), 12),
    ]
    network = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs, _ in wired), 11)
    assert network.twins == {number: first for number, (_, _, first) in enumerate(wired) if first is not None}
    assert [operator.twin for operator in network.operators] == [int(first is not None) for _, _, first in wired]
    assert [network.operators[number].fusable for number in (12, 13)] == [1, 1]  # both read the convolution once


def test_twins_of_a_cell_depend_on_what_its_other_edges_do() -> None:
    workload = expand(load_space("nasbench201/cell"))
    found = 0
    for numbers in workload.space.sample(200, 0):
        network = network_of(workload, numbers)
        if network is not None:
            assert operators_of(workload, numbers) == Counter(network.operators)
            found += bool(network.twins)
    assert found > 20


@given(st.data())
@quick
def test_twins_agree_with_the_networks(data: st.DataObject) -> None:
    """Of random graphs of poolings, activations and sums that may be absent and whose windows are chosen."""
    choices = {name: {"candidates": [0, 1]} for name in "abc"} | {"k": {"candidates": [1, 3]}}
    layers: list[dict[str, Any]] = []
    for number in range(data.draw(st.integers(3, 9))):
        source = data.draw(st.sampled_from(["input", *(f"l{earlier}" for earlier in range(number))]))
        kind: dict[str, dict[str, Any]] = data.draw(
            st.sampled_from(
                [
                    {"avg_pool2d": {"kernel": "k"}},
                    {"max_pool2d": {"kernel": 3}},
                    {"activation": {"activation": "relu"}},
                    {"conv2d": {"out_channels": 4, "kernel": 1}},
                ]
            )
        )
        (fields,) = kind.values()
        condition = data.draw(st.sampled_from([{}, {"when": "a > 0"}, {"when": "b > 0"}, {"when": "c > 0"}]))
        layers.append({next(iter(kind)): {**fields, "input": source, "name": f"l{number}", **condition}})
    layers.append({"add": {"inputs": [f"l{number}" for number in range(len(layers))]}})
    workload = expand(network_space(choices, layers))
    for numbers in architectures(workload.space):
        network = network_of(workload, numbers)
        if network is not None:
            assert operators_of(workload, numbers) == Counter(network.operators)


def test_who_reads_in_another_precision_is_counted_where_the_value_comes_from() -> None:
    own, eight = Operator("conv2d", 4, 6, 6, 4), Operator("conv2d", 4, 6, 6, 4, precision="int8")
    pair, other = (Operator("add", 4, 6, 6, 4, inputs=2, precision=word) for word in ("platform", "int8"))
    wired = [
        (own, (INPUT,), 0, 0),
        (own, (0,), 0, 2),
        (eight, (1,), 0, 0),
        (other, (1, 2), 1, 1),  # one of its convolutions is of its precision, and read by nothing else
        (eight, (3,), 0, 1),
        (pair, (3, 4), 0, 1),  # both are of the other
        (eight, (5,), 0, 0),  # the network's output is converted whatever reads it
    ]
    network = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs, *_ in wired), 6)
    for operator, (_, _, fusable, conversions) in zip(network.operators, wired, strict=True):
        assert (operator.fusable, operator.conversions) == (fusable, conversions), str(operator)


@given(documents(), st.data())
@quick
def test_precisions_agree_with_the_networks(document: dict[str, Any], data: st.DataObject) -> None:
    """Of random architectures of random spaces whose layers are of fixed or chosen precisions."""
    plain = space_of(document)
    words = [data.draw(st.sampled_from(["platform", "int8", "p", "q"])) for _ in plain.layers]
    two = {"candidates": ["int8", "platform"], "order": [["int8", "platform"]]}
    workload = expanded({**document, "choices": document["choices"] | {"p": two, "q": two}, "precisions": words})
    for numbers in workload.space.sample(24, 0):
        network = network_of(workload, numbers)
        if network is not None:
            assert operators_of(workload, numbers) == Counter(network.operators)
