"""One concrete operator with all its shapes, and its numeric form for whole arrays of operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Any

import numpy as np

from spacecut.errors import InputError
from spacecut.space.layers import ACTIVATIONS, KINDS, PRECISIONS

__all__ = [
    "COLUMNS", "CONTEXT", "CONVOLUTIONS", "FLAT", "LINEAR", "POOLINGS", "SUMS", "WEIGHTED", "Operator", "Readers",
    "decode", "encode", "family_columns", "family_numbers", "macs", "values", "without",
]  # fmt: skip

KIND_NAMES = tuple(kind for kind, rules in KINDS.items() if rules.computes)

CONTEXT = ("fusable", "exclusive", "twin", "conversions", "summed", "beside", "readers", "twofold")
"""Columns that follow from the network around an operator (:attr:`Network.operators`), what tells most first."""

COLUMNS = (
    "kind", "in_channels", "height", "width", "out_channels", "kernel", "stride", "groups", "activation",
    "reduced", "inputs", "dilation", "precision", *CONTEXT,
)  # fmt: skip
"""The columns of an operator array; ``kind``, ``activation`` and ``precision`` hold positions in lists of names."""

FUSABLE = ("activation", "add")
"""Kinds that runtimes may fuse with what they read."""

CONVOLUTIONS = ("conv2d", "depthwise_conv2d")
LINEAR = (*CONVOLUTIONS, "linear")
"""Kinds of one set of weights, into which scales, biases and activations fold."""

WEIGHTED = (*LINEAR, "squeeze_excite")
"""Kinds with weights."""

FLAT = ("linear", "global_avg_pool")
"""Kinds that give one value a channel."""

POOLINGS = ("max_pool2d", "avg_pool2d")
SUMS = ("add", "stack_sum")

WEIGHTLESS = ("activation", *POOLINGS, "global_avg_pool")
"""Kinds of one input without weights, of which runtimes may do several that are alike at once."""

_LETTERS = {
    "g": "groups", "r": "reduced", "x": "inputs", "d": "dilation",
    "f": "fusable", "e": "exclusive", "c": "conversions", "t": "twin", "a": "summed", "b": "beside",
    "y": "readers", "w": "twofold",
}  # fmt: skip
"""What stands in an operator's text before these of its fields, where they are not the usual ones."""


class Readers(IntFlag):
    """What reads a value."""

    SUM = 1
    ACTIVATION = 2
    POOLING = 4
    OTHER = 8
    SEVERAL = 16
    """More than one operator, or one beside whoever takes the network's output."""
    CONVOLUTION = 32
    """A convolution, if need be through other operators that are none."""

    @classmethod
    def of(cls, kind: str) -> Readers:
        """Which of the first four an operator of a kind is."""
        if kind in SUMS:
            return cls.SUM
        if kind == "activation":
            return cls.ACTIVATION
        return cls.POOLING if kind in POOLINGS else cls.OTHER


WIDTHS = ("in_channels", "out_channels", "reduced")
"""What varies inside a family is how wide an operator is; all else tells families apart."""


@dataclass(frozen=True, order=True)
class Operator:
    """A concrete operator.

    Attributes:
        kind: A kind of layer that computes: see :data:`~spacecut.space.layers.KINDS`.
        in_channels, height, width: Shape of (each) input for a batch of one; of a ``concat``, whose inputs may differ,
            the mean channels, rounded up.
        out_channels: Channels of the output.
        kernel, stride, groups: Of convolutions and pooling, padding kernel // 2 on every side; 1 elsewhere (a
            depthwise convolution's kind says that it has a group a channel). A channel shuffle has groups too.
        activation: Fused behind the operator; the gate of a squeeze-and-excitation; the operator itself where
            ``kind`` is ``activation``.
        reduced: Channels inside a squeeze-and-excitation, else 0.
        inputs: How many inputs are summed, stacked or set side by side, else 1.
        dilation: Of convolutions: how far apart the pixels of a window lie.
        precision: ``int8``, or ``platform`` for the platform's own.
        fusable: Of an ``activation`` or ``add``, how many of its inputs are convolutions of its precision that nothing
            else reads, so that a runtime may do both at once. It follows from the network around
            (:attr:`Network.operators`), as all that follows does.
        exclusive: Of the same, how many of its inputs any other operators of its precision give, and nothing else
            reads. A runtime may write over such a value, which a convolution that adds to another input asks for, or
            hand the activation on to what gives it.
        conversions: How many times operators of another precision read its output. What converts it is charged to
            it (see :mod:`~spacecut.platforms.attribution`).
        twin: 1 where an earlier operator without weights does the same to the same value, else 0.
        summed: Of a convolution that only a sum of its precision reads, so that a runtime may add within it, how many
            other values there are to add; else 0.
        beside: How many of those others are such convolutions too.
        readers: Of a pooling, what reads its output, as :class:`Readers`.
        twofold: 1 where a value is wanted both activated and as it is, so that a runtime may keep it in one form and
            make the other of it, else 0: of a pooling the value that it reads, of a sum the one that it gives, and of a
            convolution that only a sum reads the sum's.
    """

    kind: str
    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    activation: str = "none"
    reduced: int = 0
    inputs: int = 1
    dilation: int = 1
    precision: str = PRECISIONS[0]
    fusable: int = 0
    exclusive: int = 0
    conversions: int = 0
    twin: int = 0
    summed: int = 0
    beside: int = 0
    readers: int = 0
    twofold: int = 0

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of each input."""
        return self.in_channels, self.height, self.width

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of the output."""
        if self.kind in FLAT:
            return self.out_channels, 1, 1
        return self.out_channels, -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def alone(self) -> Operator:
        """The operator without what follows from the network around."""
        nothing: dict[str, Any] = dict.fromkeys(CONTEXT, 0)
        return replace(self, **nothing)

    def __str__(self) -> str:
        channels = str(self.in_channels)
        if self.kind in ("conv2d", "linear", "concat", "channel_slice"):
            channels += f"->{self.out_channels}"
        text = f"{self.kind} {channels} @{self.height}x{self.width}"
        if self.kind.endswith(("conv2d", "pool2d")):
            text += f" k{self.kernel} s{self.stride}"
        for letter, name in _LETTERS.items():
            if (value := getattr(self, name)) != getattr(Operator, name):
                text += f" {letter}{value}"
        if self.precision != PRECISIONS[0]:
            text += f" {self.precision}"
        return text if self.activation == "none" else f"{text} {self.activation}"

    @classmethod
    def parse(cls, text: str) -> Operator:
        """Read what ``str`` wrote.

        Raises:
            InputError: The text is no operator.
        """
        try:
            kind, channels, size, *rest = text.split()
            ins, _, outs = channels.partition("->")
            height, _, width = size.removeprefix("@").partition("x")
            letters = {"k": "kernel", "s": "stride", **_LETTERS}
            fields: dict[str, Any] = {}
            for part in rest:
                if part in ACTIVATIONS:
                    fields["activation"] = part
                elif part in PRECISIONS:
                    fields["precision"] = part
                else:
                    fields[letters[part[0]]] = int(part[1:])
            if kind not in KIND_NAMES:
                raise ValueError(kind)
            return cls(kind, int(ins), int(height), int(width), int(outs or ins), **fields)
        except (ValueError, KeyError):
            raise InputError(f"{text!r} is no operator") from None


