"""A concrete network as PyTorch functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from spacecut.errors import InputError
from spacecut.operators.network import INPUT, Network, Node
from spacecut.operators.operator import Operator
from spacecut.operators.weights import LEAKY_SLOPE, node_weights, norm_weights, prelu_slopes

if TYPE_CHECKING:
    import torch

__all__ = ["TorchNetwork"]

Layer = Callable[..., "torch.Tensor"]
Put = Callable[[np.ndarray], "torch.Tensor"]


class TorchNetwork:
    """A network of ``torch.nn.functional`` calls, with the weights of its ONNX model, in the channels-last layout.

    Args:
        network: The network.
        batch: How many inputs at once.
        device: Where its weights lie, as torch names it.
        dtype: Of weights and activations.

    Raises:
        InputError: An operator of the network does nothing.
    """

    def __init__(self, network: Network, batch: int, device: torch.device, dtype: torch.dtype) -> None:
        import torch

        def put(values: np.ndarray) -> torch.Tensor:
            layout = torch.channels_last if values.ndim == 4 else torch.contiguous_format
            return torch.from_numpy(values.copy()).to(device, dtype, memory_format=layout)

        self.put = put
        self.layers: list[Layer] = []
        self._sources: list[tuple[int, ...]] = []
        self._shapes: list[list[tuple[int, ...]]] = []
        self._output = network.output
        self._zeros = {}
        for number, node in enumerate(network.nodes):
            operator = node.operator
            if operator.kind in ("activation", "add") and operator.activation == "none" and operator.inputs == 1:
                raise InputError(f"{operator}: it does nothing; leave it out of the network")
            shape = (batch, *operator.input_shape)
            layer = _LAYERS[operator.kind](node, number, put)
            if operator.kind == "channel_slice":
                layer = partial(layer, start=network.slice_starts[number])
            self.layers.append(layer)
            self._sources.append(node.inputs)
            if operator.kind == "linear":
                self._shapes.append([(batch, operator.in_channels)])
            else:
                self._shapes.append([(batch, *network.shape(s)) if s >= INPUT else shape for s in node.inputs])
            if min(node.inputs) < INPUT:
                self._zeros[number] = put(np.zeros(shape, np.float32))
        last_read = {source: number for number, node in enumerate(network.nodes) for source in (number, *node.inputs)}
        self._freed: list[list[int]] = [[] for _ in network.nodes]
        for source, number in last_read.items():
            if source >= 0 and source != network.output:
                self._freed[number].append(source)

    def run(self, values: torch.Tensor, watch: Callable[[int], None] | None = None) -> torch.Tensor:
        """The output for an input ``[batch, channels, height, width]``; ``watch`` is told each node that is done.

        What nothing will read any more is freed, as it is where a module calls its layers one after the other.
        """
        done: dict[int, torch.Tensor] = {}
        for number, (layer, sources, shapes) in enumerate(zip(self.layers, self._sources, self._shapes, strict=True)):
            given = (
                values if source == INPUT else done[source] if source >= 0 else self._zeros[number]
                for source in sources
            )  # fmt: skip
            fitted = (
                one if one.shape == shape else one.reshape(shape) for one, shape in zip(given, shapes, strict=True)
            )
            done[number] = layer(*fitted)
            for source in self._freed[number]:
                del done[source]
            if watch is not None:
                watch(number)
        return done[self._output]


def _conv2d(node: Node, number: int, put: Put) -> Layer:
    from torch.nn import functional

    weight, bias = map(put, node_weights(node, number)[0])
    groups = node.operator.in_channels // weight.shape[1]
    pad, stride, activate = _padding(node.operator, 0.0), node.operator.stride, _activate(node.operator, number, put)
    apart = node.operator.dilation
    inside = node.operator.kernel // 2 * apart if pad is None else 0

    def run(values: torch.Tensor) -> torch.Tensor:
        values = values if pad is None else pad(values)
        return activate(functional.conv2d(values, weight, bias, stride, inside, apart, groups))

    return run


def _linear(node: Node, number: int, put: Put) -> Layer:
    from torch.nn import functional

    weight, bias = map(put, node_weights(node, number)[0])
    activate = _activate(node.operator, number, put)
    return lambda values: activate(functional.linear(values, weight, bias))


def _max_pool2d(node: Node, number: int, put: Put) -> Layer:
    from torch.nn import functional

    pad, size, stride = _padding(node.operator, float("-inf")), node.operator.kernel, node.operator.stride
    inside = size // 2 if pad is None else 0
    return lambda values: functional.max_pool2d(values if pad is None else pad(values), size, stride, inside)


def _avg_pool2d(node: Node, number: int, put: Put) -> Layer:
    from torch.nn import functional

    pad, size, stride = _padding(node.operator, 0.0), node.operator.kernel, node.operator.stride
    if pad is None:
        return lambda values: functional.avg_pool2d(values, size, stride, size // 2, count_include_pad=False)
    # Torch pads both sides alike. So an even window is padded here, and its mean is then taken over what it covers.
    ones = put(np.ones((1, 1, node.operator.height, node.operator.width), np.float32))
    covered = functional.avg_pool2d(pad(ones), size, stride)
    return lambda values: functional.avg_pool2d(pad(values), size, stride) / covered


def _global_avg_pool(node: Node, number: int, put: Put) -> Layer:
    return lambda values: values.mean((2, 3), keepdim=True)


def _activation(node: Node, number: int, put: Put) -> Layer:
    return _activate(node.operator, number, put)


def _squeeze_excite(node: Node, number: int, put: Put) -> Layer:
    from torch.nn import functional

    (down, down_bias), (up, up_bias) = (map(put, affine) for affine in node_weights(node, number))
    activate = _activate(node.operator, number, put)

    def run(values: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(functional.conv2d(values.mean((2, 3), keepdim=True), down, down_bias))
        return values * activate(functional.conv2d(inner, up, up_bias))

    return run


def _add(node: Node, number: int, put: Put) -> Layer:
    activate = _activate(node.operator, number, put)

    def run(*sources: torch.Tensor) -> torch.Tensor:
        total = sources[0]
        for source in sources[1:]:
            total = total + source
        return activate(total)

    return run


def _stack_sum(node: Node, number: int, put: Put) -> Layer:
    import torch

    return lambda *sources: torch.stack(sources).sum(0)


def _concat(node: Node, number: int, put: Put) -> Layer:
    import torch

    return lambda *sources: torch.cat(sources, 1)


def _batch_norm(node: Node, number: int, put: Put) -> Layer:
    from torch.nn import functional

    scale, shift, mean, variance = map(put, norm_weights(node.operator, number))
    return lambda values: functional.batch_norm(values, mean, variance, scale, shift)


def _scale(node: Node, number: int, put: Put) -> Layer:
    return lambda values: values * 0.5


def _shift(node: Node, number: int, put: Put) -> Layer:
    from torch.nn import functional

    return lambda values: functional.pad(values, (0, 1, 0, 1))[:, :, 1:, 1:]


def _channel_shuffle(node: Node, number: int, put: Put) -> Layer:
    groups = node.operator.groups

    def run(values: torch.Tensor) -> torch.Tensor:
        batch, channels, *size = values.shape
        apart = values.reshape(batch, channels // groups, groups, *size)
        return apart.transpose(1, 2).reshape(values.shape)

    return run


def _channel_slice(node: Node, number: int, put: Put) -> Layer:
    return lambda values, start: values[:, start : start + node.operator.out_channels]


def _padding(operator: Operator, value: float) -> Layer | None:
    """What pads an even kernel, one less at the start, to keep ceil(size / stride); torch pads for odd ones itself."""
    from torch.nn import functional

    if operator.kernel % 2:
        return None
    whole = (operator.kernel - 1) * operator.dilation
    before, after = whole // 2, whole - whole // 2
    return partial(functional.pad, pad=(before, after, before, after), value=value)


def _activate(operator: Operator, number: int, put: Put) -> Layer:
    from torch.nn import functional

    if operator.activation == "prelu":
        slopes = put(prelu_slopes(operator, number))
        return lambda values: functional.prelu(values, slopes)
    known: dict[str, Layer] = {
        "none": lambda values: values,
        "relu": functional.relu,
        "relu6": functional.relu6,
        "sigmoid": functional.sigmoid,
        "swish": functional.silu,
        "hardswish": functional.hardswish,
        "hardsigmoid": functional.hardsigmoid,
        "leaky_relu": partial(functional.leaky_relu, negative_slope=LEAKY_SLOPE),
    }
    return known[operator.activation]


_LAYERS: dict[str, Callable[[Node, int, Put], Layer]] = {
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
