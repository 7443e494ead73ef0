"""What INT8 keeps of networks and their blocks, by each platform's own quantiser, and the weights it starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from command_line import run
from onnx import TensorProto, helper
from test_quantisers import network as activated

from spacecut.errors import InputError, PlatformUnavailable
from spacecut.operators import INPUT, Network, Node, Operator
from spacecut.operators.onnx_builder import build_onnx
from spacecut.operators.onnx_reader import read_onnx
from spacecut.platforms import Platform, get_platform
from spacecut.quality import block_errors, blocks, decibels, quantisation_error
from spacecut.study.accuracy import Kept, accuracy, blocks_kept, network_kept, read_trained

RUNTIMES = ("onnxruntime", "openvino", "litert", "litert-builtin", "tflite-runtime")


def platform_or_skip(name: str, batch: int = 1) -> Platform:
    try:
        return get_platform(name, batch=batch)
    except PlatformUnavailable as error:
        pytest.skip(str(error))


def network() -> Network:
    """Its first convolution is linear, so that it is a block of its own."""
    plan = activated()
    stem = replace(plan.nodes[0], operator=replace(plan.nodes[0].operator, activation="none"))
    return replace(plan, nodes=(stem, *plan.nodes[1:]))


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, 13, 13)).astype(np.float32)


def with_weights(plan: Network, seed: int = 0) -> Network:
    """A network with weights unlike those that are made up."""
    generator = np.random.default_rng(seed)

    def drawn(*shape: int) -> tuple[np.ndarray, np.ndarray]:
        kernel = generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return kernel.astype(np.float32), generator.normal(0, 0.1, shape[0]).astype(np.float32)

    nodes = []
    for node in plan.nodes:
        o = node.operator
        weights = {
            "conv2d": lambda o=o: (drawn(o.out_channels, o.in_channels, o.kernel, o.kernel),),
            "depthwise_conv2d": lambda o=o: (drawn(o.out_channels, 1, o.kernel, o.kernel),),
            "linear": lambda o=o: (drawn(o.out_channels, o.in_channels),),
            "squeeze_excite": lambda o=o: (
                drawn(o.reduced, o.in_channels, 1, 1),
                drawn(o.in_channels, o.reduced, 1, 1),
            ),
        }.get(o.kind, tuple)()
        nodes.append(replace(node, weights=weights))
    return replace(plan, nodes=tuple(nodes))


def test_weights_are_part_of_no_name() -> None:
    assert with_weights(network()) == network()
    assert with_weights(network()).key == network().key


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_computes_the_same_with_given_weights(runtime: str) -> None:
    plan, values = with_weights(network()), images(4)
    expected = onnxruntime.InferenceSession(build_onnx(plan, 4)).run(None, {"input": values})[0]
    found = platform_or_skip(runtime, batch=2).compute(plan, values, values)
    assert found.shape == (4, 10, 1, 1)
    np.testing.assert_allclose(found.reshape(4, 10), expected, rtol=1e-3, atol=1e-4)
    made_up = platform_or_skip(runtime).compute(network(), values, values)
    assert decibels(found, made_up) < 10


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_int8_keeps_most_of_a_well_behaved_network(runtime: str) -> None:
    found = quantisation_error(with_weights(network()), platform_or_skip(f"{runtime}:int8"), images(4), images(8, 1))
    assert 12 < found < 60


def test_the_int8_model_of_an_npu_is_computed_too() -> None:
    target = platform_or_skip("ethos-u/u55-128")
    found = quantisation_error(with_weights(network()), target, images(4), images(8, 1))
    assert 12 < found < 60


def test_decibels() -> None:
    signal = np.asarray([3.0, -4.0])
    assert decibels(signal, signal * 1.1) == pytest.approx(20)
    assert decibels(signal, signal * 1.01) == pytest.approx(40)
    assert decibels(signal, signal) == 99
    assert decibels(np.zeros(2), np.ones(2)) == 0


def test_blocks_end_at_linear_bottlenecks_and_sums() -> None:
    parts = blocks(network())
    assert [(part.source, len(part.network.nodes)) for part in parts] == [(INPUT, 1), (0, 5), (5, 2)]
    assert [len(part.network.nodes) for part in blocks(activated())] == [6, 2]
    assert parts[1].name == "conv2d hardswish, depthwise_conv2d 3x3 relu6, squeeze_excite hardsigmoid, conv2d, add"
    assert parts[1].network.input_shape == (8, 7, 7)


def test_a_network_without_bottlenecks_is_taken_apart_wherever_it_can_be() -> None:
    conv = Operator("conv2d", 4, 8, 8, 4, 3, activation="relu")
    chain = Network((4, 8, 8), tuple(Node(conv, (place - 1,)) for place in range(3)), 2)
    assert [part.source for part in blocks(chain)] == [INPUT, 0, 1]


def test_blocks_together_are_the_network() -> None:
    plan = with_weights(network())
    exact = get_platform("onnxruntime")
    values = images(2)
    for part in blocks(plan):
        values = exact.compute(part.network, values, values)
    np.testing.assert_allclose(values, exact.compute(plan, images(2), images(2)), rtol=1e-4, atol=1e-5)


def spoilt() -> Network:
    """A residual network in whose second block one channel is a thousand times as large as the others."""
    plan = with_weights(network())
    nodes = list(plan.nodes)
    kernel, bias = nodes[2].weights[0]
    scale = np.where(np.arange(len(kernel)) == 5, 1000, 1).astype(np.float32)
    nodes[1] = replace(nodes[1], operator=replace(nodes[1].operator, activation="none"))
    nodes[2] = replace(
        nodes[2],
        operator=replace(nodes[2].operator, activation="none"),
        weights=((kernel * scale[:, None, None, None], bias),),
    )
    kernel, bias = nodes[4].weights[0]
    nodes[4] = replace(nodes[4], weights=((kernel / scale[None, :, None, None], bias),))
    return replace(plan, nodes=tuple(nodes))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_block_that_quantises_badly_is_found(runtime: str) -> None:
    platform_or_skip(f"{runtime}:int8")
    found = [value for _, value in block_errors(spoilt(), f"{runtime}:int8", images(4), images(8, 1))]
    assert found[1] < 10
    assert found[1] + 6 < min(found[0], found[2])


def test_weights_are_read_with_what_is_folded_into_them() -> None:
    """A convolution without bias, a batch norm, a gate of linear layers with a bias apart, and a matrix product."""
    draw = np.random.default_rng(3)
    constants = {
        "w": draw.standard_normal((6, 3, 3, 3)),
        "scale": draw.uniform(0.5, 2, 6), "shift": draw.standard_normal(6),
        "mean": draw.standard_normal(6), "variance": draw.uniform(0.5, 2, 6),
        "down": draw.standard_normal((2, 6, 1, 1)), "down_bias": draw.standard_normal((1, 2, 1, 1)),
        "up": draw.standard_normal((6, 2, 1, 1)), "up_bias": draw.standard_normal(6),
        "matrix": draw.standard_normal((6, 5)), "offset": draw.standard_normal(5),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"], epsilon=0.01),
        helper.make_node("HardSwish", ["n"], ["h"]),
        helper.make_node("GlobalAveragePool", ["h"], ["p"]),
        helper.make_node("Conv", ["p", "down"], ["d"]),
        helper.make_node("Add", ["d", "down_bias"], ["db"]),
        helper.make_node("Relu", ["db"], ["r"]),
        helper.make_node("Conv", ["r", "up", "up_bias"], ["u"]),
        helper.make_node("Sigmoid", ["u"], ["s"]),
        helper.make_node("Mul", ["h", "s"], ["g"]),
        helper.make_node("GlobalAveragePool", ["g"], ["q"]),
        helper.make_node("Flatten", ["q"], ["f"]),
        helper.make_node("MatMul", ["f", "matrix"], ["m"]),
        helper.make_node("Add", ["m", "offset"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 13, 13))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5))],
        [onnx.numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content = model.SerializeToString()
    values = images(1)
    expected = onnxruntime.InferenceSession(content).run(None, {"x": values})[0]
    read = read_onnx(content)
    assert [node.operator.kind for node in read.nodes] == ["conv2d", "squeeze_excite", "global_avg_pool", "linear"]
    for runtime in ("onnxruntime", "litert"):
        found = platform_or_skip(runtime).compute(read, values, values)
        np.testing.assert_allclose(found.reshape(1, 5), expected, rtol=1e-3, atol=1e-4)


def kept(*entries: tuple[str, float, bool, str]) -> list[Kept]:
    return [Kept(block, value, gate, frozenset(words.split())) for block, value, gate, words in entries]


def test_verdicts_and_rules_of_what_is_kept() -> None:
    sound = accuracy("p", kept(("a", 33, False, "relu"), ("b", 40, True, "hardswish")), "mine")
    assert (sound.verdict, sound.rules) == ("does not hold", ())
    middling = accuracy("p", kept(("a", 33, False, "relu"), ("b", 15, True, "relu")), "mine")
    assert (middling.verdict, middling.rules) == ("mixed", ())
    bad = accuracy("p", kept(("a", 33, False, "relu"), ("b", 9, True, "relu"), ("c", 30, False, "relu")), "mine")
    assert bad.verdict == "holds"
    assert "b" in bad.rule
    (rule,) = bad.rules
    assert (rule.dimension, rule.finding, rule.platform) == ("squeeze_excite", 6, "p")
    (rule,) = accuracy("p", kept(("a", 33, False, "relu"), ("b", 9, False, "swish relu")), "mine").rules
    assert (rule.avoid, rule.prefer) == ("swish", ("relu",))
    assert accuracy("p", [], "").verdict == "not measured"


def test_blocks_with_made_up_weights() -> None:
    good = Network.single(Operator("conv2d", 4, 6, 6, 4, 3, activation="relu"))
    (found,) = blocks_kept("onnxruntime:int8", [("good", good)])
    assert (found.block, found.activations, found.gate) == ("good", {"relu"}, False)
    assert 20 < found.decibels < 60


def trained_files(folder: Path, plan: Network) -> tuple[str, str]:
    (folder / "model.onnx").write_bytes(build_onnx(plan))
    np.save(folder / "images.npy", images(12))
    return "model.onnx", "images.npy"


def test_a_trained_network_is_judged_block_by_block(tmp_path: Path) -> None:
    model, inputs = trained_files(tmp_path, spoilt())
    found = network_kept("onnxruntime:int8", read_trained(tmp_path / model, tmp_path / inputs))
    assert [entry.block.partition(":")[0] for entry in found] == ["1", "2", "3", "the whole network"]
    assert found[1].gate
    assert min(entry.decibels for entry in found[:3]) == found[1].decibels < 10
    assert accuracy("onnxruntime:int8", found, model).verdict == "holds"


@pytest.mark.parametrize(
    ("shape", "named"), [((4, 3, 12, 13), "[4, 3, 12, 13]"), ((1, 3, 13, 13), "at least 2"), (None, "numpy.save")]
)
def test_inputs_that_do_not_fit_are_refused(tmp_path: Path, shape: tuple[int, ...] | None, named: str) -> None:
    model, _ = trained_files(tmp_path, network())
    if shape is None:
        (tmp_path / "other.npy").write_text("no array")
    else:
        np.save(tmp_path / "other.npy", np.zeros(shape, np.float32))
    with pytest.raises(InputError) as refused:
        read_trained(tmp_path / model, tmp_path / "other.npy")
    assert named in str(refused.value)


def test_what_is_judged_by_needs_inputs(tmp_path: Path) -> None:
    model, _ = trained_files(tmp_path, network())
    refused = run("study", "-p", "onnxruntime", "--quantise", model, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--inputs" in refused.stderr
