from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from spacecut.measure import Task
from spacecut.measure.alone import spread
from spacecut.measure.plan import WHOLE, covering_sample, plan, sampled_networks
from spacecut.operators import Network, expand
from spacecut.operators.operator import encode, family_columns
from spacecut.space import load_space


def test_covering_sample_shows_each_candidate_equally_often():
    space = load_space("metapruning/mobilenet_v1")
    sample = covering_sample(space, 62, seed=3)
    assert sample.shape == (62, 13)
    for column in sample.T:
        assert np.array_equal(np.bincount(column), np.full(31, 2))


def test_networks_that_show_what_none_before_did_come_first():
    workload = expand(load_space("nasbench201/cell"))
    networks = list(itertools.islice(sampled_networks(workload), 512))
    numbers = covering_sample(workload.space, 2048)[:512]
    assert Counter(network.key for network in networks) == Counter(workload.network(row).key for row in numbers)

    def families(some):
        return {tuple(row) for network in some for row in family_columns(encode(list(network.operators)))}

    known = [len(families(networks[:count])) for count in (43, 44, 512)]
    assert known[0] < known[1] == known[2]


def test_a_space_without_choices_is_one_network():
    workload = expand(load_space("mobilenet/v2"))
    assert list(sampled_networks(workload)) == [workload.network(np.zeros(0, dtype=np.int64))]


@pytest.mark.parametrize("node_times", [True, False])
def test_plan_of_a_small_space_covers_every_operator_once(node_times):
    workload = expand(load_space("behaviour_study/conv3x3_out_channels"))
    tasks = [task for group in plan(sampled_networks(workload), node_times) for task in group]
    assert len(tasks) == len(set(tasks))
    evidence = {task.network for task in tasks if task.nodes == node_times}
    seen = {node.operator for network in evidence for node in Network.parse(network).nodes}
    assert seen == set(workload.operators)
    assert len(tasks) == 96  # here a network is one operator, so that what is asked for alone is asked for already


def test_where_operators_run_alone_every_family_comes_at_once_and_all_that_networks_have_in_the_end():
    workload = expand(load_space("ofa/mobilenet_v3"))
    networks = list(itertools.islice(sampled_networks(workload), 30))
    groups = list(plan(iter(networks), False))
    operators = {node.operator for network in networks for node in network.nodes}
    first = encode([Network.parse(task.network).nodes[0].operator for task in groups[0][1:]])
    families = np.unique(family_columns(encode(list(operators))), axis=0)
    assert np.array_equal(np.unique(family_columns(first), axis=0), families)
    assert len(first) == len(families)
    for network, group in zip(networks[1:], groups[1:], strict=False):
        assert group[0] == Task(network.key, False, 0)
        assert len(group) <= 1 + math.ceil(len(network.nodes) / WHOLE)
    asked = [task for group in groups for task in group]
    assert len(asked) == len(set(asked))
    assert {task.network for task in asked} == {network.key for network in networks} | {
        Network.single(operator).key for operator in operators
    }


def test_operators_alone_reach_from_the_narrowest_to_the_widest_early():
    networks = list(itertools.islice(sampled_networks(expand(load_space("metapruning/mobilenet_v1"))), 200))
    once, others = spread(networks)
    order = [*once, *others]
    assert Counter(order) == Counter({node.operator for network in networks for node in network.nodes})
    (first, *more) = [o for o in order if (o.kind, o.height, o.stride) == ("depthwise_conv2d", 112, 1)]
    widths = sorted(operator.out_channels for operator in [first, *more])
    assert {operator.out_channels for operator in more[:3]} > {widths[0], widths[-1]}
    assert widths[0] < first.out_channels < widths[-1]
