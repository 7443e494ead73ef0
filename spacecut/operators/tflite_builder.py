"""A concrete network as a TFLite model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spacecut.errors import InputError, PlatformUnavailable
from spacecut.operators.network import INPUT, ZERO, Affine, Network, Node
from spacecut.operators.operator import Operator
from spacecut.operators.weights import LEAKY_SLOPE, node_weights, norm_weights, prelu_slopes

__all__ = ["build_tflite"]

SCHEMA_VERSION = 3
ALIGNMENT = 16
_GROUPED_CONV_VERSION = 6
_KEEP_DIMS_VERSION = 5


def build_tflite(network: Network, batch: int = 1) -> bytes:
    """Serialise a network as a TFLite model with the weights of its ONNX model.

    Input and output are ``[batch, height, width, channels]`` in float32, also behind a linear layer. The one
    signature, ``serving_default``, calls them ``input`` and ``output``. Tensors of node ``i`` have names that begin
    with ``n{i}.``.

    Windows are padded as TFLite's ``SAME`` does, for that is what real TFLite models have. At stride 1, and on odd
    sizes with odd kernels, this is the padding of the ONNX model. At stride 2 on even sizes it is one less at the
    start, which changes the output's values, not its shape nor its cost.

    Args:
        network: The network.
        batch: How many inputs at once.

    Returns:
        The model.

    Raises:
        InputError: An operator of the network does nothing.
        PlatformUnavailable: ``ai-edge-litert`` or ``flatbuffers`` is not installed.
    """
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise PlatformUnavailable(f"TFLite models cannot be built ({error}); install ai-edge-litert") from None
    graph = _Graph(schema, network, batch)
    for number in range(len(network.nodes)):
        graph.add(number)
    builder = flatbuffers.Builder(graph.size)
    builder.Finish(graph.model().Pack(builder), b"TFL3")
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


class _Buffer:
    """The data of a constant tensor: aligned as the schema demands and copied once, unlike the generated packer's."""

    def __init__(self, schema: Any, values: np.ndarray | None) -> None:
        self._schema = schema
        self._data = None if values is None else np.ascontiguousarray(values).reshape(-1).view(np.uint8)

    @property
    def size(self) -> int:
        """Bytes, alignment included."""
        return 0 if self._data is None else self._data.size + ALIGNMENT

    def Pack(self, builder: Any) -> int:
        """Write the buffer; the generated code calls it by this name."""
        vector = 0 if self._data is None else _write_bytes(builder, self._data)
        self._schema.BufferStart(builder)
        self._schema.BufferAddData(builder, vector)
        return int(self._schema.BufferEnd(builder))


def _write_bytes(builder: Any, data: np.ndarray) -> int:
    """Append an aligned vector of bytes."""
    builder.StartVector(1, data.size, ALIGNMENT)
    end = builder.head
    builder.head = end - data.size
    memoryview(builder.Bytes)[builder.head : end] = data.data
    return int(builder.EndVector())


