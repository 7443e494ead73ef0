"""The spaces that come with spacecut: their sizes, their networks' published costs, and their wiring."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spacecut.operators.network import INPUT, Network, Node
from spacecut.operators.operator import encode, macs
from spacecut.operators.workload import ABSENT, Workload, expand
from spacecut.space import load_space, save_space, shipped_spaces

SIZES = {
    "metapruning/mobilenet_v1": 31**13,
    "metapruning/mobilenet_v2": 31**25,
    "metapruning/resnet50": 31**20,
    "nasbench201/cell": 5**6,
    "fbnet/fbnet": 9**22,
    "ofa/mobilenet_v3": 3**5 * 9**20,
    "mobilenet/v2": 1,
    "mobilenet/v3_large": 1,
}
SCALES = [(10 + 3 * i) / 100 for i in range(31)]
BASES = {
    "metapruning/mobilenet_v1": [32, 64, 128, 128, 256, 256, *[512] * 6, 1024],
    "metapruning/mobilenet_v2": [
        *[44, 22, 33, 44, 88, 132, 224, 448],
        *[44, 132, 198, 198, *[264] * 3, *[528] * 4, *[792] * 3, *[1344] * 3],
    ],
    "metapruning/resnet50": [64, 256, 512, 1024, *[64] * 3, *[128] * 4, *[256] * 6, *[512] * 3],
}

MOBILENET_V1_316M = [28, 18, 10, 23, 23, 22, 22, 13, 17, 28, 17, 25, 29]
MOBILENET_V2_105M = [
    *[14, 12, 11, 8, 7, 8, 14, 8],
    *[6, 5, 2, 15, 7, 17, 14, 5, 11, 12, 12, 11, 6, 16, 14, 13, 14],
]
RESNET50_2G = [23, 17, 16, 17, 16, 16, 18, 20, 18, 25, 11, 29, 22, 18, 13, 27, 17, 23, 23, 20]
FBNET_B = (
    "k3_e1 k3_e6 k5_e1 k3_e1 k3_e1 k5_e6 k5_e3 k3_e6 k5_e6 k5_e6 k5_e1 skip k5_e3 "
    "k5_e6 k3_e1 k5_e1 k5_e3 k5_e6 k5_e1 k5_e6 k5_e6 k3_e6"
)
FBNET_C = (
    "k3_e1 k3_e6 skip k3_e1 k3_e1 k5_e6 k5_e3 k5_e6 k3_e6 k5_e6 k5_e3 k5_e6 k5_e6 "
    "k5_e6 k5_e6 k5_e6 k5_e3 k5_e6 k5_e6 k5_e6 k5_e6 k3_e6"
)


@functools.cache
def workload_of(name: str) -> Workload:
    return expand(load_space(name))


def network_of(name: str, candidates: Sequence[int | str]) -> Network:
    workload = workload_of(name)
    choices = workload.space.choices
    numbers = [choice.index(candidate) for choice, candidate in zip(choices, candidates, strict=True)]
    return workload.network(np.array(numbers, dtype=np.int64))


def total_macs(network: Network) -> float:
    return float(macs(encode([node.operator for node in network.nodes])).sum())


def kinds(network: Network) -> Counter[str]:
    return Counter(node.operator.kind for node in network.nodes)


def samples(name: str, count: int, seed: int = 0) -> np.ndarray:
    """Random architectures, without those of NAS-Bench-201 in which an edge leads nowhere."""
    space = workload_of(name).space
    if name != "nasbench201/cell":
        return space.sample(count, seed)
    drawn = space.sample(4 * count, seed)
    return drawn[[every_edge_matters(row) for row in drawn]][:count]


def every_edge_matters(edges: np.ndarray) -> bool:
    """Whether each operator of a NAS-Bench-201 cell lies on a path from its input to its output."""
    ends = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    there = [pair for pair, op in zip(ends, edges, strict=True) if op > 0]
    reached, needed = {0}, {3}
    for source, target in sorted(there):
        reached |= {target} if source in reached else set()
    for source, target in sorted(there, key=lambda pair: -pair[1]):
        needed |= {source} if target in needed else set()
    return 3 in reached and all(source in reached and target in needed for source, target in there)


@pytest.mark.parametrize("name", shipped_spaces())
def test_expands(name: str) -> None:
    start = time.perf_counter()
    workload = expand(load_space(name))
    seconds = time.perf_counter() - start
    print(f"{name}: {len(workload.rows)} operators, {len(workload.factors)} factors, {seconds:.2f} s")
    assert len(np.unique(workload.rows, axis=0)) == len(workload.rows)
    numbers = np.unique(np.concatenate([factor.index.ravel() for factor in workload.factors]))
    assert np.array_equal(numbers[numbers != ABSENT], np.arange(len(workload.rows)))


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_size(name: str, size: int) -> None:
    assert load_space(name).size == size


@pytest.mark.parametrize("name", SIZES)
def test_name_is_the_shipped_name(name: str) -> None:
    assert load_space(name).name == name


@pytest.mark.parametrize("name", BASES)
def test_metapruning_widths(name: str) -> None:
    choices = workload_of(name).space.choices
    assert [list(choice.attributes["width"]) for choice in choices] == [
        [int(base * scale) for scale in SCALES] for base in BASES[name]
    ]


def test_metapruning_width_of_id_7() -> None:
    assert workload_of("metapruning/mobilenet_v1").space.choice("slot0").attributes["width"][7] == 9
    assert int(32 * ((10 + 3 * 7) / 100)) == 9


def test_base_22_has_21_distinct_widths() -> None:
    choice = load_space("metapruning/mobilenet_v2").choice("overall1")
    assert len(set(choice.attributes["width"])) == 21


@pytest.mark.parametrize(
    ("name", "candidates", "published", "tolerance"),
    [
        ("metapruning/mobilenet_v1", [30] * 13, 569e6, 0.005),
        ("metapruning/mobilenet_v1", MOBILENET_V1_316M, 316e6, 0.02),
        ("metapruning/mobilenet_v2", MOBILENET_V2_105M, 105e6, 0.02),
        ("metapruning/resnet50", [30] * 20, 4.1e9, 0.01),
        ("metapruning/resnet50", RESNET50_2G, 2.0e9, 0.02),
        ("nasbench201/cell", ["nor_conv_3x3"] * 6, 220.12e6, 0.01),
        ("fbnet/fbnet", FBNET_B.split(), 295e6, 0.03),
        ("fbnet/fbnet", FBNET_C.split(), 375e6, 0.03),
        ("mobilenet/v2", [], 300e6, 0.01),
        ("mobilenet/v3_large", [], 219e6, 0.01),
    ],
)
def test_published_macs(name: str, candidates: Sequence[int | str], published: float, tolerance: float) -> None:
    assert total_macs(network_of(name, candidates)) == pytest.approx(published, rel=tolerance)


def test_residual_adds() -> None:
    assert kinds(network_of("metapruning/mobilenet_v2", [30] * 25))["add"] == 10
    assert kinds(network_of("metapruning/resnet50", [30] * 20))["add"] == 16
    assert kinds(network_of("mobilenet/v2", []))["add"] == 10
    assert kinds(network_of("mobilenet/v3_large", [])) == {
        "conv2d": 32, "depthwise_conv2d": 15, "squeeze_excite": 8, "add": 10, "global_avg_pool": 1, "linear": 1,
    }  # fmt: skip


def test_resnet50_strides_stand_in_the_3x3_convolutions() -> None:
    nodes = network_of("metapruning/resnet50", [30] * 20).nodes
    strided = Counter((o.kind, o.kernel) for o in (node.operator for node in nodes) if o.stride == 2)
    assert strided == {("conv2d", 7): 1, ("max_pool2d", 3): 1, ("conv2d", 3): 3, ("conv2d", 1): 3}
    assert all(node.operator.activation == "relu" for node in nodes if node.operator.kind == "add")


def test_nasbench201_counts() -> None:
    everywhere = kinds(network_of("nasbench201/cell", ["nor_conv_3x3"] * 6))
    assert everywhere["conv2d"] == 1 + 15 * 6 + 2 * 3
    assert everywhere["activation"] == 15 * 6 + 2 * 2 + 1
    assert everywhere["add"] == 15 * 2 + 2
    mixed = ["avg_pool_3x3", "none", "skip_connect", "nor_conv_1x1", "none", "avg_pool_3x3"]
    assert kinds(network_of("nasbench201/cell", mixed)) == {
        "conv2d": 1 + 15 + 6, "activation": 15 + 4 + 1, "avg_pool2d": 15 * 2 + 2, "add": 15 + 2,
        "global_avg_pool": 1, "linear": 1,
    }  # fmt: skip


def test_nasbench201_choices_stand_in_the_order_of_an_architecture_string() -> None:
    names = [choice.name for choice in load_space("nasbench201/cell").choices]
    assert names == ["edge1_0", "edge2_0", "edge2_1", "edge3_0", "edge3_1", "edge3_2"]


def test_nasbench201_quality_order() -> None:
    choice = load_space("nasbench201/cell").choices[0]
    known = choice.not_worse()

    def better(worse: str, than: str) -> bool:
        return bool(known[choice.index(worse), choice.index(than)])

    assert better("none", "nor_conv_3x3")
    assert better("avg_pool_3x3", "nor_conv_3x3")
    assert not better("none", "avg_pool_3x3")
    assert not better("skip_connect", "nor_conv_3x3")


def test_fbnet_quality_order() -> None:
    choice = load_space("fbnet/fbnet").choices[0]
    known = choice.not_worse()
    worst, best = choice.index("skip"), choice.index("k5_e6")
    assert known[worst].all()
    assert known[:, best].all()
    assert known[choice.index("k3_e1_g2"), choice.index("k3_e1")]
    assert not known[choice.index("k3_e6"), choice.index("k5_e3")]
    assert not known[choice.index("k5_e1_g2"), choice.index("k3_e1")]


def test_fbnet_skips() -> None:
    network = network_of("fbnet/fbnet", ["skip"] * 22)
    assert [(node.operator.kernel, node.operator.stride, node.operator.out_channels) for node in network.nodes[:8]] == [
        (3, 2, 16), (1, 2, 24), (1, 2, 32), (1, 2, 64), (1, 1, 112), (1, 2, 184), (1, 1, 352), (1, 1, 1984),
    ]  # fmt: skip


def test_ofa_absent_blocks_do_not_matter() -> None:
    workload = workload_of("ofa/mobilenet_v3")
    space = workload.space
    shallow = {choice.name: choice.candidates[0] for choice in space.choices}
    beyond = [4 * stage + block for stage in range(5) for block in (2, 3)]
    other = shallow | {f"ks{block}": 7 for block in beyond} | {f"e{block}": 6 for block in beyond}
    one, two = (workload.network(space.encode(architecture)[0]) for architecture in (shallow, other))
    assert one == two
    deepest = workload.network(space.encode({choice.name: choice.candidates[-1] for choice in space.choices})[0])
    assert kinds(one)["depthwise_conv2d"] == 1 + 5 * 2
    assert kinds(deepest)["depthwise_conv2d"] == 1 + 5 * 4


@pytest.mark.parametrize("name", SIZES)
def test_random_networks_are_connected_and_shapes_agree(name: str) -> None:
    workload = workload_of(name)
    for candidates in samples(name, 20):
        network = workload.network(candidates)
        for node in network.nodes:
            assert len(node.inputs) == node.operator.inputs
            for source in node.inputs:
                shape = network.input_shape if source == INPUT else network.nodes[source].operator.output_shape
                assert node.operator.input_shape == seen_by(node, shape), f"{node} reads {shape}"
        assert ancestors(network) == {INPUT, *range(len(network.nodes))}


@pytest.mark.parametrize("name", SIZES)
def test_used_operators_are_those_of_the_network(name: str) -> None:
    workload = workload_of(name)
    drawn = samples(name, 50, seed=1)
    for candidates, used in zip(drawn, workload.used(drawn), strict=True):
        expected = Counter(workload.network(candidates).operators)
        assert Counter(workload.operators[number] for number in used if number != ABSENT) == expected


@pytest.mark.parametrize("name", SIZES)
def test_reads_back_what_it_saves(name: str, tmp_path: Path) -> None:
    space = load_space(name)
    save_space(space, tmp_path / "space.yaml")
    again = load_space(tmp_path / "space.yaml")
    assert again.size == space.size
    assert np.array_equal(expand(again).rows, workload_of(name).rows)


def seen_by(node: Node, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    return (shape[0] * shape[1] * shape[2], 1, 1) if node.operator.kind == "linear" else shape


def ancestors(network: Network) -> set[int]:
    found: set[int] = set()
    waiting = [network.output]
    while waiting:
        position = waiting.pop()
        if position not in found:
            found.add(position)
            waiting += network.nodes[position].inputs if position != INPUT else ()
    return found
