"""The ONNX and the TFLite model of a network compute the same, in every runtime."""

from __future__ import annotations

import json
import re
import sys
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from spacecut.errors import InputError, PlatformUnavailable
from spacecut.operators import INPUT, ZERO, Network, Node, Operator
from spacecut.operators.ncnn_builder import build_ncnn
from spacecut.operators.onnx_builder import build_onnx
from spacecut.operators.tflite_builder import build_tflite
from spacecut.operators.torch_builder import TorchNetwork
from spacecut.operators.weights import conv_weights, linear_weights, squeeze_excite_weights
from spacecut.space.layers import ACTIVATIONS

LITERT_RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")

PLAIN = [
    Operator("conv2d", 6, 7, 9, 10, kernel=1),
    Operator("conv2d", 6, 7, 9, 10, kernel=3),
    Operator("conv2d", 8, 9, 9, 12, kernel=5, groups=4),
    Operator("conv2d", 6, 7, 9, 10, kernel=3, stride=2),
    Operator("conv2d", 6, 8, 10, 10, kernel=2),
    Operator("depthwise_conv2d", 6, 8, 9, 6, kernel=3),
    Operator("depthwise_conv2d", 6, 8, 9, 6, kernel=7),
    Operator("linear", 20, 1, 1, 12),
    Operator("max_pool2d", 6, 8, 9, 6, kernel=3),
    Operator("max_pool2d", 6, 8, 8, 6, kernel=2, stride=2),
    Operator("avg_pool2d", 6, 8, 9, 6, kernel=3),
    Operator("avg_pool2d", 6, 9, 9, 6, kernel=5, stride=2),
    Operator("global_avg_pool", 6, 8, 9, 6),
    Operator("squeeze_excite", 8, 8, 9, 8, activation="hardsigmoid", reduced=3),
    Operator("add", 6, 8, 9, 6, inputs=2),
    Operator("add", 6, 8, 9, 6, inputs=3),
    Operator("conv2d", 6, 9, 9, 10, kernel=3, dilation=2),
    Operator("conv2d", 6, 9, 9, 10, kernel=2, dilation=3),
    Operator("depthwise_conv2d", 6, 9, 9, 6, kernel=5, stride=2, dilation=2),
    Operator("stack_sum", 6, 8, 9, 6, inputs=2),
    Operator("stack_sum", 6, 8, 9, 6),
    Operator("concat", 6, 8, 9, 12, inputs=2),
    Operator("batch_norm", 6, 8, 9, 6),
    Operator("scale", 6, 8, 9, 6),
    Operator("shift", 6, 8, 9, 6),
    Operator("channel_shuffle", 6, 8, 9, 6, groups=2),
    Operator("channel_shuffle", 6, 8, 9, 6, groups=3),
    Operator("channel_slice", 6, 8, 9, 2),
]
ACTIVATED = [
    Operator("conv2d", 6, 8, 9, 10, kernel=3),
    Operator("depthwise_conv2d", 6, 8, 9, 6, kernel=3),
    Operator("linear", 20, 1, 1, 12),
    Operator("activation", 6, 8, 9, 6),
    Operator("squeeze_excite", 8, 8, 9, 8, reduced=3),
    Operator("add", 6, 8, 9, 6, inputs=2),
    Operator("add", 6, 8, 9, 6, inputs=1),
]
OPERATORS = PLAIN + [
    Operator(**{**vars(operator), "activation": activation}) for operator in ACTIVATED for activation in ACTIVATIONS[1:]
]
WINDOWED = [
    Operator(kind, 4, height, width, 6 if kind == "conv2d" else 4, kernel, stride)
    for kind in ("conv2d", "depthwise_conv2d", "max_pool2d", "avg_pool2d")
    for height, width in ((8, 8), (9, 9), (8, 9), (1, 1))
    for kernel in (1, 2, 3, 5, 7)
    for stride in (1, 2)
]


def chain(*operators: Operator) -> Network:
    """A network without branches."""
    nodes = tuple(Node(operator, (place - 1,)) for place, operator in enumerate(operators))
    return Network(operators[0].input_shape, nodes, len(nodes) - 1)


