from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from spacecut.errors import InputError, PlatformUnavailable
from spacecut.measure.protocol import Protocol, time_program
from spacecut.operators import INPUT, Network, Node, Operator
from spacecut.platforms import PlatformName, Status, get_platform, platform_statuses
from spacecut.platforms.attribution import charge, owner
from spacecut.platforms.litert import LiteRt
from spacecut.testing import PlatformContract


class TestOnnxRuntime(PlatformContract):
    platform_name = "onnxruntime"


class TestOpenVino(PlatformContract):
    platform_name = "openvino"


class TestLiteRt(PlatformContract):
    platform_name = "litert"


class TestLiteRtBuiltin(PlatformContract):
    platform_name = "litert-builtin"


class TestTfLiteRuntime(PlatformContract):
    platform_name = "tflite-runtime"


class TestNcnn(PlatformContract):
    platform_name = "ncnn"

    def test_every_node_has_a_time_of_its_own(self, platform):
        wide = Operator("conv2d", 16, 14, 14, 16, kernel=3)
        clipped = Operator("activation", 16, 14, 14, 16, activation="relu6")
        nodes = (Node(wide, (INPUT,)), Node(clipped, (0,)), Node(Operator("add", 16, 14, 14, 16, inputs=2), (0, 1)))
        program = platform.load(Network(wide.input_shape, nodes, 2), nodes=True)
        samples = time_program(program, Protocol(), nodes=True)
        program.run()
        told = {node: len(values) for node, values in samples.node_ms.items()}
        assert told == dict.fromkeys(range(3), len(samples.watched_ms))
        assert min(min(values) for values in samples.node_ms.values()) > 0


class TestTorchOnTheCpu(PlatformContract):
    platform_name = "torch/cpu"


class TestTorchOnAGpu(PlatformContract):
    platform_name = "torch/cuda"


class TestTorchOnAGpuInHalfPrecision(PlatformContract):
    platform_name = "torch/cuda:fp16"


class TestTorchOnAGpuInBfloat16(PlatformContract):
    platform_name = "torch/cuda:bf16"


class TestOnnxRuntimeInt8(PlatformContract):
    platform_name = "onnxruntime:int8"


class TestOpenVinoInt8(PlatformContract):
    platform_name = "openvino:int8"


class TestLiteRtInt8(PlatformContract):
    platform_name = "litert:int8"


class TestLiteRtBuiltinInt8(PlatformContract):
    platform_name = "litert-builtin:int8"


class TestTfLiteRuntimeInt8(PlatformContract):
    platform_name = "tflite-runtime:int8"


class TestEthosU55(PlatformContract):
    platform_name = "ethos-u/u55-128"


class TestEthosU65(PlatformContract):
    platform_name = "ethos-u/u65-256:int8"


class TestEthosU85(PlatformContract):
    platform_name = "ethos-u/u85-512"


@pytest.mark.parametrize("short", [True, False])
def test_openvino_runs_without_counters_where_they_would_take_time(short, monkeypatch):
    monkeypatch.setattr("spacecut.platforms.openvino._SHORT_MS", math.inf if short else 0.0)
    nodes = tuple(Node(Operator("conv2d", 2, 4, 4, 2), (number - 1,)) for number in range(8))
    program = get_platform("openvino").load(Network((2, 4, 4), nodes, 7), nodes=True)
    for _ in range(2):  # the counters go on where they were
        samples = time_program(program, Protocol(shortest=0.0), nodes=True)
        assert (samples.watched_ms is samples.total_ms) is not short
        assert samples.node_ms.keys() == set(range(8))  # though they take less than the counters can tell


def test_names_are_taken_apart():
    assert PlatformName.parse("ethos-u/u55-128:int8") == PlatformName("ethos-u", "u55-128", "int8")
    assert PlatformName.parse("openvino") == PlatformName("openvino")
    assert str(PlatformName.parse("torch/cuda:fp16")) == "torch/cuda:fp16"


@pytest.mark.parametrize("text", ["", "Open Vino", "a:b:c", "a//b", ":int8"])
def test_bad_names_are_refused(text):
    with pytest.raises(InputError, match="no platform name"):
        PlatformName.parse(text)


def test_unknown_platform_names_a_close_one():
    with pytest.raises(InputError, match="did you mean openvino"):
        get_platform("openvin")


def test_a_missing_runtime_says_what_to_install(monkeypatch):
    reason = Status.missing("ai-edge-litert", ModuleNotFoundError("no"))
    assert "pip install ai-edge-litert" in reason.reason
    monkeypatch.setattr(LiteRt, "status", classmethod(lambda cls: reason))
    assert not platform_statuses()["litert"].available
    with pytest.raises(PlatformUnavailable, match="pip install ai-edge-litert"):
        get_platform("litert")


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("litert:int8", "ai_edge_quantizer", "ai-edge-quantizer"),
        ("tflite-runtime:int8", "ai_edge_quantizer", "ai-edge-quantizer"),
        ("openvino:int8", "nncf", "nncf"),
    ],
)
def test_a_missing_quantiser_says_what_to_install(name, module, package, monkeypatch):
    pytest.importorskip(name.partition(":")[0].replace("litert", "ai_edge_litert").replace("tflite-", "tflite_"))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == module else found(asked))
    status = platform_statuses()[name.partition(":")[0]]
    assert status.available
    assert "int8" not in status.precisions
    assert f"pip install {package}" in status.lacking["int8"]
    with pytest.raises(PlatformUnavailable, match=f"pip install {package}"):
        get_platform(name)


def test_a_gpu_that_is_not_there_is_a_platform_that_is_not_there():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(PlatformUnavailable, match=r"torch/cuda cannot run here: torch .* CUDA"):
        get_platform("torch/cuda")
    with pytest.raises(InputError, match="it offers fp32"):
        get_platform("torch/cpu:int4")


def test_a_numpy_that_tflite_runtime_fails_on_is_named(monkeypatch):
    pytest.importorskip("tflite_runtime")
    monkeypatch.setattr(np, "__version__", "2.3.1")
    status = platform_statuses()["tflite-runtime"]
    assert not status.available
    assert "numpy<2" in status.reason


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("n3.conv", 3),
        ("n0.out_nchwc", 0),
        ("n12.conv/WithoutBiases", 12),
        ("fused n6.gemm", 6),
        ("n1.conv_n2.add", 2),
        ("ReorderOutput_token_12", None),
        ("conv3.x", None),
    ],
)
def test_owner_of_a_runtime_node(name, node):
    assert owner(name) == node


def test_inserted_nodes_are_charged_to_the_operator_before_them_but_not_at_the_ends():
    executed = [
        (None, [9.0, 9.0]),  # converts the network's input
        (0, [1.0, 2.0]),
        (None, [0.5, 0.5]),
        (1, [3.0, 3.0]),
        (1, [0.25, 0.25]),  # one operator made of two runtime nodes
        (None, [7.0, 7.0]),  # converts the network's output
    ]
    assert charge(executed) == {0: [1.5, 2.5], 1: [3.25, 3.25]}
