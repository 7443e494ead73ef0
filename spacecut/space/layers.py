"""The kinds of layer that a network is written with: their fields and how they change a tensor's shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spacecut.space.table import Table, combine, constant

__all__ = ["ACTIVATIONS", "KINDS", "LayerKind", "Shape"]

ACTIVATIONS = (
    "none", "relu", "relu6", "hardswish", "swish", "sigmoid", "hardsigmoid", "leaky_relu", "prelu",
)  # fmt: skip

Shape = tuple[Table, Table, Table]
"""Channels, height, width of a tensor."""


@dataclass(frozen=True)
class LayerKind:
    """A kind of layer.

    Attributes:
        shape: From the input shape and the fields to the output shape.
        required: Fields that a layer must give.
        defaults: Other fields with their values when they are not given.
        words: Fields whose value is a word, with the words allowed.
        joins: Whether the layer takes several inputs of one shape.
    """

    shape: Callable[[Shape, Mapping[str, Table]], Shape]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, int | str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    joins: bool = False


def _strided(size: Table, stride: Table) -> Table:
    """Output height or width under 'same' padding."""
    return combine(lambda s, d: -(-s // d), size, stride)


def _same(shape: Shape, fields: Mapping[str, Table]) -> Shape:
    return shape


def _pooled(shape: Shape, fields: Mapping[str, Table]) -> Shape:
    return shape[0], _strided(shape[1], fields["stride"]), _strided(shape[2], fields["stride"])


def _convolved(shape: Shape, fields: Mapping[str, Table]) -> Shape:
    return fields["out_channels"], *_pooled(shape, fields)[1:]


def _single(channels: Table) -> Shape:
    return channels, constant(np.int64(1)), constant(np.int64(1))


_ACTIVATED: dict[str, int | str] = {"activation": "none"}
_WINDOW: dict[str, int | str] = {"stride": 1}

KINDS: dict[str, LayerKind] = {
    "conv2d": LayerKind(
        _convolved,
        ("out_channels", "kernel"),
        {"stride": 1, "groups": 1, **_ACTIVATED},
        {"activation": ACTIVATIONS},
    ),
    "depthwise_conv2d": LayerKind(_pooled, ("kernel",), {**_WINDOW, **_ACTIVATED}, {"activation": ACTIVATIONS}),
    "linear": LayerKind(
        lambda shape, fields: _single(fields["out_channels"]),
        ("out_channels",),
        _ACTIVATED,
        {"activation": ACTIVATIONS},
    ),
    "max_pool2d": LayerKind(_pooled, ("kernel",), _WINDOW),
    "avg_pool2d": LayerKind(_pooled, ("kernel",), _WINDOW),
    "global_avg_pool": LayerKind(lambda shape, fields: _single(shape[0])),
    "activation": LayerKind(_same, ("activation",), {}, {"activation": ACTIVATIONS[1:]}),
    "squeeze_excite": LayerKind(_same, ("reduced",), {"activation": "hardsigmoid"}, {"activation": ACTIVATIONS[1:]}),
    "add": LayerKind(_same, (), _ACTIVATED, {"activation": ACTIVATIONS}, joins=True),
    "zero": LayerKind(_same),
}
