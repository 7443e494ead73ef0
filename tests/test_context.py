"""What follows for an operator from the network around it, against every architecture of a space."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from spaces import architectures, documents, expanded, network_of, network_space, operators_of, quick, space_of

from spacecut import load_space
from spacecut.operators import INPUT, ZERO, Network, Node, Operator, expand
from spacecut.operators.operator import Readers


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


def test_a_value_that_is_wanted_activated_and_as_it_is_counts_for_poolings_and_sums() -> None:
    plain, pool = Operator("conv2d", 4, 6, 6, 4), Operator("avg_pool2d", 4, 6, 6, 4, kernel=3)
    relu, pair = Operator("activation", 4, 6, 6, 4, activation="relu"), Operator("add", 4, 6, 6, 4, inputs=2)
    wired = [
        (plain, (INPUT,), 0),
        (relu, (0,), 0),
        (pool, (0,), 1),
        (plain, (1,), 1),  # the sum's value is
        (pair, (2, 3), 1),
        (relu, (4,), 0),
        (plain, (5,), 0),
        (pair, (4, 6), 0),  # only an activation reads it
        (relu, (7,), 0),
        (pool, (8,), 0),  # no activation reads that
        (plain, (8,), 1),
        (pair, (9, 10), 1),  # it is given out, and activated
        (relu, (11,), 0),
        (pool, (INPUT,), 0),
        (relu, (INPUT,), 0),
    ]
    network = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs, _ in wired), 11)
    assert [operator.twofold for operator in network.operators] == [twofold for _, _, twofold in wired]
    assert [Operator.parse(str(operator)) for operator in network.operators] == list(network.operators)


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


def test_twins_readers_and_forms_in_a_cell_depend_on_what_its_other_edges_do() -> None:
    workload = expand(load_space("nasbench201/cell"))
    found, readers, forms = 0, set(), set()
    for numbers in workload.space.sample(200, 0):
        network = network_of(workload, numbers)
        if network is not None:
            assert operators_of(workload, numbers) == Counter(network.operators)
            found += bool(network.twins)
            readers |= {operator.readers for operator in network.operators}
            forms |= {(operator.kind, operator.twofold) for operator in network.operators}
    assert found > 20
    assert len(readers) > 12
    assert forms >= {(kind, twofold) for kind in ("conv2d", "add", "avg_pool2d") for twofold in (0, 1)}


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
