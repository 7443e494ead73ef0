"""Precisions chosen layer by layer: the space they make, what a cut does with them, and runtimes that mix them."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Cost, GivenProfile, enumerated, latencies, space_of

import spacecut
from spacecut.cli import main
from spacecut.cut import cut, mix
from spacecut.errors import InputError, MeasurementError, PlatformUnavailable
from spacecut.measure import Protocol, Worker
from spacecut.measure.plan import covering_sample
from spacecut.operators import Network, Node, Operator, expand
from spacecut.platforms import Platform, get_platform
from spacecut.platforms.inputs import input_array
from spacecut.space import SearchSpace

QUICK = Protocol(warmup=1, least=3, most=3, seconds=1.0, shortest=0.0)
SEPARABLE = [
    {"conv2d": {"out_channels": 8, "kernel": 3}},
    {"activation": {"activation": "relu", "name": "first"}},
    {"depthwise_conv2d": {"kernel": 3, "activation": "relu"}},
    {"conv2d": {"out_channels": 8, "kernel": 1}},
    {"add": {"inputs": ["previous", "first"]}},
    {"global_avg_pool": {}},
    {"linear": {"out_channels": 3}},
]


def separable() -> SearchSpace:
    return mix(space_of({}, SEPARABLE))


def network(precisions: str) -> Network:
    """The same layers, each of them in int8 (``8``) or in the platform's own precision (``-``)."""
    plain = expand(space_of({}, SEPARABLE)).network(np.zeros(0, dtype=np.int64))
    nodes = tuple(
        Node(replace(node.operator, precision="int8" if letter == "8" else "platform"), node.inputs)
        for node, letter in zip(plain.nodes, precisions, strict=True)
    )
    return Network(plain.input_shape, nodes, plain.output)


def test_layers_with_weights_choose_and_others_follow() -> None:
    space = separable()
    assert space.document.precisions == [f"precision{n}" for n in (0, 0, 1, 2, 2, 2, 3)]
    for choice in space.choices:
        assert choice.candidates == ("int8", "platform")
        assert choice.not_worse().tolist() == [[True, True], [False, True]]
    kinds = {
        "".join("8" if node.operator.precision == "int8" else "-" for node in expand(space).network(row).nodes)
        for row in enumerated(space)
    }
    assert kinds == {f"{a}{a}{b}{c}{c}{c}{d}" for a, b, c, d in itertools.product("8-", repeat=4)}


def test_each_repeat_of_a_block_chooses_for_itself(tmp_path: Path) -> None:
    space = mix(spacecut.load_space("mobilenet/v2"))
    assert len(space.choices) == 53
    spacecut.save_space(space, tmp_path / "mixed.yaml")
    again = spacecut.load_space(tmp_path / "mixed.yaml")
    assert again.document == space.document
    row = np.arange(53) % 2
    assert expand(again).network(row) == expand(space).network(row)
    assert [c.name for c in again.restrict({"precision7": ["int8"]}).choices] == [c.name for c in space.choices]


def test_precisions_stand_among_the_choices_in_order_of_execution() -> None:
    width = {"candidates": [4, 8], "order": "larger"}
    layers = [{"conv2d": {"out_channels": name, "kernel": 1}} for name in ("b", "a")]
    space = mix(space_of({"a": width, "b": width, "c": width}, layers))
    assert [choice.name for choice in space.choices] == ["b", "precision0", "a", "precision1", "c"]
    assert len(mix(spacecut.load_space("metapruning/mobilenet_v1")).choices) == 13 + 28


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(InputError, match="no precision 'int4' to mix; use int8"):
        mix(space_of({}, SEPARABLE), "int4")
    with pytest.raises(InputError, match="precisions already"):
        mix(separable())
    with pytest.raises(InputError, match="no layer has weights"):
        mix(space_of({}, [{"max_pool2d": {"kernel": 2}}]))
    with pytest.raises(InputError, match="a choice 'precision0' already"):
        mix(space_of({"precision0": {"candidates": [1, 3]}}, [{"conv2d": {"out_channels": 8, "kernel": "precision0"}}]))


def test_samples_reach_from_all_int8_to_none() -> None:
    share = covering_sample(mix(spacecut.load_space("mobilenet/v2")), 40).mean(axis=1)
    assert share[:2].tolist() == [0.0, 1.0]
    assert share[2:].min() < 0.25
    assert share[2:].max() > 0.75
    assert share.mean() == pytest.approx(0.5)
    assert len(covering_sample(separable(), 1)) == 1


