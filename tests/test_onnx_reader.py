from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spacecut.errors import InputError
from spacecut.operators import INPUT, Network, Node, Operator, expand
from spacecut.operators.onnx_builder import build_onnx
from spacecut.operators.onnx_reader import read_onnx
from spacecut.space import load_space


@pytest.mark.parametrize(
    "name",
    [
        "metapruning/mobilenet_v1",
        "metapruning/mobilenet_v2",
        "metapruning/resnet50",
        "fbnet/fbnet",
        "ofa/mobilenet_v3",
        "mobilenet/v3_large",
    ],
)
@pytest.mark.parametrize("native_hardswish", [True, False])
def test_what_the_builder_writes_is_read_as_the_same_network(name, native_hardswish):
    workload = expand(load_space(name))
    for candidates in workload.space.sample(3):
        network = workload.network(candidates)
        assert read_onnx(build_onnx(network, native_hardswish=native_hardswish)).key == network.key


def test_separate_activations_are_fused_into_what_gives_their_input():
    conv = Operator("conv2d", 4, 8, 8, 4, kernel=3)
    nodes = (Node(conv, (INPUT,)), Node(Operator("activation", 4, 8, 8, 4, activation="swish"), (0,)))
    read = read_onnx(build_onnx(Network((4, 8, 8), nodes, 1)))
    assert [str(node.operator) for node in read.nodes] == ["conv2d 4->4 @8x8 k3 s1 swish"]


def test_an_activation_of_a_value_with_other_readers_stands_alone():
    conv = Operator("conv2d", 4, 8, 8, 4, kernel=3)
    relu = Operator("activation", 4, 8, 8, 4, activation="relu")
    nodes = (Node(conv, (INPUT,)), Node(relu, (0,)), Node(Operator("add", 4, 8, 8, 4, inputs=2), (0, 1)))
    network = Network((4, 8, 8), nodes, 2)
    assert read_onnx(build_onnx(network)).key == network.key


def model(*nodes, shape=(1, 4, 8, 8), constants=(), output="y"):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(list(nodes), "test", inputs, outputs, list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def weight(*shape):
    return onnx.numpy_helper.from_array(np.zeros(shape, np.float32), "w")


def test_batch_norm_is_folded_and_a_free_batch_size_read():
    scale = [onnx.numpy_helper.from_array(np.ones(6, np.float32), name) for name in ("scale", "bias", "mean", "var")]
    content = model(
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
        shape=("batch", 4, 8, 8),
        constants=[weight(6, 4, 3, 3), *scale],
    )
    assert [str(node.operator) for node in read_onnx(content).nodes] == ["conv2d 4->6 @8x8 k3 s1 relu"]


BAD = {
    "unknown operator": (model(helper.make_node("Sin", ["x"], ["y"], name="wave")), "Sin of node 'wave'"),
    "dilated": (
        model(
            helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], dilations=[2, 2], pads=[2] * 4),
            constants=[weight(6, 4, 3, 3)],
        ),
        "undilated",
    ),
    "no padding": (
        model(helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3]), constants=[weight(6, 4, 3, 3)]),
        "padding",
    ),
    "free size": (model(helper.make_node("Relu", ["x"], ["y"]), shape=(1, 4, "h", "w")), "fixed"),
    "no image": (model(helper.make_node("Relu", ["x"], ["y"]), shape=(1, 4)), "image"),
    "odd clip": (
        model(
            helper.make_node("Clip", ["x", "w"], ["y"]),
            constants=[onnx.numpy_helper.from_array(np.float32(-1), "w")],
        ),
        "clips",
    ),
    "odd product": (model(helper.make_node("Mul", ["x", "x"], ["y"])), "product"),
    "empty": (b"", "no ONNX model"),
    "text": (b"this is no model at all", "no ONNX model"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_named_in_one_line(name):
    content, named = BAD[name]
    with pytest.raises(InputError, match=named) as error:
        read_onnx(content)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_onnx(tmp_path / "nowhere.onnx")
    with pytest.raises(InputError, match="cannot read"):
        read_onnx(tmp_path)
