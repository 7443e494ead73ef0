"""What runs of networks tell of operators, by what stands around them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spacecut.latency.estimator import estimate
from spacecut.latency.evidence import gather
from spacecut.measure import Run, Task
from spacecut.operators import Network, Node, Operator
from spacecut.operators.operator import Readers, encode

CONV, RELU = Operator("conv2d", 4, 6, 6, 4), Operator("activation", 4, 6, 6, 4, activation="relu")


def test_a_node_without_a_time_was_fused() -> None:
    key = Network((4, 6, 6), (Node(CONV, (-1,)), Node(RELU, (0,)), Node(CONV, (1,)), Node(RELU, (2,))), 3).key
    run = Run(Task(key, True, 0), "", 1.0, (9.0,), {0: (3.0, 3.0), 2: (5.0, 5.0), 3: (1.0, 1.0)}, (9.0,))
    evidence = gather([run])
    fused = dataclasses.replace(RELU, fusable=1)
    assert evidence.operators == [CONV, fused]
    assert evidence.cost.tolist() == [4.0, 0.5]  # alike nodes share what they took together
    assert np.isnan(evidence.pass_error).all()
    passes = gather([run, dataclasses.replace(run, node_ms={0: (6.0, 6.0), 2: (10.0, 10.0)})])
    assert passes.cost.tolist() == [6.0, 0.25]
    nothing = gather([dataclasses.replace(run, node_ms={})])
    assert nothing.cost.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("named", [1, 2])
def test_what_is_done_once_for_twins_is_the_first_ones_whichever_is_named(named: int) -> None:
    pool, pair = Operator("avg_pool2d", 4, 6, 6, 4, kernel=3), Operator("add", 4, 6, 6, 4, inputs=2)
    wired = (Node(CONV, (-1,)), Node(pool, (0,)), Node(pool, (0,)), Node(pair, (1, 2)))
    run = Run(
        Task(Network((4, 6, 6), wired, 3).key, True, 0),
        "",
        1.0,
        (9.0,),
        {0: (3.0, 3.0), named: (2.0, 2.0), 3: (1.0, 1.0)},
        (9.0,),
    )
    evidence = gather([run])
    summed = dataclasses.replace(pool, readers=Readers.SUM)
    alike = [summed, dataclasses.replace(summed, twin=1)]
    assert evidence.operators == [CONV, *alike, dataclasses.replace(pair, exclusive=2)]
    assert evidence.cost.tolist() == [3.0, 2.0, 0.0, 1.0]


def test_a_twin_that_was_never_seen_may_cost_nothing() -> None:
    pool = Operator("avg_pool2d", 4, 6, 6, 4, kernel=3)
    run = Run(Task(Network.single(pool).key, False, 0), "", 1.0, (1.5,))
    costs = estimate(gather([run]), encode([pool, dataclasses.replace(pool, twin=1)]))
    assert costs.mean.tolist() == [1.5, 1.5]
    assert costs.error[1] > 0.5 > costs.error[0]


def test_whole_times_of_single_operators_are_evidence_only_without_node_times() -> None:
    key = Network.single(CONV).key
    whole = Run(Task(key, False, 0), "", 1.0, (1.5, 1.5))
    inside = Run(Task(key, True, 0), "", 1.0, (1.4, 1.4), {0: (1.0, 1.0)}, (1.5, 1.5))
    assert gather([whole]).cost.tolist() == [1.5]
    assert gather([whole, inside]).cost.tolist() == [1.0]
    assert gather([whole, inside]).totals == {key: 1.45}


def test_mean_node_times_are_quieted_by_the_total() -> None:
    """A runtime that tells means only: its means are disturbed as much as the whole."""
    key = Network((4, 6, 6), (Node(CONV, (-1,)),), 0).key
    run = Run(Task(key, True, 0), "", 1.0, (2.0,), {0: (1.5,)}, (2.0,) * 9 + (12.0,))
    assert gather([run]).cost.tolist() == pytest.approx([1.5 * 2.0 / 3.0])


def test_what_was_only_measured_alone_may_cost_nothing_where_it_can_be_fused() -> None:
    fusable = dataclasses.replace(RELU, fusable=1)
    runs = [Run(Task(Network.single(operator).key, False, 0), "", 1.0, (1.5,)) for operator in (CONV, RELU)]
    costs = estimate(gather(runs), encode([RELU, fusable]))
    assert costs.mean.tolist() == [1.5, 1.5]
    assert costs.error[1] > 0.5 > costs.error[0]
    assert costs.measured.tolist() == [1, 0]


def test_what_reads_a_value_alone_is_told_from_what_shares_it() -> None:
    pool, pair = Operator("avg_pool2d", 4, 6, 6, 4, kernel=3), Operator("add", 4, 6, 6, 4, inputs=2)
    runs = []
    for wired, times in (
        ([(pool, (-1,)), (RELU, (0,))], [3.0, 1.0]),
        ([(pool, (-1,)), (RELU, (0,)), (pair, (0, 1))], [3.0, 2.0, 0.5]),
    ):
        key = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs in wired), len(wired) - 1).key
        runs.append(Run(Task(key, True, 0), "", 1.0, (9.0,), {n: (ms, ms) for n, ms in enumerate(times)}, (9.0,)))
    some, more = (dataclasses.replace(pair, exclusive=count) for count in (1, 2))
    costs = estimate(gather(runs), encode([dataclasses.replace(RELU, exclusive=1), RELU, some, more]))
    assert costs.mean.tolist() == pytest.approx([1.0, 2.0, 0.5, 0.5])
    assert costs.measured.tolist() == [1, 1, 1, 0]  # a sum that shares neither of its inputs was not seen


def test_what_was_never_converted_as_often_costs_about_as_much_as_where_it_was_converted_most_like_it() -> None:
    eight = dataclasses.replace(CONV, precision="int8")
    networks = [((CONV, (-1,)), (eight, (0,))), ((CONV, (-1,)), (eight, (0,)), (CONV, (1,)))]
    runs = []
    for wired, times in zip(networks, ([2.0, 1.0], [2.0, 1.5, 1.0]), strict=True):
        key = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs in wired), len(wired) - 1).key
        told = {place: (ms, ms) for place, ms in enumerate(times)}
        runs.append(Run(Task(key, True, 0), "", 1.0, (5.0,), told, (5.0,)))
    asked = [dataclasses.replace(one, conversions=n) for one in (CONV, eight) for n in (0, 1, 2)]
    costs = estimate(gather(runs), encode(asked))
    assert costs.mean.tolist() == pytest.approx([1.0, 2.0, 2.0, 1.0, 1.5, 1.5])
    assert costs.measured.tolist() == [1, 2, 0, 1, 1, 0]


def test_a_convolution_that_was_never_summed_so_costs_what_it_costs_where_it_was_summed_most_like_it() -> None:
    pair = Operator("add", 4, 6, 6, 4, inputs=2)
    networks = [((CONV, (-1,)), (RELU, (0,))), ((RELU, (-1,)), (CONV, (0,)), (CONV, (0,)), (pair, (1, 2)))]
    runs = []
    for wired, times in zip(networks, ([2.0, 1.0], [1.0, 3.0, 3.0, 0.0]), strict=True):
        key = Network((4, 6, 6), tuple(Node(operator, inputs) for operator, inputs in wired), len(wired) - 1).key
        told = {place: (ms, ms) for place, ms in enumerate(times)}
        runs.append(Run(Task(key, True, 0), "", 1.0, (5.0,), told, (5.0,)))
    asked = [dataclasses.replace(CONV, summed=n, beside=m) for n, m in ((0, 0), (1, 0), (1, 1), (2, 0))]
    costs = estimate(gather(runs), encode(asked))
    assert costs.mean.tolist() == pytest.approx([2.0, 3.0, 3.0, 3.0])
    assert costs.error[1] == costs.error[2]  # nothing else would be known of it
    twofold = estimate(gather(runs), encode([dataclasses.replace(asked[2], twofold=1)]))
    assert twofold.mean.tolist() == pytest.approx([3.0])
    assert twofold.error[0] == costs.error[2]
    alone = estimate(gather([Run(Task(Network.single(CONV).key, False, 0), "", 1.0, (1.5,))]), encode(asked))
    assert alone.mean.tolist() == [1.5] * 4
    assert len(set(alone.error)) == 1
