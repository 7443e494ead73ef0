"""An ONNX model as a network of known operators.

The usual patterns are drawn together as runtimes fuse them: an activation behind its operator, batch norm into the
convolution, swish and hardswish from their parts, squeeze-and-excitation from pooling to the final product. What is no
known operator is refused by name. Weights come along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper, shape_inference

from spacecut.errors import InputError
from spacecut.operators.network import INPUT, Affine, Network, Node
from spacecut.operators.operator import LINEAR, Operator

__all__ = ["read_onnx"]

_ALIASES = ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")
_ACTIVATIONS = {
    "Relu": "relu", "Sigmoid": "sigmoid", "HardSigmoid": "hardsigmoid", "HardSwish": "hardswish",
    "LeakyRelu": "leaky_relu", "PRelu": "prelu",
}  # fmt: skip
_PRODUCTS = {"sigmoid": "swish", "hardsigmoid": "hardswish"}  # x * gate(x)
_FUSING = (*LINEAR, "add")


def read_onnx(model: str | Path | bytes) -> Network:
    """Read an ONNX model.

    Args:
        model: Path of the file, or its content.

    Raises:
        InputError: It is no ONNX model, has not one image input and one output, or holds an operator that spacecut
            does not know; the operator and node are named.
    """
    name = "the model" if isinstance(model, bytes) else str(model)
    try:
        content = model if isinstance(model, bytes) else Path(model).read_bytes()
        loaded = shape_inference.infer_shapes(onnx.load_from_string(content), data_prop=True)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}; give the path of an ONNX file") from None
    except (DecodeError, ValueError, shape_inference.InferenceError) as error:
        raise InputError(f"{name} is no ONNX model ({' '.join(str(error).split())[:120]})") from None
    if not loaded.graph.node:
        raise InputError(f"{name} is no ONNX model, or an empty one")
    try:
        return _Reader(loaded.graph).network()
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


class _Reader:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._shapes = {
            info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
            for info in (*graph.input, *graph.value_info, *graph.output)
        }
        self._uses = Counter(name for node in graph.node for name in node.input)
        self._uses.update(output.name for output in graph.output)
        self._nodes: list[Node] = []
        self._made: dict[str, int] = {}
        self._gates: dict[str, tuple[str, int, int]] = {}

    def network(self) -> Network:
        """The whole graph."""
        inputs = [info.name for info in self._graph.input if info.name not in self._constants]
        if len(inputs) != 1 or len(self._graph.output) != 1:
            raise InputError(f"it has {len(inputs)} inputs and {len(self._graph.output)} outputs; one of each is read")
        shape = self._shapes[inputs[0]]
        if len(shape) != 4 or min(shape[1:]) < 1:
            raise InputError(f"its input is {list(shape)}; an image [batch, channels, height, width] is read, fixed in"
                             " all but the batch")  # fmt: skip
        self._made[inputs[0]] = INPUT
        for node in self._graph.node:
            self._read(node)
        output = self._made.get(self._graph.output[0].name)
        if output is None or output == INPUT:
            raise InputError("its output comes of no operator")
        return self._compact(shape[1:], output)

    def _read(self, node: onnx.NodeProto) -> None:
        kind = node.op_type
        if kind == "Constant":
            (attribute,) = node.attribute
            if attribute.name == "value":
                self._constants[node.output[0]] = attribute.t
            return
        if all(name in self._constants for name in node.input):  # shape arithmetic and the like
            return
        if kind in _ALIASES:
            self._made[node.output[0]] = self._source(node, 0)
        elif kind in _ACTIVATIONS or kind == "Clip":
            self._activate(node, self._activation_of(node), self._source(node, 0), node.input[0])
        elif kind in _READERS:
            _READERS[kind](self, node)
        else:
            raise InputError(f"the operator {kind} of node {node.name or node.output[0]!r} is not known")

    def _refuse(self, node: onnx.NodeProto, problem: str) -> InputError:
        return InputError(f"{node.op_type} of node {node.name or node.output[0]!r}: {problem}")

    def _source(self, node: onnx.NodeProto, place: int) -> int:
        name = node.input[place]
        if name not in self._made:
            raise self._refuse(node, f"its input {name!r} comes of no known operator")
        return self._made[name]

    def _image(self, node: onnx.NodeProto) -> tuple[int, int, int]:
        """Channels, height, width of a node's first input; a flat one counts as one pixel."""
        shape = self._shapes.get(node.input[0], ())
        if len(shape) not in (2, 4) or min(shape[1:]) < 1:
            raise self._refuse(node, f"the shape {list(shape)} of its input is not fixed or no image's")
        channels, height, width = (*shape[1:], 1, 1)[:3]
        return channels, height, width

    def _put(self, node: onnx.NodeProto, operator: Operator, *sources: int, weights: tuple[Affine, ...] = ()) -> None:
        self._nodes.append(Node(operator, sources, weights))
        self._made[node.output[0]] = len(self._nodes) - 1

    def _activation_of(self, node: onnx.NodeProto) -> str:
        if node.op_type != "Clip":
            return _ACTIVATIONS[node.op_type]
        given = [self._constants.get(name) for name in node.input[1:3]]
        bounds = [None if tensor is None else float(numpy_helper.to_array(tensor)) for tensor in given]
        if not bounds:  # before opset 11
            attributes = _attributes(node)
            bounds = [attributes.get("min"), attributes.get("max")]
        if bounds == [0, 6]:
            return "relu6"
        if bounds in ([0], [0, None]):
            return "relu"
        raise self._refuse(node, f"it clips to {bounds}; 0 to 6 is known")

    def _activate(self, node: onnx.NodeProto, activation: str, source: int, tensor: str, readers: int = 1) -> None:
        """Fuse an activation into the operator that gives ``tensor`` if nothing but its ``readers`` nodes read that."""
        producer = self._nodes[source].operator if source >= 0 else None
        plain = producer is not None and producer.kind in _FUSING and producer.activation == "none"
        if producer is not None and plain and self._uses[tensor] == readers:
            self._nodes[source] = replace(self._nodes[source], operator=replace(producer, activation=activation))
            self._made[node.output[0]] = source
        else:
            channels, height, width = self._image(node)
            operator = Operator("activation", channels, height, width, channels, activation=activation)
            self._put(node, operator, source)

    def _conv(self, node: onnx.NodeProto) -> None:
        attributes = _attributes(node)
        channels, height, width = self._image(node)
        shape = tuple(self._constants[node.input[1]].dims) if node.input[1] in self._constants else ()
        if len(shape) != 4:
            raise self._refuse(node, "its weights are no constant of four dimensions")
        groups = int(attributes.get("group", 1))
        kernel, stride = self._window(node, attributes, shape[2:])
        if groups == channels == shape[0] and groups > 1:
            operator = Operator("depthwise_conv2d", channels, height, width, channels, kernel, stride)
        else:
            operator = Operator("conv2d", channels, height, width, shape[0], kernel, stride, groups)
        weights = ((self._array(node, 1), self._bias(node, shape[0])),)
        self._put(node, operator, self._source(node, 0), weights=weights)

    def _window(self, node: onnx.NodeProto, attributes: dict[str, Any], kernel: tuple[int, ...]) -> tuple[int, int]:
        strides = attributes.get("strides", [1, 1])
        if len(set(kernel)) != 1 or len(set(strides)) != 1 or set(attributes.get("dilations", [1])) != {1}:
            raise self._refuse(node, f"kernel {list(kernel)}, strides {list(strides)}: square ones undilated are known")
        _, height, width = self._image(node)
        output = self._shapes.get(node.output[0], ())
        if tuple(output[2:]) != (-(-height // strides[0]), -(-width // strides[0])):
            raise self._refuse(node, "its padding does not keep the size divided by the stride")
        return int(kernel[0]), int(strides[0])

    def _pool(self, node: onnx.NodeProto) -> None:
        attributes = _attributes(node)
        channels, height, width = self._image(node)
        kernel, stride = self._window(node, attributes, tuple(attributes["kernel_shape"]))
        kind = "max_pool2d" if node.op_type == "MaxPool" else "avg_pool2d"
        self._put(node, Operator(kind, channels, height, width, channels, kernel, stride), self._source(node, 0))

    def _global_pool(self, node: onnx.NodeProto) -> None:
        channels, height, width = self._image(node)
        if node.op_type == "ReduceMean":
            axes = _attributes(node).get("axes")
            if axes is None and len(node.input) > 1 and node.input[1] in self._constants:
                axes = numpy_helper.to_array(self._constants[node.input[1]]).tolist()
            if sorted(axis % 4 for axis in axes or ()) != [2, 3]:
                raise self._refuse(node, f"a mean over the axes {axes}; one over height and width is known")
        self._put(node, Operator("global_avg_pool", channels, height, width, channels), self._source(node, 0))

    def _linear(self, node: onnx.NodeProto) -> None:
        if node.input[1] not in self._constants:
            raise self._refuse(node, "its second factor is no constant")
        attributes = _attributes(node)
        matrix = self._array(node, 1) * np.float32(attributes.get("alpha", 1.0))
        matrix = matrix if attributes.get("transB") else matrix.T
        outputs, inputs = matrix.shape
        bias = self._bias(node, outputs) * np.float32(attributes.get("beta", 1.0))
        source = self._source(node, 0)
        self._put(node, Operator("linear", inputs, 1, 1, outputs), source, weights=((matrix, bias),))

    def _batch_norm(self, node: onnx.NodeProto) -> None:
        source = self._source(node, 0)
        kind = self._nodes[source].operator.kind if source >= 0 else "input"
        if kind not in LINEAR or self._uses[node.input[0]] > 1:
            raise self._refuse(node, f"it follows {kind}; behind a convolution it is known, folded into it")
        scale, shift, mean, variance = (self._array(node, place) for place in range(1, 5))
        factor = scale / np.sqrt(variance + np.float32(_attributes(node).get("epsilon", 1e-5)))
        for kernel, bias in self._nodes[source].weights:  # one or none
            scaled = kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))
            folded = ((scaled, (bias - mean) * factor + shift),)
            self._nodes[source] = replace(self._nodes[source], weights=folded)
        self._made[node.output[0]] = source

    def _sum(self, node: onnx.NodeProto) -> None:
        if any(name in self._constants for name in node.input):  # a bias
            (variable,) = (place for place, name in enumerate(node.input) if name not in self._constants)
            source = self._source(node, variable)
            if source < 0 or self._nodes[source].operator.kind not in LINEAR:
                raise self._refuse(node, "a constant added to what is no convolution or linear layer")
            self._nodes[source] = self._shifted(self._nodes[source], self._array(node, 1 - variable))
            self._made[node.output[0]] = source
            return
        channels, height, width = self._image(node)
        if any(self._shapes.get(name) != self._shapes.get(node.input[0]) for name in node.input):
            raise self._refuse(node, "its inputs differ in shape")
        sources: list[int] = []
        for place, name in enumerate(node.input):
            source = self._source(node, place)
            inner = self._nodes[source] if source >= 0 else None
            plain = inner is not None and inner.operator.kind == "add" and inner.operator.activation == "none"
            if inner is not None and plain and self._uses[name] == 1:
                sources += inner.inputs  # a chain of sums is one
            else:
                sources.append(source)
        self._put(node, Operator("add", channels, height, width, channels, inputs=len(sources)), *sources)

    def _product(self, node: onnx.NodeProto) -> None:
        """A gate times what it gates: swish, hardswish, or the end of a squeeze-and-excitation."""
        for value, gate in ((0, 1), (1, 0)):
            source, position = self._source(node, value), self._source(node, gate)
            inner = self._nodes[position] if position >= 0 else None
            if inner is None:
                continue
            product = _PRODUCTS.get(inner.operator.activation)
            if inner.operator.kind == "activation" and inner.inputs == (source,) and product is not None:
                self._activate(node, product, source, node.input[value], readers=2)
                return
            if self._is_gate(position, source):
                self._squeeze_excite(node, position, source)
                return
        raise self._refuse(node, "a product that is no swish, hardswish or squeeze-and-excitation")

    def _chain(self, position: int) -> list[int]:
        """The nodes of a gate, from pooling on, if it is one."""
        expand = position
        reduce = self._nodes[expand].inputs[0]
        pool = self._nodes[reduce].inputs[0] if reduce >= 0 else INPUT
        return [pool, reduce, expand] if pool >= 0 else []

    def _is_gate(self, position: int, source: int) -> bool:
        chain = self._chain(position)
        if not chain:
            return False
        kinds = [self._nodes[number].operator.kind for number in chain]
        return (
            kinds[0] == "global_avg_pool"
            and set(kinds[1:]) <= {"conv2d", "linear"}
            and self._nodes[chain[0]].inputs == (source,)
            and self._nodes[chain[1]].operator.activation == "relu"
            and self._nodes[chain[2]].operator.activation != "none"
        )

    def _squeeze_excite(self, node: onnx.NodeProto, position: int, source: int) -> None:
        pool, reduce, expand = (self._nodes[number].operator for number in self._chain(position))
        channels, height, width = pool.input_shape
        operator = Operator(
            "squeeze_excite", channels, height, width, channels,
            activation=expand.activation, reduced=reduce.out_channels,
        )  # fmt: skip
        matrices = [self._nodes[number].weights for number in self._chain(position)[1:]]
        weights = tuple((kernel.reshape(*kernel.shape[:2], 1, 1), bias) for ((kernel, bias),) in filter(None, matrices))
        self._put(node, operator, source, weights=weights if len(weights) == 2 else ())

    def _array(self, node: onnx.NodeProto, place: int) -> np.ndarray:
        """A constant input of a node."""
        if node.input[place] not in self._constants:
            raise self._refuse(node, f"its input {node.input[place]!r} is no constant")
        return numpy_helper.to_array(self._constants[node.input[place]]).astype(np.float32)

    def _bias(self, node: onnx.NodeProto, size: int) -> np.ndarray:
        """The third input of a node, or zeros."""
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(size, np.float32)
        return np.broadcast_to(self._array(node, 2).ravel(), size).copy()

    def _shifted(self, node: Node, values: np.ndarray) -> Node:
        """A node with something added to its bias; without weights where that is no number a channel."""
        if not node.weights or values.size not in (1, node.operator.out_channels):
            return replace(node, weights=())
        ((kernel, bias),) = node.weights
        return replace(node, weights=((kernel, bias + values.ravel()),))

    def _compact(self, shape: tuple[int, ...], output: int) -> Network:
        """Only what reaches the output: parts that were drawn together into one operator are left behind."""
        needed = {output}
        for position in range(len(self._nodes) - 1, -1, -1):
            if position in needed:
                needed.update(source for source in self._nodes[position].inputs if source >= 0)
        number = {old: new for new, old in enumerate(sorted(needed))} | {INPUT: INPUT}
        nodes = tuple(
            replace(self._nodes[old], inputs=tuple(number[source] for source in self._nodes[old].inputs))
            for old in sorted(needed)
        )
        channels, height, width = shape
        return Network((channels, height, width), nodes, number[output])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


_READERS: dict[str, Callable[[_Reader, onnx.NodeProto], None]] = {
    "Conv": _Reader._conv,
    "MaxPool": _Reader._pool,
    "AveragePool": _Reader._pool,
    "GlobalAveragePool": _Reader._global_pool,
    "ReduceMean": _Reader._global_pool,
    "Gemm": _Reader._linear,
    "MatMul": _Reader._linear,
    "BatchNormalization": _Reader._batch_norm,
    "Add": _Reader._sum,
    "Sum": _Reader._sum,
    "Mul": _Reader._product,
}
