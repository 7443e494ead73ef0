"""The expansion of a space against every one of its architectures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import architectures, documents, expanded, network_of, network_space, operators_of, quick

from spacecut.errors import InputError
from spacecut.operators import ABSENT, INPUT, ZERO, Network, Operator, expand
from spacecut.operators.operator import KIND_NAMES, decode, encode
from spacecut.space import SearchSpace
from spacecut.space.layers import ACTIVATIONS, PRECISIONS
from spacecut.space.walk import NETWORK_INPUT


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