class _Graph:
    """The TFLite operators and tensors of a network, written one operator after the other."""

    def __init__(self, schema: Any, network: Network, batch: int) -> None:
        self.number = 0
        self._schema = schema
        self._network = network
        self._batch = batch
        self._buffers = [_Buffer(schema, None)]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[tuple[str, int], int] = {}
        self._shared: dict[str, int] = {}
        self._values = {INPUT: self._tensor("input", self.shape(network.input_shape))}

    @property
    def size(self) -> int:
        """About how many bytes the model has."""
        return sum(buffer.size for buffer in self._buffers) + 512 * (len(self._tensors) + 4)

    def add(self, number: int) -> None:
        """Write one node of the network; its last tensor is called ``n{number}.out``."""
        self.number = number
        node = self._network.nodes[number]
        sources = [self._read(node, source) for source in node.inputs]
        value = _WRITERS[node.operator.kind](self, node.operator, sources)
        if value in sources:
            raise InputError(f"{node.operator}: it does nothing; leave it out of the network")
        self._tensors[value].name = f"n{number}.out"
        self._values[number] = value

    @property
    def start(self) -> int:
        """The first channel of the slice being written."""
        return self._network.slice_starts[self.number]

    def shape(self, shape: tuple[int, int, int]) -> list[int]:
        """Channels, height, width as a TFLite shape."""
        channels, height, width = shape
        return [self._batch, height, width, channels]

    def shape_of(self, tensor: int) -> list[int]:
        """The TFLite shape of a tensor."""
        return [int(size) for size in self._tensors[tensor].shape]

    def emit(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: str = "",
        *,
        label: str = "",
        version: int = 1,
        **fields: Any,
    ) -> int:
        """Append a TFLite operator and return its output tensor.

        Args:
            kind: Name of the builtin operator.
            inputs: Tensors that it reads.
            shape: TFLite shape of its output.
            options: Name of its table of options; none for an operator without.
            label: What its output is called; the operator's kind where it is not given.
            version: Of the operator.
            fields: Its options.
        """
        schema = self._schema
        output = self._tensor(f"n{self.number}.{label or kind.lower()}", shape)
        operator = schema.OperatorT(
            opcodeIndex=self._codes.setdefault((kind, version), len(self._codes)),
            inputs=np.asarray(inputs, np.int32),
            outputs=np.asarray([output], np.int32),
        )
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")(**fields)
        self._operators.append(operator)
        return output

    def constant(self, label: str, values: np.ndarray) -> int:
        """A constant tensor of this node."""
        return self._tensor(f"n{self.number}.{label}", values.shape, values)

    def shared(self, name: str, values: np.ndarray) -> int:
        """A constant tensor that is there once for all who ask for its name."""
        if name not in self._shared:
            self._shared[name] = self._tensor(name, values.shape, values)
        return self._shared[name]

    def weights(self) -> tuple[Affine, ...]:
        """The weights of this node."""
        return node_weights(self._network.nodes[self.number], self.number)

    def slopes(self) -> int:
        """The slopes of this node's PReLU, one a channel."""
        slopes = prelu_slopes(self._network.nodes[self.number].operator, self.number)
        return self.constant("slopes", slopes[None, None])

    def fused(self, activation: str) -> int:
        """Code of an activation that TFLite fuses into an operator; the code of none for the others."""
        names = {"relu": "RELU", "relu6": "RELU6"}
        return int(getattr(self._schema.ActivationFunctionType, names.get(activation, "NONE")))

    def dilated(self, operator: Operator) -> dict[str, Any]:
        """Options of a convolution's sliding window."""
        return {
            **self.window(operator),
            "dilationWFactor": operator.dilation,
            "dilationHFactor": operator.dilation,
        }

    def window(self, operator: Operator) -> dict[str, Any]:
        """Options of a sliding window."""
        return {"padding": self._schema.Padding.SAME, "strideW": operator.stride, "strideH": operator.stride}

    def model(self) -> Any:
        """The whole model for the generated packer."""
        schema = self._schema
        inputs, outputs = self._values[INPUT], self._values[self._network.output]
        subgraph = schema.SubGraphT(
            tensors=self._tensors,
            inputs=np.asarray([inputs], np.int32),
            outputs=np.asarray([outputs], np.int32),
            operators=self._operators,
            name="main",
        )
        signature = schema.SignatureDefT(
            inputs=[schema.TensorMapT("input", inputs)],
            outputs=[schema.TensorMapT("output", outputs)],
            signatureKey="serving_default",
        )
        return schema.ModelT(
            version=SCHEMA_VERSION,
            operatorCodes=[self._code(*code) for code in self._codes],
            subgraphs=[subgraph],
            description="spacecut",
            buffers=self._buffers,
            signatureDefs=[signature],
        )

    def _code(self, kind: str, version: int) -> Any:
        code = getattr(self._schema.BuiltinOperator, kind)
        return self._schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=version)

    def _tensor(self, name: str, shape: Sequence[int], values: np.ndarray | None = None) -> int:
        kinds = self._schema.TensorType
        integers = values is not None and values.dtype == np.int32
        tensor = self._schema.TensorT(
            shape=np.asarray(shape, np.int32), type=kinds.INT32 if integers else kinds.FLOAT32, name=name
        )
        if values is not None:
            tensor.buffer = len(self._buffers)
            self._buffers.append(_Buffer(self._schema, values))
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _read(self, node: Node, source: int) -> int:
        if source == ZERO:
            zeros = np.zeros(self.shape(node.operator.input_shape), np.float32)
            return self.shared(f"n{self.number}.zero", zeros)
        return self._values[source]


