"""Quantised models compute about what the float ones do, on every runtime, and are quantised throughout."""

from __future__ import annotations

import os
import re

import numpy as np
import onnx
import onnxruntime
import pytest

from spacecut.errors import PlatformUnavailable
from spacecut.operators import INPUT, Network, Node, Operator
from spacecut.operators.onnx_builder import build_onnx
from spacecut.platforms import get_platform
from spacecut.platforms.inputs import calibration_arrays, input_array
from spacecut.platforms.quantisers import quantised_onnx, quantised_openvino
from spacecut.platforms.tflite import int8_tflite

LEAST_DECIBELS = 12.0
"""Of signal to quantisation noise: several layers of 8 bits (7 for weights on some processors) stay far above it."""


def network() -> Network:
    """An inverted residual with a squeeze-and-excitation, and a classifier."""
    nodes = (
        Node(Operator("conv2d", 3, 13, 13, 8, 3, 2, activation="relu"), (INPUT,)),
        Node(Operator("conv2d", 8, 7, 7, 24, 1, activation="hardswish"), (0,)),
        Node(Operator("depthwise_conv2d", 24, 7, 7, 24, 3, activation="relu6"), (1,)),
        Node(Operator("squeeze_excite", 24, 7, 7, 24, activation="hardsigmoid", reduced=8), (2,)),
        Node(Operator("conv2d", 24, 7, 7, 8, 1), (3,)),
        Node(Operator("add", 8, 7, 7, 8, inputs=2), (0, 4)),
        Node(Operator("global_avg_pool", 8, 7, 7, 8), (5,)),
        Node(Operator("linear", 8, 1, 1, 10), (6,)),
    )
    return Network((3, 13, 13), nodes, 7)


def run_onnx(model: bytes, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": values})[0])


def decibels(exact: np.ndarray, other: np.ndarray) -> float:
    noise = np.square(exact.ravel() - other.ravel()).mean()
    return float(10 * np.log10(np.square(exact).mean() / noise))


@pytest.mark.parametrize(
    ("name", "package"), [("openvino:int8", "nncf"), ("litert:int8", "ai-edge-quantizer"), ("openvino", "")]
)
def test_the_quantiser_is_a_part_of_the_version(name: str, package: str) -> None:
    try:
        version = get_platform(name).version
    except PlatformUnavailable as error:
        pytest.skip(str(error))
    assert re.fullmatch(rf"[\d.]+ with {package} [\d.]+" if package else r"[\d.]+", version)


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return run_onnx(build_onnx(network()), input_array(network(), 1))


def test_onnxruntime(exact: np.ndarray) -> None:
    model = quantised_onnx(build_onnx(network(), native_hardswish=False), calibration_arrays(network(), 1), range(8))
    assert model == quantised_onnx(
        build_onnx(network(), native_hardswish=False), calibration_arrays(network(), 1), range(8)
    )
    kinds = [node.op_type for node in onnx.load_from_string(model).graph.node]
    assert kinds.count("QuantizeLinear") > 8
    assert LEAST_DECIBELS < decibels(exact, run_onnx(model, input_array(network(), 1))) < 60


def test_openvino(exact: np.ndarray) -> None:
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    core = openvino.Core()
    model = quantised_openvino(core.read_model(build_onnx(network())), calibration_arrays(network(), 1), range(8))
    assert os.environ["NNCF_CI"]  # it reports nothing to anyone
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("FakeQuantize") > 8
    output = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})(input_array(network(), 1))[0]
    assert LEAST_DECIBELS < decibels(exact, output) < 60


@pytest.mark.parametrize("runtime", ["litert", "litert-builtin", "tflite-runtime"])
def test_tflite(runtime: str, exact: np.ndarray) -> None:
    status = type_of(runtime).status()
    if "int8" not in status.precisions:
        pytest.skip(status.reason or status.lacking["int8"])
    model = int8_tflite(network(), 1)
    interpreter = get_platform(f"{runtime}:int8").interpreter(model)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert taken["dtype"] == given["dtype"] == np.int8
    assert not [d["name"] for d in interpreter.get_tensor_details() if d["dtype"] == np.float32]
    scale, zero = taken["quantization"]
    values = np.round(input_array(network(), 1).transpose(0, 2, 3, 1) / scale) + zero
    interpreter.set_tensor(taken["index"], np.clip(values, -128, 127).astype(np.int8))
    interpreter.invoke()
    scale, zero = given["quantization"]
    output = (interpreter.get_tensor(given["index"]).astype(np.float32) - zero) * scale
    assert LEAST_DECIBELS < decibels(exact, output) < 60


@pytest.mark.parametrize("name", ["onnxruntime:int8", "openvino:int8"])
def test_every_convolution_has_a_time_of_its_own(name: str) -> None:
    runtime = name.partition(":")[0]
    pytest.importorskip(runtime)
    if "int8" not in type_of(runtime).status().precisions:
        pytest.skip("no quantiser")
    program = get_platform(name).load(network(), nodes=True)
    program.run()
    program.mark()
    for _ in range(3):
        program.run()
    times = program.node_times()
    program.close()
    heavy = {i for i, node in enumerate(network().nodes) if node.operator.kind in ("conv2d", "depthwise_conv2d")}
    assert heavy <= set(times) <= set(range(8))


def type_of(runtime: str) -> type:
    return type(get_platform(runtime))