def residual_network() -> Network:
    """Convolutions, a residual sum, a sum with a convolution of zeros, and a linear head over several pixels."""
    nodes = (
        Node(Operator("conv2d", 3, 9, 9, 8, 3, 2, activation="hardswish"), (INPUT,)),
        Node(Operator("depthwise_conv2d", 8, 5, 5, 8, 3, activation="swish"), (0,)),
        Node(Operator("squeeze_excite", 8, 5, 5, 8, activation="hardsigmoid", reduced=4), (1,)),
        Node(Operator("conv2d", 8, 5, 5, 8, 1), (2,)),
        Node(Operator("add", 8, 5, 5, 8, activation="relu", inputs=2), (0, 3)),
        Node(Operator("conv2d", 8, 5, 5, 8, 3, activation="relu"), (ZERO,)),
        Node(Operator("add", 8, 5, 5, 8, inputs=2), (5, 4)),
        Node(Operator("linear", 200, 1, 1, 10, activation="relu6"), (6,)),
        Node(Operator("linear", 10, 1, 1, 7), (7,)),
    )
    return Network((3, 9, 9), nodes, 8)


def spread_network() -> Network:
    """Layers that need four dimensions behind linear ones."""
    nodes = (
        Node(Operator("linear", 12, 1, 1, 6, activation="relu"), (INPUT,)),
        Node(Operator("activation", 6, 1, 1, 6, activation="hardswish"), (0,)),
        Node(Operator("add", 6, 1, 1, 6, inputs=2), (0, 1)),
        Node(Operator("squeeze_excite", 6, 1, 1, 6, activation="sigmoid", reduced=2), (2,)),
        Node(Operator("add", 6, 1, 1, 6, inputs=2), (3, 1)),
        Node(Operator("conv2d", 6, 1, 1, 4, 1), (1,)),
        Node(Operator("linear", 6, 1, 1, 4), (4,)),
        Node(Operator("add", 4, 1, 1, 4, inputs=2), (5, 6)),
    )
    return Network((12, 1, 1), nodes, 7)


def cell_network() -> Network:
    """Channels split, shuffled, stacked and put side by side, with zeros among what is summed."""
    nodes = (
        Node(Operator("conv2d", 4, 8, 8, 8, 3, activation="relu"), (INPUT,)),
        Node(Operator("channel_shuffle", 8, 8, 8, 8, groups=2), (0,)),
        Node(Operator("channel_slice", 8, 8, 8, 5), (1,)),
        Node(Operator("channel_slice", 8, 8, 8, 3), (1,)),
        Node(Operator("depthwise_conv2d", 5, 8, 8, 5, 3, dilation=2), (2,)),
        Node(Operator("concat", 5, 8, 8, 8, inputs=2), (4, 3)),
        Node(Operator("stack_sum", 8, 8, 8, 8, inputs=3), (5, ZERO, 0)),
        Node(Operator("batch_norm", 8, 8, 8, 8), (6,)),
        Node(Operator("shift", 8, 8, 8, 8), (7,)),
        Node(Operator("global_avg_pool", 8, 8, 8, 8), (8,)),
        Node(Operator("scale", 8, 1, 1, 8), (9,)),
        Node(Operator("linear", 8, 1, 1, 5), (10,)),
    )
    return Network((4, 8, 8), nodes, 11)


WHOLE = [residual_network(), spread_network(), cell_network()]
WHOLE_IDS = ["residual", "spread", "cell"]


def sample(network: Network, batch: int) -> np.ndarray:
    """A random input."""
    return np.random.default_rng(1).normal(0, 2, (batch, *network.input_shape)).astype(np.float32)


def image(network: Network, output: np.ndarray) -> np.ndarray:
    """An output as ``[batch, channels, height, width]``."""
    return output.reshape(len(output), *network.nodes[network.output].operator.output_shape)


def run_onnxruntime(network: Network, batch: int = 1, **options: bool) -> np.ndarray:
    session = onnxruntime.InferenceSession(build_onnx(network, batch, **options), providers=["CPUExecutionProvider"])
    return image(network, session.run(None, {"input": sample(network, batch)})[0])


def run_openvino(network: Network, batch: int = 1) -> np.ndarray:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(build_onnx(network, batch)), "CPU", options)
    return image(network, compiled({"input": sample(network, batch)})[0])


