"""A concrete network as an ncnn model: its param text, and its weights as bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from spacecut.errors import InputError
from spacecut.operators.network import INPUT, ZERO, Affine, Network, Node
from spacecut.operators.operator import FLAT, Operator
from spacecut.operators.weights import LEAKY_SLOPE, node_weights, norm_weights, prelu_slopes

__all__ = ["build_ncnn"]

_MAGIC = "7767517"
_RAW_FLOAT32 = bytes(4)  # the tag before weights that are not compressed
_FUSED = {
    "relu": "9=1",
    "leaky_relu": f"9=2 -23310=1,{LEAKY_SLOPE}",
    "relu6": "9=3 -23310=2,0.0,6.0",
    "sigmoid": "9=4",
    "hardswish": "9=6 -23310=2,0.16666667,0.5",
}
"""Activations that ncnn's optimiser fuses into a convolution or an inner product."""
_ALONE = {
    "relu": ("ReLU", ""),
    "leaky_relu": ("ReLU", f"0={LEAKY_SLOPE}"),
    "relu6": ("Clip", "0=0.0 1=6.0"),
    "sigmoid": ("Sigmoid", ""),
    "swish": ("Swish", ""),
    "hardswish": ("HardSwish", "0=0.16666667 1=0.5"),
    "hardsigmoid": ("HardSigmoid", "0=0.16666667 1=0.5"),
}


def build_ncnn(network: Network) -> tuple[str, bytes]:
    """Write a network as an ncnn model with the weights of its ONNX model.

    The one input, ``input``, is ``[channels, height, width]``; ncnn knows no batches. The output of node ``i`` is
    called ``n{i}.out``: ``[channels, height, width]``, or ``[channels]`` behind a linear layer or a global pooling.
    Windows are padded as in the ONNX model.

    Args:
        network: The network.

    Returns:
        The param file's text, and the bin file's bytes.

    Raises:
        InputError: An operator of the network does nothing.
    """
    graph = _Graph(network)
    for number in range(len(network.nodes)):
        graph.add(number)
    return graph.text(), b"".join(graph.weights)


class _Graph:
    """The ncnn layers of a network, written one operator after the other.

    Every blob of ncnn is read once: what several nodes read goes through a Split with a blob for each of them. A flat
    value has one dimension.
    """

    def __init__(self, network: Network) -> None:
        self.number = 0
        self.weights: list[bytes] = []
        self._layers: list[str] = []
        self._blobs = 0
        self._network = network
        self._reads = Counter(source for node in network.nodes for source in node.inputs)
        self._reads[network.output] += 1
        self._taken: Counter[int] = Counter()
        self._flat: set[int] = set()
        channels, height, width = network.input_shape
        self._layer("Input", "input", [], ["input"], f"0={width} 1={height} 2={channels}")
        self._split(INPUT)

    def add(self, number: int) -> None:
        """Write one node of the network; its last layer gives ``n{number}.out``."""
        self.number = number
        node = self._network.nodes[number]
        flat = node.operator.kind in FLAT or self._stays_flat(node)
        if flat:
            self._flat.add(number)
        sources = [self._read(node, place, flat) for place in range(len(node.inputs))]
        value = _WRITERS[node.operator.kind](self, node.operator, sources)
        if value in sources:
            raise InputError(f"{node.operator}: it does nothing; leave it out of the network")
        self._layers[-1] = self._layers[-1].replace(f" {value}", f" n{number}.out", 1)
        self._split(number)

    def emit(self, kind: str, sources: Sequence[str], parameters: str = "", *, label: str = "") -> str:
        """Append a layer and return the name of its output."""
        name = f"n{self.number}.{label or kind.lower()}"
        self._layer(kind, name, sources, [f"{name}.blob"], parameters)
        return f"{name}.blob"

    def affine(self, affine: Affine) -> int:
        """Append a kernel or matrix, and its bias; returns how many weights the former has."""
        kernel, bias = affine
        self.weights += [_RAW_FLOAT32, np.ascontiguousarray(kernel).tobytes(), bias.tobytes()]
        return int(kernel.size)

    def node_weights(self) -> tuple[Affine, ...]:
        """The weights of this node."""
        return node_weights(self._network.nodes[self.number], self.number)

    def slopes(self) -> int:
        """Append the slopes of this node's PReLU, one a channel; returns how many."""
        slopes = prelu_slopes(self._network.nodes[self.number].operator, self.number)
        self.weights.append(slopes.tobytes())
        return int(slopes.size)

    @property
    def start(self) -> int:
        """The first channel of the slice being written."""
        return self._network.slice_starts[self.number]

    def copies(self, source: str, count: int) -> list[str]:
        """Several readable blobs of one value of this node."""
        names = [f"{source}{place}" for place in range(count)]
        self._layer("Split", f"{source}.split", [source], names)
        return names

    def text(self) -> str:
        """The param file."""
        return "\n".join([_MAGIC, f"{len(self._layers)} {self._blobs}", *self._layers]) + "\n"

    def _layer(
        self, kind: str, name: str, sources: Sequence[str], outputs: Sequence[str], parameters: str = ""
    ) -> None:
        self._blobs += len(outputs)
        counts = f"{len(sources)} {len(outputs)}"
        self._layers.append(" ".join(filter(None, [kind, name, counts, *sources, *outputs, parameters])))

    def _stays_flat(self, node: Node) -> bool:
        return node.operator.kind in ("activation", "add") and all(source in self._flat for source in node.inputs)

    def _split(self, source: int) -> None:
        if self._reads[source] > 1:
            name = _name(source)
            self._layer("Split", f"{name}.split", [name], [f"{name}{place}" for place in range(self._reads[source])])

    def _read(self, node: Node, place: int, flat: bool) -> str:
        """The blob at one of a node's inputs; an inner product and a pooling flatten by themselves."""
        source = node.inputs[place]
        channels, height, width = node.operator.input_shape if source == ZERO else self._network.shape(source)
        if source == ZERO:
            self.weights.append(np.zeros(channels * height * width, np.float32).tobytes())
            return self.emit("MemoryData", [], f"0={width} 1={height} 2={channels}", label=f"zero{place}")
        name = _name(source)
        if self._reads[source] > 1:
            name += str(self._taken[source])
            self._taken[source] += 1
        if source in self._flat and not flat:
            return self.emit("Reshape", [name], f"0={width} 1={height} 2={channels}", label=f"reshape{place}")
        return name


