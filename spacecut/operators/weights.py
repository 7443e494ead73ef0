"""Deterministic weights for operators, cut from one fixed bank of pseudo-random numbers.

Few kernels take longer for some values than for others (``benchmarks/values.py``), as long as these are ordinary
numbers; :mod:`~spacecut.platforms.normalised` is for those that do. The scale keeps activations in an ordinary range
through deep networks: no infinities, no denormals, no weights that are all zero.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from spacecut.errors import InputError
from spacecut.operators.network import Affine, Node
from spacecut.operators.operator import Operator

__all__ = [
    "LEAKY_SLOPE",
    "conv_weights",
    "linear_weights",
    "node_weights",
    "norm_weights",
    "prelu_slopes",
    "squeeze_excite_weights",
]

LEAKY_SLOPE = 0.1
"""Of a ``leaky_relu`` below zero."""

_BANK_SIZE = 4_000_037
_SALT_STEP = 10_007
_BIAS_START = 523
_BIAS_SCALE = 0.05


def node_weights(node: Node, salt: int = 0) -> tuple[Affine, ...]:
    """The weights of a node: its own, or such as its operator needs.

    Raises:
        InputError: It has weights of its own and a PReLU, whose slopes are not among them.
    """
    operator = node.operator
    if node.weights:
        if operator.activation == "prelu":
            raise InputError(f"{operator}: the slopes of its PReLU are not known")
        return node.weights
    match operator.kind:
        case "conv2d" | "depthwise_conv2d":
            return (conv_weights(operator, salt),)
        case "linear":
            return (linear_weights(operator, salt),)
        case "squeeze_excite":
            return squeeze_excite_weights(operator, salt)
        case _:
            return ()


def conv_weights(operator: Operator, salt: int = 0) -> Affine:
    """Weights of a ``conv2d`` or a ``depthwise_conv2d``.

    Args:
        operator: The convolution.
        salt: Operators with different salts have different weights, so that no runtime can merge them.

    Returns:
        The kernel, ``[out_channels, in_channels / groups, kernel, kernel]``, and the bias, ``[out_channels]``; float32.
    """
    groups = operator.in_channels if operator.kind == "depthwise_conv2d" else operator.groups
    shape = (operator.out_channels, operator.in_channels // groups, operator.kernel, operator.kernel)
    return _affine(shape, salt)


def linear_weights(operator: Operator, salt: int = 0) -> Affine:
    """Weights of a ``linear``: the matrix, ``[out_channels, in_channels]``, and the bias; float32.

    Columns are in the order of a flattened ``[channels, height, width]``.
    """
    return _affine((operator.out_channels, operator.in_channels), salt)


def squeeze_excite_weights(operator: Operator, salt: int = 0) -> tuple[Affine, Affine]:
    """Weights of the 1x1 convolution down to ``reduced`` channels, and of the one back up; float32."""
    channels, reduced = operator.in_channels, operator.reduced
    return _affine((reduced, channels, 1, 1), salt), _affine((channels, reduced, 1, 1), salt + 1)


def prelu_slopes(operator: Operator, salt: int = 0) -> np.ndarray:
    """Slopes of a ``prelu`` below zero, ``[out_channels]``; float32."""
    slopes: np.ndarray = np.float32(0.25) + np.float32(_BIAS_SCALE) * _cut(operator.out_channels, salt * _SALT_STEP)
    return slopes


def norm_weights(operator: Operator, salt: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scale, shift, mean and variance of a batch normalisation, ``[channels]`` each; float32."""
    scale, shift, mean = (_cut(operator.in_channels, (salt + n) * _SALT_STEP) * np.float32(0.05) for n in range(3))
    return scale + np.float32(1), shift, mean, np.square(mean) + np.float32(1)


def _affine(shape: tuple[int, ...], salt: int) -> Affine:
    fan_in = math.prod(shape[1:])
    start = salt * _SALT_STEP
    kernel = _cut(math.prod(shape), start) * np.float32(1 / math.sqrt(fan_in))
    return kernel.reshape(shape), _cut(shape[0], start + _BIAS_START) * np.float32(_BIAS_SCALE)


def _cut(count: int, start: int) -> np.ndarray:
    """A run of the bank, repeated where the bank ends too soon."""
    rest = _bank()[start % (_BANK_SIZE // 2) :]
    return rest[:count] if count <= rest.size else np.resize(rest, count)


@functools.cache
def _bank() -> np.ndarray:
    """Uniform numbers of mean 0 and variance 1."""
    bank = np.random.default_rng(0).random(_BANK_SIZE, dtype=np.float32)
    bank -= np.float32(0.5)
    bank *= np.float32(math.sqrt(12))
    return bank
