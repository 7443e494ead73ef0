"""A concrete network as a TFLite model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.errors import PlatformUnavailable
from spacecut.operators.network import Affine, Network
from spacecut.operators.operator import Operator
from spacecut.operators.tflite_graph import Graph, Writer
from spacecut.operators.weights import LEAKY_SLOPE, norm_weights

__all__ = ["build_tflite"]

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
    graph = Graph(schema, network, batch)
    for number, node in enumerate(network.nodes):
        graph.add(number, _WRITERS[node.operator.kind])
    builder = flatbuffers.Builder(graph.size)
    builder.Finish(graph.model().Pack(builder), b"TFL3")
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def _conv2d(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
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


def _depthwise_conv2d(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
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


def _linear(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
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


def _pool2d(kind: str, graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    return graph.emit(
        kind,
        sources,
        graph.shape(operator.output_shape),
        "Pool2DOptions",
        filterWidth=operator.kernel,
        filterHeight=operator.kernel,
        **graph.window(operator),
    )


def _max_pool2d(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _pool2d("MAX_POOL_2D", graph, operator, sources)


def _avg_pool2d(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _pool2d("AVERAGE_POOL_2D", graph, operator, sources)


def _global_avg_pool(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    axes = graph.shared("axes", np.asarray([1, 2], np.int32))
    shape = graph.shape((operator.in_channels, 1, 1))
    return graph.emit("MEAN", (*sources, axes), shape, "ReducerOptions", keepDims=True)


def _activation(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _activate(graph, operator.activation, sources[0])


def _squeeze_excite(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    down, up = graph.weights()
    inner = _dense(graph, _global_avg_pool(graph, operator, sources), "reduce", down, "relu")
    outer = _dense(graph, inner, "expand", up, operator.activation)
    gate = _activate_unfused(graph, operator.activation, outer)
    return graph.emit("MUL", (*sources, gate), graph.shape(operator.output_shape), "MulOptions")


def _dense(graph: Graph, source: int, label: str, affine: Affine, activation: str) -> int:
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


def _add(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    total, shape = sources[0], graph.shape(operator.output_shape)
    for place, source in enumerate(sources[1:], 1):
        fused = graph.fused(operator.activation if place == len(sources) - 1 else "none")
        total = graph.emit(
            "ADD", (total, source), shape, "AddOptions", label=f"add{place}", fusedActivationFunction=fused
        )
    activate = _activate_unfused if len(sources) > 1 else _activate
    return activate(graph, operator.activation, total)


def _stack_sum(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    shape = graph.shape(operator.output_shape)
    stacked = graph.emit("PACK", sources, [len(sources), *shape], "PackOptions", valuesCount=len(sources), axis=0)
    axis = graph.shared("axis", np.asarray([0], np.int32))
    return graph.emit("SUM", (stacked, axis), shape, "ReducerOptions", keepDims=False)


def _concat(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    shape = graph.shape(operator.output_shape)
    return graph.emit("CONCATENATION", sources, shape, "ConcatenationOptions", axis=3)


def _batch_norm(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    scale, shift, mean, variance = norm_weights(operator, graph.number)
    factor = scale / np.sqrt(variance + np.float32(1e-5))
    shape = graph.shape(operator.output_shape)
    scaled = graph.emit("MUL", (*sources, graph.constant("factor", factor)), shape, "MulOptions")
    return graph.emit("ADD", (scaled, graph.constant("shift", shift - mean * factor)), shape, "AddOptions")


def _scale(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    factor = graph.shared("half", np.asarray(0.5, np.float32))
    return graph.emit("MUL", (*sources, factor), graph.shape(operator.output_shape), "MulOptions")


def _shift(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    pads = graph.shared("one_behind", np.asarray([[0, 0], [0, 1], [0, 1], [0, 0]], np.int32))
    _, height, width = operator.input_shape
    padded = graph.emit(
        "PAD", (*sources, pads), graph.shape((operator.in_channels, height + 1, width + 1)), "PadOptions"
    )
    return _cut(graph, padded, [0, 1, 1, 0], operator)


def _cut(graph: Graph, source: int, begin: Sequence[int], operator: Operator) -> int:
    """What of a tensor begins at a place and has the operator's output shape."""
    shape = graph.shape(operator.output_shape)
    places = graph.constant("begin", np.asarray(begin, np.int32)), graph.constant("size", np.asarray(shape, np.int32))
    return graph.emit("SLICE", (source, *places), shape, "SliceOptions")


def _channel_shuffle(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    whole = graph.shape(operator.output_shape)
    apart = [*whole[:3], operator.in_channels // operator.groups, operator.groups]
    turned = [*apart[:3], *apart[:2:-1]]
    order = graph.shared("groups_first", np.asarray([0, 1, 2, 4, 3], np.int32))
    split = _reshape(graph, sources[0], "apart", apart)
    return _reshape(graph, graph.emit("TRANSPOSE", (split, order), turned, "TransposeOptions"), "back", whole)


def _channel_slice(graph: Graph, operator: Operator, sources: Sequence[int]) -> int:
    return _cut(graph, sources[0], [0, 0, 0, graph.start], operator)


def _reshape(graph: Graph, source: int, label: str, shape: Sequence[int]) -> int:
    sizes = np.asarray(shape, np.int32)
    return graph.emit(
        "RESHAPE", (source, graph.constant(label, sizes)), shape, "ReshapeOptions", label=f"{label}_out", newShape=sizes
    )


def _activate_unfused(graph: Graph, activation: str, source: int) -> int:
    """Append an activation unless the operator before it has it fused."""
    return source if graph.fused(activation) else _activate(graph, activation, source)


def _activate(graph: Graph, activation: str, source: int) -> int:
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


_WRITERS: dict[str, Writer] = {
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