def interpreter(model: bytes, resolver: str) -> Any:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    kind = getattr(litert.OpResolverType, resolver)
    return litert.Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kind)


def run_litert(network: Network, resolver: str, batch: int = 1) -> np.ndarray:
    pytest.importorskip("ai_edge_litert")
    runner = interpreter(build_tflite(network, batch), resolver).get_signature_runner("serving_default")
    output = runner(input=sample(network, batch).transpose(0, 2, 3, 1))["output"]
    return np.asarray(output.transpose(0, 3, 1, 2))


def run_torch(network: Network, batch: int = 1) -> np.ndarray:
    torch = pytest.importorskip("torch")
    model = TorchNetwork(network, batch, torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        return image(network, model.run(model.put(sample(network, batch))).numpy())


def run_ncnn(network: Network, folder: Path) -> np.ndarray:
    ncnn = pytest.importorskip("ncnn")
    text, weights = build_ncnn(network)
    (folder / "model.param").write_text(text)
    (folder / "model.bin").write_bytes(weights)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(folder / "model.param")) == 0
    assert net.load_model(str(folder / "model.bin")) == 0
    extractor = net.create_extractor()
    values = sample(network, 1)[0]
    given = ncnn.Mat(values).clone()
    extractor.input("input", given)
    status, output = extractor.extract(f"n{network.output}.out")
    assert status == 0
    return image(network, np.array(output)[None])