def mixed_cost(depthwise: float, conversion: float) -> Cost:
    """Int8 takes half as long, but a depthwise convolution ``depthwise`` times as long; a conversion takes its own."""

    def cost(operator: Operator) -> float:
        factor = depthwise if operator.kind == "depthwise_conv2d" else 0.5
        return (factor if operator.precision == "int8" else 1.0) + conversion * operator.conversions

    return cost


@pytest.mark.parametrize("conversion", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("depthwise", [0.7, 1.0, 1.5, 4.0])
def test_the_cut_drops_int8_where_it_is_never_faster(depthwise: float, conversion: float) -> None:
    """Against every architecture: int8 falls where the same network with that layer in fp32 is never slower."""
    space, cost = separable(), mixed_cost(depthwise, conversion)
    profile = GivenProfile(space, cost)
    reduction = cut(space, profile, tolerance=0.0)
    rows = enumerated(space)
    taken = latencies(profile.latency_model(space), cost, rows)
    np.testing.assert_allclose(profile.latency_model(space).predict(rows), taken)
    for position, choice in enumerate(reduction.space.choices):
        lower = taken[rows[:, position] == 0]
        dropped = "int8" not in choice.candidates
        assert dropped == bool((taken[rows[:, position] == 1] <= lower + 1e-9).all())
        assert "platform" in choice.candidates
    assert ("int8" not in reduction.space.choice("precision1").candidates) == (depthwise >= 1 + 3 * conversion)
    least, fastest = reduction.outcomes[0].model.fastest()
    assert least == pytest.approx(taken.min())
    assert fastest == space.decode(rows[taken.argmin()]) or conversion == 0.0
    for decision in reduction.decisions:
        assert decision.differs_in in ("", "precisions")


def test_precisions_of_one_layer_may_be_written_by_hand() -> None:
    two = {"candidates": ["int8", "platform"], "order": [["int8", "platform"]]}
    space = space_of(
        {"p": two},
        [
            {"conv2d": {"out_channels": 8, "kernel": 1, "precision": "p"}},
            {"conv2d": {"out_channels": 8, "kernel": 1, "precision": "int8"}},
        ],
    )
    told = [[str(o) for o in expand(space).network(row).operators] for row in enumerated(space)]
    assert told == [
        ["conv2d 4->8 @6x6 k1 s1 int8", "conv2d 8->8 @6x6 k1 s1 int8"],
        ["conv2d 4->8 @6x6 k1 s1 c1", "conv2d 8->8 @6x6 k1 s1 int8"],
    ]
    with pytest.raises(InputError, match="unknown word 'int4'"):
        space_of({}, [{"conv2d": {"out_channels": 8, "kernel": 1, "precision": "int4"}}])


@pytest.mark.parametrize("count", [1, 6, 8])
def test_as_many_precisions_as_layers(count: int) -> None:
    document = {**space_of({}, SEPARABLE).document.model_dump(), "precisions": ["int8"] * count}
    with pytest.raises(InputError, match=f"precisions: {count} are given for 7 layers; give one a layer"):
        SearchSpace(type(space_of({}, SEPARABLE).document).model_validate(document))


@pytest.mark.parametrize("name", ["litert", "torch/cpu", "ncnn", "onnxruntime:int8", "ethos-u/u55-128"])
def test_other_platforms_say_that_they_do_not_mix(name: str) -> None:
    try:
        platform = get_platform(name)
    except PlatformUnavailable as error:
        pytest.skip(str(error))
    with pytest.raises(InputError, match="runs all operators in one precision; take one that mixes"):
        platform.check_mixing()
    with Worker(name) as worker, pytest.raises(MeasurementError, match="runs all operators in one precision"):
        worker.measure(network("--8----"), False, QUICK)


def test_openvino_says_what_mixing_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("spacecut.platforms.openvino.nncf_lacking", lambda: "it is not here; pip install nncf")
    platform = get_platform("openvino")
    with pytest.raises(PlatformUnavailable, match="pip install nncf"):
        platform.model(network("--8----"))
    platform.model(network("-------"))


def mixing(name: str) -> Platform:
    try:
        platform = get_platform(name)
        platform.check_mixing()
    except PlatformUnavailable as error:
        pytest.skip(str(error))
    return platform


PATTERNS = ["88-8888", "--8----", "8888---", "---8888", "88---88"]


@pytest.mark.parametrize("precisions", PATTERNS)
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_every_convolution_of_a_mixed_network_has_a_time(name: str, precisions: str) -> None:
    platform = mixing(name)
    program = platform.load(network(precisions), nodes=True)
    try:
        program.run()
        program.mark()
        for _ in range(3):
            program.run()
        times = program.node_times()
    finally:
        program.close()
    heavy = {n for n, node in enumerate(network(precisions).nodes) if node.operator.kind.endswith("conv2d")}
    # A convolution may be named after what is done together with it.
    assert len(heavy & {*times, *(n - 1 for n in times)}) == len(heavy)
    assert set(times) <= set(range(7))


@pytest.mark.parametrize("precisions", PATTERNS)
def test_onnxruntime_quantises_what_it_is_told_to(precisions: str) -> None:
    platform = get_platform("onnxruntime")
    graph = onnx.load_from_string(platform.build(network(precisions))).graph
    source = {output: node for node in graph.node for output in node.output}
    for position, letter in enumerate(precisions):
        for node in graph.node:
            if node.name.startswith(f"n{position}.") and node.op_type in ("Conv", "Gemm"):
                weights = source.get(node.input[1])
                assert (weights is not None and weights.op_type == "DequantizeLinear") == (letter == "8")


@pytest.mark.parametrize("precisions", PATTERNS)
def test_onnxruntime_leaves_the_others_as_they_are(precisions: str, tmp_path: Path) -> None:
    """Also those between two in int8, which an optimiser would quantise as well."""
    platform = get_platform("onnxruntime")
    options = platform._options()  # type: ignore[attr-defined]
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    platform._session(network(precisions), platform.build(network(precisions)), options)  # type: ignore[attr-defined]
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node)
    convolutions = [letter for letter, at in zip(precisions, range(7), strict=True) if at in (0, 2, 3)]
    assert kinds["QLinearConv"] == convolutions.count("8")