def encode(operators: list[Operator]) -> np.ndarray:
    """Operators as an integer array, shape ``[operators, COLUMNS]``."""
    rows = [
        (
            KIND_NAMES.index(o.kind), o.in_channels, o.height, o.width, o.out_channels, o.kernel, o.stride, o.groups,
            ACTIVATIONS.index(o.activation), o.reduced, o.inputs, o.dilation,
            PRECISIONS.index(o.precision), *(getattr(o, name) for name in CONTEXT),
        )
        for o in operators
    ]  # fmt: skip
    return np.asarray(rows, dtype=np.int64).reshape(len(rows), len(COLUMNS))


def decode(row: np.ndarray) -> Operator:
    """One row of an operator array as an :class:`Operator`."""
    fields: dict[str, Any] = {name: int(value) for name, value in zip(COLUMNS, row, strict=True)}
    lists = {"kind": KIND_NAMES, "activation": ACTIVATIONS, "precision": PRECISIONS}
    words = {name: listed[fields[name]] for name, listed in lists.items()}
    return Operator(**(fields | words))


def family_columns(rows: np.ndarray) -> np.ndarray:
    """The columns that tell families apart; operators of one family differ only in how wide they are.

    Values side by side are as wide as all of them together, whatever their number is.
    """
    inputs = COLUMNS.index("inputs")
    rows = rows.copy()
    rows[rows[:, 0] == KIND_NAMES.index("concat"), inputs] = 0
    kept = [index for index, name in enumerate(COLUMNS) if name not in WIDTHS]
    return rows[:, kept]


def family_numbers(rows: np.ndarray) -> np.ndarray:
    """For each operator the number of its family among theirs, from 0."""
    return np.asarray(np.unique(family_columns(rows), axis=0, return_inverse=True)[1].ravel())


def without(rows: np.ndarray, columns: Sequence[str] = CONTEXT) -> np.ndarray:
    """The operators without what some columns tell: without what follows from the networks around, unless named."""
    rows = rows.copy()
    rows[:, [COLUMNS.index(name) for name in columns]] = 0
    return rows


def fuses(kind: str, activation: str) -> bool:
    """Whether a runtime may do what reads an operator of this kind and activation together with it."""
    return kind in LINEAR and activation == "none"


def macs(rows: np.ndarray) -> np.ndarray:
    """Multiply-accumulates (element operations where there are none) of each operator, for a batch of one."""
    column, pixels = _with_pixels(rows)
    kind = rows[:, 0]
    window = column["kernel"] ** 2
    elements = column["in_channels"] * column["height"] * column["width"]
    result: np.ndarray = elements * column["inputs"]
    for name, value in {
        "conv2d": pixels * window * column["in_channels"] * column["out_channels"] / column["groups"],
        "depthwise_conv2d": pixels * window * column["in_channels"],
        "linear": elements * column["out_channels"],
        "max_pool2d": pixels * window * column["in_channels"],
        "avg_pool2d": pixels * window * column["in_channels"],
        "squeeze_excite": 2 * elements + 2 * column["in_channels"] * column["reduced"],
    }.items():
        result = np.where(kind == KIND_NAMES.index(name), value, result)
    return result


def values(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many values each operator reads and gives, for a batch of one."""
    column, pixels = _with_pixels(rows)
    flat = np.isin(rows[:, 0], [KIND_NAMES.index(kind) for kind in FLAT])
    read = column["in_channels"] * column["height"] * column["width"] * column["inputs"]
    return read, column["out_channels"] * np.where(flat, 1.0, pixels)


def _with_pixels(rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns by name, and how many places each operator's window takes."""
    column = {name: rows[:, index].astype(float) for index, name in enumerate(COLUMNS)}
    return column, np.ceil(column["height"] / column["stride"]) * np.ceil(column["width"] / column["stride"])