def assert_agree(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_onnxruntime_and_litert_agree(operator: Operator) -> None:
    network = Network.single(operator)
    expected = run_onnxruntime(network)
    assert expected.shape == (1, *operator.output_shape)
    assert np.isfinite(expected).all()
    assert expected.std() > 1e-3
    for resolver in LITERT_RESOLVERS:
        assert_agree(run_litert(network, resolver), expected)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_onnxruntime_and_openvino_agree(operator: Operator) -> None:
    network = Network.single(operator)
    assert_agree(run_openvino(network), run_onnxruntime(network))


@pytest.mark.parametrize("operator", [*OPERATORS, *WINDOWED], ids=str)
def test_onnxruntime_and_torch_agree(operator: Operator) -> None:
    network = Network.single(operator)
    assert_agree(run_torch(network), run_onnxruntime(network))


@pytest.mark.parametrize("operator", [*OPERATORS, *WINDOWED], ids=str)
def test_onnxruntime_and_ncnn_agree(operator: Operator, tmp_path: Path) -> None:
    network = Network.single(operator)
    assert_agree(run_ncnn(network, tmp_path), run_onnxruntime(network))


@pytest.mark.parametrize("operator", WINDOWED, ids=str)
def test_onnx_shape_is_the_operators(operator: Operator) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(build_onnx(Network.single(operator))), True, True)
    sizes = [size.dim_value for size in model.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == [1, *operator.output_shape]
    assert run_onnxruntime(Network.single(operator)).shape == (1, *operator.output_shape)


@pytest.mark.parametrize("operator", WINDOWED, ids=str)
@pytest.mark.parametrize("resolver", LITERT_RESOLVERS)
def test_tflite_shape_is_the_operators(operator: Operator, resolver: str) -> None:
    assert run_litert(Network.single(operator), resolver).shape == (1, *operator.output_shape)


@pytest.mark.parametrize("network", WHOLE, ids=WHOLE_IDS)
@pytest.mark.parametrize("batch", [1, 2])
def test_whole_networks_agree(network: Network, batch: int) -> None:
    expected = run_onnxruntime(network, batch)
    assert expected.shape == (batch, *network.nodes[network.output].operator.output_shape)
    assert_agree(run_onnxruntime(network, batch, native_hardswish=False), expected)
    assert_agree(run_openvino(network, batch), expected)
    assert_agree(run_torch(network, batch), expected)
    for resolver in LITERT_RESOLVERS:
        assert_agree(run_litert(network, resolver, batch), expected)


@pytest.mark.parametrize("network", WHOLE, ids=WHOLE_IDS)
def test_whole_networks_agree_on_ncnn(network: Network, tmp_path: Path) -> None:
    assert_agree(run_ncnn(network, tmp_path), run_onnxruntime(network))


def test_torch_frees_what_nothing_will_read_any_more():
    torch = pytest.importorskip("torch")
    wide = Operator("conv2d", 8, 14, 14, 8, kernel=3)
    summed = Operator("add", 8, 14, 14, 8, inputs=2)
    nodes = (Node(wide, (INPUT,)), Node(wide, (0,)), Node(summed, (0, 1)), Node(wide, (2,)), Node(summed, (3, 2)))
    network = Network(wide.input_shape, nodes, 4)
    model = TorchNetwork(network, 1, torch.device("cpu"), torch.float32)
    given, there = [], []

    def kept(layer, *values):
        result = layer(*values)
        given.append(weakref.ref(result))
        return result

    model.layers = [partial(kept, layer) for layer in model.layers]
    with torch.inference_mode():
        model.run(
            model.put(sample(network, 1)),
            lambda _: there.append([node for node, value in enumerate(given) if value() is not None]),
        )
    assert there == [[0], [0, 1], [2], [2, 3], [4]]


@pytest.mark.parametrize("network", WHOLE, ids=WHOLE_IDS)
def test_onnx_names_tell_their_node(network: Network) -> None:
    graph = onnx.load_from_string(build_onnx(network)).graph
    names = [node.name for node in graph.node]
    tensors = [output for node in graph.node for output in node.output] + [tensor.name for tensor in graph.initializer]
    assert len(set(names)) == len(names)
    assert len(set(tensors)) == len(tensors)
    assert [value.name for value in graph.input] == ["input"]
    assert [value.name for value in graph.output] == [f"n{network.output}.out"]
    for place in range(len(network.nodes)):
        assert f"n{place}.out" in tensors
        assert any(name.startswith(f"n{place}.") for name in names)
    assert all(name[0] == "n" and name[1 : name.index(".")].isdecimal() for name in names + tensors)
    order = [int(name[1 : name.index(".")]) for name in names]
    assert order == sorted(order)
    for node in graph.node:
        prefix = node.name[: node.name.index(".") + 1]
        assert all(output.startswith(prefix) for output in node.output)


def test_onnx_header() -> None:
    model = onnx.load_from_string(build_onnx(residual_network(), 2))
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 9
    assert model.opset_import[0].version == 17
    assert [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim] == [2, 3, 9, 9]


def profiled_nodes(model: bytes, network: Network, folder: Path) -> dict[str, str]:
    """Names and kinds of the nodes in ONNX Runtime's profile."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.run(None, {"input": sample(network, 1)})
    events = json.loads(Path(session.end_profiling()).read_text())
    return {event["name"]: event["args"]["op_name"] for event in events if event["cat"] == "Node"}


@pytest.mark.parametrize("channels", [7, 16, 24])
def test_onnxruntime_profile_tells_the_node(channels: int, tmp_path: Path) -> None:
    operators = [
        Operator(kind, channels, 8, 8, channels, 3, activation=activation)
        for kind in ("conv2d", "depthwise_conv2d")
        for activation in ACTIVATIONS
    ]
    network = chain(
        *operators,
        Operator("squeeze_excite", channels, 8, 8, channels, activation="hardsigmoid", reduced=4),
        Operator("global_avg_pool", channels, 8, 8, channels),
        Operator("linear", channels, 1, 1, 10, activation="hardswish"),
    )
    nodes = profiled_nodes(build_onnx(network, native_hardswish=False), network, tmp_path)
    nameless = {kind for name, kind in nodes.items() if not re.search(r"\bn\d+\.", name)}
    assert nameless <= {"ReorderInput", "ReorderOutput"}
    seen = {int(found[1]) for name in nodes if (found := re.search(r"\bn(\d+)\.", name))}
    assert seen == set(range(len(network.nodes)))


@pytest.mark.parametrize(("native", "kinds"), [(True, ["HardSwish"]), (False, ["HardSigmoid", "Mul"])])
def test_hardswish_is_one_node_or_two(native: bool, kinds: list[str]) -> None:
    network = Network.single(Operator("activation", 6, 8, 9, 6, activation="hardswish"))
    nodes = onnx.load_from_string(build_onnx(network, native_hardswish=native)).graph.node
    assert [node.op_type for node in nodes] == kinds
    assert nodes[-1].output[0] == "n0.out"


def test_tflite_model_is_well_formed() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    network = residual_network()
    data = build_tflite(network, 2)
    assert data[4:8] == b"TFL3"
    model = schema.ModelT.InitFromPackedBuf(data)
    graph = model.subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    assert model.description == b"spacecut"
    assert list(graph.tensors[graph.inputs[0]].shape) == [2, 9, 9, 3]
    assert names[graph.outputs[0]] == f"n{network.output}.out"
    assert all(code.builtinCode == code.deprecatedBuiltinCode for code in model.operatorCodes)
    assert [signature.signatureKey for signature in model.signatureDefs] == [b"serving_default"]


def test_tflite_buffers_are_aligned() -> None:
    pytest.importorskip("ai_edge_litert")
    network = chain(Operator("conv2d", 3, 5, 5, 7, 3), Operator("conv2d", 7, 5, 5, 5, 1))
    data = build_tflite(network)
    for place, operator in enumerate(node.operator for node in network.nodes):
        kernel, bias = conv_weights(operator, place)
        assert data.index(kernel.transpose(0, 2, 3, 1).tobytes()) % 16 == 0
        assert data.index(bias.tobytes()) % 16 == 0


def test_xnnpack_takes_the_whole_network() -> None:
    pytest.importorskip("ai_edge_litert")
    for network in (residual_network(), spread_network(), *map(Network.single, OPERATORS)):
        delegated = interpreter(build_tflite(network), "AUTO")
        delegated.allocate_tensors()
        delegates = [op for op in delegated._get_ops_details() if op["op_name"] == "DELEGATE"]
        assert len(delegates) == 1
        assert delegated.get_output_details()[0]["index"] in delegates[0]["outputs"]


@pytest.mark.parametrize("build", [build_onnx, build_tflite])
def test_models_are_deterministic_and_nodes_differ(build: Any) -> None:
    if build is build_tflite:
        pytest.importorskip("ai_edge_litert")
    assert build(residual_network()) == build(residual_network())
    operator = Operator("conv2d", 8, 5, 5, 8, 3)
    assert not np.array_equal(conv_weights(operator, 0)[0], conv_weights(operator, 1)[0])


@pytest.mark.parametrize("build", [build_onnx, build_tflite, build_ncnn])
def test_an_operator_that_does_nothing_is_refused(build: Any) -> None:
    if build is build_tflite:
        pytest.importorskip("ai_edge_litert")
    with pytest.raises(InputError, match="add 4 @5x5: it does nothing"):
        build(Network.single(Operator("add", 4, 5, 5, 4)))


def test_torch_refuses_an_operator_that_does_nothing() -> None:
    with pytest.raises(InputError, match="add 4 @5x5: it does nothing"):
        run_torch(Network.single(Operator("add", 4, 5, 5, 4)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(PlatformUnavailable, match="install ai-edge-litert"):
        build_tflite(residual_network())


def test_weights_have_onnx_layout_and_ordinary_size() -> None:
    arrays = {
        (12, 2, 5, 5): conv_weights(Operator("conv2d", 8, 9, 9, 12, kernel=5, groups=4))[0],
        (6, 1, 3, 3): conv_weights(Operator("depthwise_conv2d", 6, 9, 9, 6, kernel=3))[0],
        (30, 20): linear_weights(Operator("linear", 20, 1, 1, 30))[0],
        (3, 8, 1, 1): squeeze_excite_weights(Operator("squeeze_excite", 8, 9, 9, 8, reduced=3))[0][0],
        (8, 3, 1, 1): squeeze_excite_weights(Operator("squeeze_excite", 8, 9, 9, 8, reduced=3))[1][0],
        (2100, 2000): linear_weights(Operator("linear", 2000, 1, 1, 2100), salt=10_000)[0],
    }
    for shape, array in arrays.items():
        assert array.shape == shape
        assert array.dtype == np.float32
        spread = array.std() * np.sqrt(np.prod(shape[1:]))
        assert 0.5 < spread < 1.5


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_stay_ordinary_in_a_deep_network(activation: str) -> None:
    pair = (
        Operator("depthwise_conv2d", 16, 7, 7, 16, 3, activation=activation),
        Operator("conv2d", 16, 7, 7, 16, 1, activation=activation),
    )
    output = run_onnxruntime(chain(*pair * 30))
    assert np.isfinite(output).all()
    assert 1e-4 < np.abs(output).max() < 1e4