def _name(source: int) -> str:
    return "input" if source == INPUT else f"n{source}.out"


def _conv2d(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    ((kernel, bias),) = graph.node_weights()
    groups = operator.in_channels // kernel.shape[1]
    before, after = _pads(operator)
    parameters = (
        f"0={operator.out_channels} 1={operator.kernel} 2={operator.dilation} 3={operator.stride} 4={before} "
        f"14={before} 15={after} 16={after} 5=1 6={graph.affine((kernel, bias))}{_fused(operator.activation)}"
    )
    if groups == 1:
        out = graph.emit("Convolution", sources, parameters)
    else:
        out = graph.emit("ConvolutionDepthWise", sources, f"{parameters} 7={groups}")
    return _activate_unfused(graph, operator.activation, out)


def _linear(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    count = graph.affine(*graph.node_weights())
    parameters = f"0={operator.out_channels} 1=1 2={count}{_fused(operator.activation)}"
    return _activate_unfused(graph, operator.activation, graph.emit("InnerProduct", sources, parameters))


def _pool2d(kind: int, graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    before, after = _pads(operator)
    window = f"1={operator.kernel} 2={operator.stride} 3={before} 13={before} 14={after} 15={after}"
    return graph.emit("Pooling", sources, f"0={kind} {window} 5=1")


def _max_pool2d(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return _pool2d(0, graph, operator, sources)


def _avg_pool2d(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return _pool2d(1, graph, operator, sources)


def _global_avg_pool(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("Pooling", sources, "0=1 4=1", label="pool")


def _activation(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return _activate(graph, operator.activation, sources[0])


def _squeeze_excite(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    down, up = graph.node_weights()
    whole, squeezed = graph.copies(sources[0], 2)
    pooled = graph.emit("Pooling", [squeezed], "0=1 4=1", label="pool")
    inner = _dense(graph, pooled, "reduce", down, "relu")
    gate = _dense(graph, inner, "expand", up, operator.activation)
    return graph.emit("BinaryOp", [whole, gate], "0=2", label="scale")


def _dense(graph: _Graph, source: str, label: str, affine: Affine, activation: str) -> str:
    """A 1x1 convolution of a single pixel, which is an inner product of a flat value."""
    parameters = f"0={len(affine[1])} 1=1 2={graph.affine(affine)}{_fused(activation)}"
    return _activate_unfused(graph, activation, graph.emit("InnerProduct", [source], parameters, label=label))


def _add(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    total = sources[0]
    for place, source in enumerate(sources[1:], 1):
        total = graph.emit("BinaryOp", [total, source], "0=0", label=f"add{place}")
    return _activate(graph, operator.activation, total)


def _stack_sum(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return _add(graph, operator, sources) if len(sources) > 1 else graph.emit("Noop", sources, "")


def _concat(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("Concat", sources, "0=0")


def _batch_norm(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    scale, shift, mean, variance = norm_weights(operator, graph.number)
    graph.weights += [values.tobytes() for values in (scale, mean, variance, shift)]
    return graph.emit("BatchNorm", sources, f"0={operator.in_channels} 1=1e-5")


def _scale(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("BinaryOp", sources, "0=2 1=1 2=0.5")


def _shift(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    padded = graph.emit("Padding", sources, "0=0 1=1 2=0 3=1 4=0 5=0.0")
    return graph.emit("Crop", [padded], f"0=1 1=1 2=0 {_cropped(operator)}")


def _channel_shuffle(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("ShuffleChannel", sources, f"0={operator.groups} 1=1")


def _channel_slice(graph: _Graph, operator: Operator, sources: Sequence[str]) -> str:
    return graph.emit("Crop", sources, f"0=0 1=0 2={graph.start} {_cropped(operator)}")


def _cropped(operator: Operator) -> str:
    """The size that a crop leaves."""
    channels, height, width = operator.output_shape
    return f"3={width} 4={height} 5={channels}"


def _pads(operator: Operator) -> tuple[int, int]:
    """Padding before and after; an even kernel is padded one less at the start, to keep ceil(size / stride)."""
    whole = (operator.kernel - 1) * operator.dilation
    return whole // 2, whole - whole // 2


def _fused(activation: str) -> str:
    """The parameters of an activation that ncnn fuses into a layer of weights; none for the others."""
    return f" {_FUSED[activation]}" if activation in _FUSED else ""


def _activate_unfused(graph: _Graph, activation: str, source: str) -> str:
    """Append an activation unless the layer before it has it fused."""
    return source if activation in _FUSED else _activate(graph, activation, source)


def _activate(graph: _Graph, activation: str, source: str) -> str:
    """Append an activation; ``none`` appends nothing."""
    if activation == "none":
        return source
    if activation == "prelu":
        return graph.emit("PReLU", [source], f"0={graph.slopes()}", label=activation)
    kind, parameters = _ALONE[activation]
    return graph.emit(kind, [source], parameters, label=activation)


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