@pytest.mark.parametrize("precisions", PATTERNS)
def test_openvino_quantises_what_it_is_told_to(precisions: str) -> None:
    model = mixing("openvino").build(network(precisions))
    quantised = {}
    for node in model.get_ops():
        if node.get_type_name() in ("Convolution", "GroupConvolution", "MatMul"):
            weights = node.input(1).get_source_output().get_node().get_friendly_name()
            quantised[node.get_friendly_name()[1]] = weights.endswith("/fq_weights_1")
    assert quantised == {str(at): precisions[at] == "8" for at in (0, 2, 3, 6)}


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_mixed_network_computes_about_the_same(name: str) -> None:
    platform = mixing(name)
    values = input_array(network("-------"), 1)
    exact, mixed = (platform.compute(network(words), values, values) for words in ("-------", "88--8--"))
    assert exact.shape == mixed.shape
    assert 0 < np.abs(exact - mixed).max() < 0.2 * np.abs(exact).max()


def test_all_in_int8_is_the_int8_model() -> None:
    every = get_platform("onnxruntime").build(network("8888888"))
    assert every == get_platform("onnxruntime:int8").build(network("-------"))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_mixed_spaces_are_profiled_and_cut(name: str, tmp_path: Path) -> None:
    mixing(name)
    space = separable()
    budget = spacecut.Budget(seconds=100.0, passes=1, more_passes=1, repairs=0)
    profile = spacecut.profile(space, name, store=str(tmp_path / "store.sqlite"), budget=budget)
    assert not profile.failures
    reduction = spacecut.cut(space, profile)
    assert all("platform" in choice.candidates for choice in reduction.space.choices)
    reduction.save(tmp_path / "cut")
    assert spacecut.load_space(tmp_path / "cut" / "reduced.yaml").size == reduction.space.size


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--json"])
    assert not ended.value.code
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_every_command_reads_what_was_mixed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mixing(name)
    monkeypatch.chdir(tmp_path)
    spacecut.save_space(space_of({}, SEPARABLE), "space.yaml")
    content = told(capsys, "cut", "space.yaml", "-p", name, "--mix", "int8", "-o", "cut", "--budget", "60")
    assert content["full_size"] == "16"
    assert set(content["kept"]) == {f"precision{n}" for n in range(4)}
    assert told(capsys, "score", "cut")["size"] == content["reduced_size"]
    assert told(capsys, "check-certificate", "cut")["holds"]
    assert len(told(capsys, "verify", "cut", "--samples", "2")["pairs"]) == 2
    assert told(capsys, "cut", "cut/reduced.yaml", "-p", name)["full_size"] == content["reduced_size"]
    told(capsys, "export", "cut", "--to", "optuna")


def test_the_command_refuses_what_cannot_be_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spacecut.save_space(space_of({}, SEPARABLE), tmp_path / "space.yaml")
    for options, problem in {
        ("-p", "onnxruntime:int8", "--mix", "int8"): "runs all operators in one precision",
        ("-p", "onnxruntime", "--mix", "fp16"): "no precision 'fp16' to mix; use int8",
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(["cut", str(tmp_path / "space.yaml"), *options])
        assert ended.value.code == 2
        assert problem in " ".join(capsys.readouterr().err.split())
