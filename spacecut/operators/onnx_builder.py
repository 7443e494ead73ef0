"""A concrete network as an ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from spacecut.errors import InputError
from spacecut.operators.network import INPUT, ZERO, Affine, Network, Node
from spacecut.operators.operator import Operator
from spacecut.operators.weights import LEAKY_SLOPE, node_weights, norm_weights, prelu_slopes

__all__ = ["build_onnx"]

OPSET = 17
IR_VERSION = 9


def build_onnx(network: Network, batch: int = 1, *, native_hardswish: bool = True) -> bytes:
    """Serialise a network as an ONNX model with fixed weights.

    The one input, ``input``, is ``[batch, channels, height, width]`` in float32. Every ONNX node and tensor that
    belongs to node ``i`` of the network has a name that begins with ``n{i}.``, so that times which a runtime reports
    for its own, fused nodes can be told to belong to ``i``. The output is ``n{network.output}.out``:
    ``[batch, channels, height, width]``, or ``[batch, channels]`` behind a linear layer.

    Args:
        network: The network.
        batch: How many inputs at once.
        native_hardswish: Whether a hardswish is one HardSwish node, which OpenVINO has a kernel for, or a HardSigmoid
            and a Mul. ONNX Runtime splits the node into these two by itself, at the same cost, but drops its name.

    Returns:
        The model: opset 17, IR version 9.

    Raises:
        InputError: An operator of the network does nothing.
    """
    graph = _Graph(network, batch, native_hardswish)
    for number in range(len(network.nodes)):
        graph.add(number)
    output = helper.make_tensor_value_info(f"n{network.output}.out", TensorProto.FLOAT, graph.shape(network.output))
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, graph.shape(INPUT))]
    body = helper.make_graph(graph.nodes, "spacecut", inputs, [output], graph.constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, producer_name="spacecut", opset_imports=opsets, ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


_FLAT = ("activation", "add", "batch_norm", "scale")
"""Kinds that leave what is flat flat."""


class _Graph:
    """The ONNX nodes and constants of a network, written one operator after the other.

    A value behind a linear layer is flat, ``[batch, channels]``; every other has four dimensions.
    """

    def __init__(self, network: Network, batch: int, native_hardswish: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.number = 0
        self.native_hardswish = native_hardswish
        self._network = network
        self.batch = batch
        self._flat: set[int] = set()

    def add(self, number: int) -> None:
        """Write one node of the network; its last ONNX node gives ``n{number}.out``."""
        self.number = number
        node = self._network.nodes[number]
        flat = self._is_flat(node)
        if flat:
            self._flat.add(number)
        sources = [self._read(node, place, flat) for place in range(len(node.inputs))]
        if _WRITERS[node.operator.kind](self, node.operator, sources) in sources:
            raise InputError(f"{node.operator}: it does nothing; leave it out of the network")
        self.nodes[-1].output[0] = f"n{number}.out"

    def weights(self) -> tuple[Affine, ...]:
        """The weights of this node."""
        return node_weights(self._network.nodes[self.number], self.number)

    def slopes(self) -> str:
        """Append the slopes of this node's PReLU, one a channel."""
        slopes = prelu_slopes(self._network.nodes[self.number].operator, self.number)
        return self.constant("slopes", slopes if self.number in self._flat else slopes[:, None, None])

    @property
    def start(self) -> int:
        """The first channel of the slice being written."""
        return self._network.slice_starts[self.number]

    def shape(self, source: int) -> list[int]:
        """Shape of the network's input or of a node's output."""
        if source == INPUT:
            return [self.batch, *self._network.input_shape]
        shape = self._network.shape(source)
        return [self.batch, shape[0]] if source in self._flat else [self.batch, *shape]

    def emit(self, kind: str, *inputs: str, label: str = "", **attributes: Any) -> str:
        """Append an ONNX node and return the name of its output."""
        name = f"n{self.number}.{label or kind.lower()}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    def constant(self, label: str, values: np.ndarray) -> str:
        """Append an initializer and return its name."""
        name = f"n{self.number}.{label}"
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        self.constants.append(TensorProto(name=name, data_type=kind, dims=values.shape, raw_data=values.tobytes()))
        return name

    def _is_flat(self, node: Node) -> bool:
        """Whether a node reads and gives flat values."""
        if node.operator.kind in _FLAT:
            return all(source in self._flat for source in node.inputs)
        return node.operator.kind == "linear"

    def _read(self, node: Node, place: int, flat: bool) -> str:
        """The tensor at one of a node's inputs, flat or with four dimensions."""
        source, shape = node.inputs[place], (self.batch, *node.operator.input_shape)
        if node.operator.kind == "concat" and source != ZERO:  # its inputs may differ
            shape = (self.batch, *self._network.shape(source))
        if source == ZERO:
            name = self.constant(f"zero{place}", np.zeros(shape, np.float32))
        else:
            name = "input" if source == INPUT else f"n{source}.out"
        if flat == (source in self._flat):
            return name
        if flat:
            return self.emit("Flatten", name, label=f"flatten{place}")
        return self.emit(
            "Reshape", name, self.constant(f"shape{place}", np.asarray(shape, np.int64)), label=f"reshape{place}"
        )