def _conv2d(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    ((kernel, bias),) = graph.weights()
    weights = graph.constant("weight", kernel.transpose(0, 2, 3, 1)), graph.constant("bias", bias)
    out = graph.emit(
        "CONV_2D",
        (*sources, *weights),
        graph.shape(operator.output_shape),
        "Conv2DOptions",
        version=_GROUPED_CONV_VERSION if operator.groups > 1 else 1,
        fusedActivationFunction=graph.fused(operator.activation),
        **graph.dilated(operator),
    )
    return _activate_unfused(graph, operator.activation, out)


def _depthwise_conv2d(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    ((kernel, bias),) = graph.weights()
    weights = graph.constant("weight", kernel.transpose(1, 2, 3, 0)), graph.constant("bias", bias)
    out = graph.emit(
        "DEPTHWISE_CONV_2D",
        (*sources, *weights),
        graph.shape(operator.output_shape),
        "DepthwiseConv2DOptions",
        depthMultiplier=1,
        fusedActivationFunction=graph.fused(operator.activation),
        **graph.dilated(operator),
    )
    return _activate_unfused(graph, operator.activation, out)


def _linear(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    ((matrix, bias),) = graph.weights()
    source, (_, height, width, channels) = sources[0], graph.shape_of(sources[0])
    if height * width > 1:
        matrix = matrix.reshape(-1, channels, height * width).transpose(0, 2, 1).reshape(matrix.shape)
        source = _reshape(graph, source, "sizes", graph.shape(operator.input_shape))
    out = graph.emit(
        "FULLY_CONNECTED",
        (source, graph.constant("weight", matrix), graph.constant("bias", bias)),
        graph.shape(operator.output_shape),
        "FullyConnectedOptions",
        version=_KEEP_DIMS_VERSION,
        keepNumDims=True,
        fusedActivationFunction=graph.fused(operator.activation),
    )
    return _activate_unfused(graph, operator.activation, out)


def _pool2d(kind: str, graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    return graph.emit(
        kind,
        sources,
        graph.shape(operator.output_shape),
        "Pool2DOptions",
        filterWidth=operator.kernel,
        filterHeight=operator.kernel,
        **graph.window(operator),
    )


def _max_pool2d(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _pool2d("MAX_POOL_2D", graph, operator, sources)


def _avg_pool2d(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _pool2d("AVERAGE_POOL_2D", graph, operator, sources)


def _global_avg_pool(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    axes = graph.shared("axes", np.asarray([1, 2], np.int32))
    shape = graph.shape((operator.in_channels, 1, 1))
    return graph.emit("MEAN", (*sources, axes), shape, "ReducerOptions", keepDims=True)


def _activation(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _activate(graph, operator.activation, sources[0])


def _squeeze_excite(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    down, up = graph.weights()
    inner = _dense(graph, _global_avg_pool(graph, operator, sources), "reduce", down, "relu")
    outer = _dense(graph, inner, "expand", up, operator.activation)
    gate = _activate_unfused(graph, operator.activation, outer)
    return graph.emit("MUL", (*sources, gate), graph.shape(operator.output_shape), "MulOptions")


def _dense(graph: _Graph, source: int, label: str, affine: Affine, activation: str) -> int:
    """A 1x1 convolution of a single pixel."""
    kernel, bias = affine
    weights = graph.constant(f"{label}_weight", kernel.transpose(0, 2, 3, 1)), graph.constant(f"{label}_bias", bias)
    return graph.emit(
        "CONV_2D",
        (source, *weights),
        graph.shape((len(bias), 1, 1)),
        "Conv2DOptions",
        label=label,
        strideW=1,
        strideH=1,
        fusedActivationFunction=graph.fused(activation),
    )


def _add(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    total, shape = sources[0], graph.shape(operator.output_shape)
    for place, source in enumerate(sources[1:], 1):
        fused = graph.fused(operator.activation if place == len(sources) - 1 else "none")
        total = graph.emit(
            "ADD", (total, source), shape, "AddOptions", label=f"add{place}", fusedActivationFunction=fused
        )
    activate = _activate_unfused if len(sources) > 1 else _activate
    return activate(graph, operator.activation, total)


def _stack_sum(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    shape = graph.shape(operator.output_shape)
    stacked = graph.emit("PACK", sources, [len(sources), *shape], "PackOptions", valuesCount=len(sources), axis=0)
    axis = graph.shared("axis", np.asarray([0], np.int32))
    return graph.emit("SUM", (stacked, axis), shape, "ReducerOptions", keepDims=False)


def _concat(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    shape = graph.shape(operator.output_shape)
    return graph.emit("CONCATENATION", sources, shape, "ConcatenationOptions", axis=3)


def _batch_norm(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    scale, shift, mean, variance = norm_weights(operator, graph.number)
    factor = scale / np.sqrt(variance + np.float32(1e-5))
    shape = graph.shape(operator.output_shape)
    scaled = graph.emit("MUL", (*sources, graph.constant("factor", factor)), shape, "MulOptions")
    return graph.emit("ADD", (scaled, graph.constant("shift", shift - mean * factor)), shape, "AddOptions")


def _scale(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    factor = graph.shared("half", np.asarray(0.5, np.float32))
    return graph.emit("MUL", (*sources, factor), graph.shape(operator.output_shape), "MulOptions")


def _shift(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    pads = graph.shared("one_behind", np.asarray([[0, 0], [0, 1], [0, 1], [0, 0]], np.int32))
    _, height, width = operator.input_shape
    padded = graph.emit(
        "PAD", (*sources, pads), graph.shape((operator.in_channels, height + 1, width + 1)), "PadOptions"
    )
    return _cut(graph, padded, [0, 1, 1, 0], operator)


def _cut(graph: _Graph, source: int, begin: Sequence[int], operator: Operator) -> int:
    """What of a tensor begins at a place and has the operator's output shape."""
    shape = graph.shape(operator.output_shape)
    places = graph.constant("begin", np.asarray(begin, np.int32)), graph.constant("size", np.asarray(shape, np.int32))
    return graph.emit("SLICE", (source, *places), shape, "SliceOptions")


def _channel_shuffle(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    whole = graph.shape(operator.output_shape)
    apart = [*whole[:3], operator.in_channels // operator.groups, operator.groups]
    turned = [*apart[:3], *apart[:2:-1]]
    order = graph.shared("groups_first", np.asarray([0, 1, 2, 4, 3], np.int32))
    split = _reshape(graph, sources[0], "apart", apart)
    return _reshape(graph, graph.emit("TRANSPOSE", (split, order), turned, "TransposeOptions"), "back", whole)


def _channel_slice(graph: _Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _cut(graph, sources[0], [0, 0, 0, graph.start], operator)


def _reshape(graph: _Graph, source: int, label: str, shape: Sequence[int]) -> int:
    sizes = np.asarray(shape, np.int32)
    return graph.emit(
        "RESHAPE", (source, graph.constant(label, sizes)), shape, "ReshapeOptions", label=f"{label}_out", newShape=sizes
    )


def _activate_unfused(graph: _Graph, activation: str, source: int) -> int:
    """Append an activation unless the operator before it has it fused."""
    return source if graph.fused(activation) else _activate(graph, activation, source)


def _activate(graph: _Graph, activation: str, source: int) -> int:
    """Append an activation; ``none`` appends nothing."""
    shape = graph.shape_of(source)
    match activation:
        case "none":
            return source
        case "swish":
            return graph.emit("MUL", (source, graph.emit("LOGISTIC", (source,), shape)), shape, "MulOptions")
        case "hardsigmoid":
            three = graph.shared("three", np.asarray(3, np.float32))
            sixth = graph.shared("sixth", np.asarray(1 / 6, np.float32))
            relu6 = graph.fused("relu6")
            clipped = graph.emit(
                "ADD", (source, three), shape, "AddOptions", label="shift", fusedActivationFunction=relu6
            )
            return graph.emit("MUL", (clipped, sixth), shape, "MulOptions", label="scale")
        case "leaky_relu":
            return graph.emit("LEAKY_RELU", (source,), shape, "LeakyReluOptions", alpha=LEAKY_SLOPE)
        case "prelu":
            return graph.emit("PRELU", (source, graph.slopes()), shape)
        case _:
            kinds = {"relu": "RELU", "relu6": "RELU6", "hardswish": "HARD_SWISH", "sigmoid": "LOGISTIC"}
            return graph.emit(kinds[activation], (source,), shape)


_WRITERS: dict[str, Callable[[_Graph, Operator, Sequence[int]], int]] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
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
