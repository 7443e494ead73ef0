"""The kinds of layer that a network is written with: their fields and how they change a tensor's shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spacecut.space.table import Table, combine, constant

__all__ = ["ACTIVATIONS", "KINDS", "PRECISIONS", "LayerKind", "Shape", "picked"]

ACTIVATIONS = (
    "none", "relu", "relu6", "hardswish", "swish", "sigmoid", "hardsigmoid", "leaky_relu", "prelu",
)  # fmt: skip

PRECISIONS = ("platform", "int8")
"""What a layer may be computed in: the platform's own precision, or int8 where the platform mixes."""

Shape = tuple[Table, Table, Table]
"""Channels, height, width of a tensor."""


@dataclass(frozen=True)
class LayerKind:
    """A kind of layer.

    Attributes:
        shape: From the input shapes and the fields to the output shape.
        required: Fields that a layer must give.
        defaults: Other fields with their values when they are not given.
        words: Fields whose value is a word, with the words allowed.
        joins: Whether the layer takes several inputs: of one ``shape``, of one ``size`` with any channels, ``any``, or
            none but its one input (empty).
        computes: Whether it is an operator that a runtime executes.
    """

    shape: Callable[[Sequence[Shape], Mapping[str, Table]], Shape]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, int | str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    joins: str = ""
    computes: bool = True


def _strided(size: Table, stride: Table) -> Table:
    """Output height or width under 'same' padding."""
    return combine(lambda s, d: -(-s // d), size, stride)


def picked(which: Table, values: Sequence[Table]) -> Table:
    """The value that ``which`` names, counted from 1."""

    def pick(number: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        number, *each = np.broadcast_arrays(number, *arrays)
        return np.asarray(np.take_along_axis(np.stack(each), number[None].clip(1, len(each)) - 1, 0)[0])

    return combine(pick, which, *values).reduced()


def _same(shapes: Sequence[Shape], fields: Mapping[str, Table]) -> Shape:
    return shapes[0]


def _pooled(shapes: Sequence[Shape], fields: Mapping[str, Table]) -> Shape:
    channels, height, width = shapes[0]
    return channels, _strided(height, fields["stride"]), _strided(width, fields["stride"])


def _convolved(shapes: Sequence[Shape], fields: Mapping[str, Table]) -> Shape:
    return fields["out_channels"], *_pooled(shapes, fields)[1:]


def _side_by_side(shapes: Sequence[Shape], fields: Mapping[str, Table]) -> Shape:
    return combine(lambda *channels: sum(channels), *(shape[0] for shape in shapes)).reduced(), *shapes[0][1:]


def _selected(shapes: Sequence[Shape], fields: Mapping[str, Table]) -> Shape:
    channels, height, width = (picked(fields["which"], sizes) for sizes in zip(*shapes, strict=True))
    return channels, height, width


def _without_channels(shapes: Sequence[Shape], fields: Mapping[str, Table]) -> Shape:
    return constant(np.int64(0)), *shapes[0][1:]


def _single(channels: Table) -> Shape:
    return channels, constant(np.int64(1)), constant(np.int64(1))


_ACTIVATED: dict[str, int | str] = {"activation": "none"}
_WINDOW: dict[str, int | str] = {"stride": 1}
_DILATED: dict[str, int | str] = {"stride": 1, "dilation": 1}

_KINDS = {
    "conv2d": LayerKind(
        _convolved,
        ("out_channels", "kernel"),
        {**_DILATED, "groups": 1, **_ACTIVATED},
        {"activation": ACTIVATIONS},
    ),
    "depthwise_conv2d": LayerKind(_pooled, ("kernel",), {**_DILATED, **_ACTIVATED}, {"activation": ACTIVATIONS}),
    "linear": LayerKind(
        lambda shapes, fields: _single(fields["out_channels"]),
        ("out_channels",),
        _ACTIVATED,
        {"activation": ACTIVATIONS},
    ),
    "max_pool2d": LayerKind(_pooled, ("kernel",), _WINDOW),
    "avg_pool2d": LayerKind(_pooled, ("kernel",), _WINDOW),
    "global_avg_pool": LayerKind(lambda shapes, fields: _single(shapes[0][0])),
    "activation": LayerKind(_same, ("activation",), {}, {"activation": ACTIVATIONS[1:]}),
    "squeeze_excite": LayerKind(_same, ("reduced",), {"activation": "hardsigmoid"}, {"activation": ACTIVATIONS[1:]}),
    "add": LayerKind(_same, (), _ACTIVATED, {"activation": ACTIVATIONS}, joins="shape"),
    "zero": LayerKind(_same, computes=False),
    "stack_sum": LayerKind(_same, joins="shape"),
    "concat": LayerKind(_side_by_side, joins="size"),
    "batch_norm": LayerKind(_same),
    "scale": LayerKind(_same),
    "shift": LayerKind(_same),
    "channel_shuffle": LayerKind(_same, ("groups",)),
    "channel_slice": LayerKind(lambda shapes, fields: (fields["out_channels"], *shapes[0][1:]), ("out_channels",)),
    "select": LayerKind(_selected, ("which",), joins="any", computes=False),
    "empty": LayerKind(_without_channels, computes=False),
}


def _with_precision(kind: LayerKind) -> LayerKind:
    return replace(
        kind,
        defaults={**kind.defaults, "precision": PRECISIONS[0]},
        words={**kind.words, "precision": PRECISIONS},
    )


KINDS: dict[str, LayerKind] = {name: _with_precision(kind) if kind.computes else kind for name, kind in _KINDS.items()}