def _conv2d(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    ((kernel, bias),) = graph.weights()
    groups = operator.in_channels // kernel.shape[1]
    weights = graph.constant("weight", kernel), graph.constant("bias", bias)
    out = graph.emit("Conv", *sources, *weights, group=groups, **_window(operator))
    return _activate(graph, operator.activation, out)


def _linear(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    ((matrix, bias),) = graph.weights()
    weights = graph.constant("weight", matrix), graph.constant("bias", bias)
    out = graph.emit("Gemm", *sources, *weights, transB=1)
    return _activate(graph, operator.activation, out)


def _max_pool2d(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("MaxPool", *sources, **_window(operator))


def _avg_pool2d(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("AveragePool", *sources, count_include_pad=0, **_window(operator))


def _global_avg_pool(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("GlobalAveragePool", *sources)


def _activation(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return _activate(graph, operator.activation, sources[0])


def _squeeze_excite(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    (down, down_bias), (up, up_bias) = graph.weights()
    pooled = graph.emit("GlobalAveragePool", *sources, label="pool")
    weights = graph.constant("reduce_weight", down), graph.constant("reduce_bias", down_bias)
    inner = graph.emit("Relu", graph.emit("Conv", pooled, *weights, label="reduce"), label="reduce_relu")
    weights = graph.constant("expand_weight", up), graph.constant("expand_bias", up_bias)
    gate = _activate(graph, operator.activation, graph.emit("Conv", inner, *weights, label="expand"))
    return graph.emit("Mul", *sources, gate, label="scale")


def _add(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    total = sources[0]
    for place, source in enumerate(sources[1:], 1):
        total = graph.emit("Add", total, source, label=f"add{place}")
    return _activate(graph, operator.activation, total)


def _stack_sum(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    axis = graph.constant("axis", np.asarray([0], np.int64))
    stacked = [graph.emit("Unsqueeze", source, axis, label=f"unsqueeze{n}") for n, source in enumerate(sources)]
    return graph.emit("ReduceSum", graph.emit("Concat", *stacked, axis=0), axis, keepdims=0)


def _concat(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("Concat", *sources, axis=1)


def _batch_norm(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    names = ("scale", "shift", "mean", "variance")
    statistics = [graph.constant(n, v) for n, v in zip(names, norm_weights(operator, graph.number), strict=True)]
    return graph.emit("BatchNormalization", *sources, *statistics)


def _scale(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("Mul", *sources, graph.constant("factor", np.asarray(0.5, np.float32)))


def _shift(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    pads = graph.constant("pads", np.asarray([0, 0, 0, 0, 0, 0, 1, 1], np.int64))
    ends = graph.constant("ends", np.asarray([operator.height + 1, operator.width + 1], np.int64))
    one, axes = np.asarray([1, 1], np.int64), graph.constant("axes", np.asarray([2, 3], np.int64))
    return graph.emit("Slice", graph.emit("Pad", *sources, pads), graph.constant("starts", one), ends, axes)


def _channel_shuffle(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    whole = [graph.batch, *operator.input_shape]
    apart = [graph.batch, operator.in_channels // operator.groups, operator.groups, operator.height * operator.width]
    shapes = [
        graph.constant(label, np.asarray(shape, np.int64)) for label, shape in (("apart", apart), ("back", whole))
    ]
    turned = graph.emit("Transpose", graph.emit("Reshape", *sources, shapes[0], label="split"), perm=[0, 2, 1, 3])
    return graph.emit("Reshape", turned, shapes[1], label="join")


def _channel_slice(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    bounds = {"starts": graph.start, "ends": graph.start + operator.out_channels, "axes": 1}
    return graph.emit("Slice", *sources, *(graph.constant(n, np.asarray([v], np.int64)) for n, v in bounds.items()))


def _window(operator: Operator) -> dict[str, Any]:
    """Attributes of a sliding window; an even kernel is padded one less at the start, to keep ceil(size / stride)."""
    whole = (operator.kernel - 1) * operator.dilation
    before, after = whole // 2, whole - whole // 2
    attributes: dict[str, Any] = {
        "kernel_shape": [operator.kernel] * 2,
        "strides": [operator.stride] * 2,
        "pads": [before, before, after, after],
    }
    return attributes if operator.dilation == 1 else {**attributes, "dilations": [operator.dilation] * 2}


def _activate(graph: _Graph, activation: str, source: str) -> str:
    """Append an activation; ``none`` appends nothing."""
    match activation:
        case "none":
            return source
        case "relu6":
            bounds = graph.constant("min", np.asarray(0, np.float32)), graph.constant("max", np.asarray(6, np.float32))
            return graph.emit("Clip", source, *bounds)
        case "swish":
            return graph.emit("Mul", source, graph.emit("Sigmoid", source))
        case "hardswish" if not graph.native_hardswish:
            return graph.emit("Mul", source, _activate(graph, "hardsigmoid", source))
        case "hardsigmoid":
            return graph.emit("HardSigmoid", source, alpha=1 / 6, beta=0.5)
        case "leaky_relu":
            return graph.emit("LeakyRelu", source, alpha=LEAKY_SLOPE)
        case "prelu":
            return graph.emit("PRelu", source, graph.slopes())
        case _:
            return graph.emit(_PLAIN_ACTIVATIONS[activation], source)


_PLAIN_ACTIVATIONS = {"relu": "Relu", "hardswish": "HardSwish", "sigmoid": "Sigmoid"}

_WRITERS: dict[str, Callable[[_Graph, Operator, Sequence[str]], str]] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _conv2d,
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "global_avg_pool": _global_avg_pool,
    "activation": _activation,
    "squeeze_excite": _squeeze_excite,
    "add": _add,
    "stack_sum": _stack_sum,
    "concat": _concat,
    "batch_norm": _batch_norm,
    "scale": _scale,
    "shift": _shift,
    "channel_shuffle": _channel_shuffle,
    "channel_slice": _channel_slice,
}
