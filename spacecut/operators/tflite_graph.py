"""The tables of a TFLite model, filled operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.operators.network import INPUT, ZERO, Affine, Network, Node
from spacecut.operators.operator import Operator
from spacecut.operators.weights import node_weights, prelu_slopes

__all__ = ["Graph", "Writer"]

SCHEMA_VERSION = 3
ALIGNMENT = 16


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


class Graph:
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

    def add(self, number: int, write: Writer) -> None:
        """Write one node of the network; its last tensor is called ``n{number}.out``.

        Raises:
            InputError: The node's operator does nothing.
        """
        self.number = number
        node = self._network.nodes[number]
        sources = [self._read(node, source) for source in node.inputs]
        value = write(self, node.operator, sources)
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


Writer = Callable[[Graph, Operator, Sequence[int]], int]
"""Writes an operator that reads these tensors, and returns the tensor of its output."""
