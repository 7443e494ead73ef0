"""What an operator's cost may be made of: growth, padding to blocks, caches, and layouts that need alignment.

Every feature is non-negative, and a cost is a non-negative mixture of them: it never falls below zero, and a step of
the platform is one of the features, so that it is not smoothed away.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "ALIGNMENTS", "BLOCKS", "alignment_classes", "beyond", "half_full", "jumps", "smooth", "stepped", "with_classes",
]  # fmt: skip

BLOCKS = (4, 8, 16, 32, 64)
"""Widths that data-parallel kernels pad to."""
MAX_JUMPS = 64
"""Most places on each width's axis where a jump is looked for."""
MAX_SIZES = 8
"""Most sizes beyond which a cost may grow faster."""
ALIGNMENTS = (4, 8, 16)
"""Widths whose multiples may take another layout or kernel."""


def smooth(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Constant, linear in each width, and their product. Arguments: channels; result ``[operators, features]``."""
    return np.stack([np.ones_like(inner), inner, outer, inner * outer], axis=1)


def stepped(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """The smooth features, with each width also rounded up to every block, and what a ragged last block adds.

    Where both widths are one (a depthwise convolution), pass ones for ``inner``.
    """
    inners = [inner, *(_padded(inner, block) for block in BLOCKS)]
    outers = [outer, *(_padded(outer, block) for block in BLOCKS)]
    columns = [np.ones_like(inner), *inners, *outers, *(a * b for a in inners for b in outers)]
    for width in (inner, outer):
        for block in BLOCKS:
            ragged = (width % block != 0).astype(float)
            columns += [ragged, ragged * inner, ragged * outer, ragged * inner * outer]
    columns.append(outer * outer)
    return np.stack(columns, axis=1)


def half_full(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """The smooth features of those whose last block is at most half full, for each width and block.

    A kernel for blocks of 32, say, may give way to one for 16 where that holds the last channels, and not for them
    alone: all of the operator is slower then.
    """
    columns = []
    for width in (inner, outer):
        for block in BLOCKS:
            at_most_half = (width - 1) % block < block / 2
            columns.append(smooth(inner, outer) * at_most_half[:, None])
    return np.concatenate(columns, axis=1)


def jumps(inner: np.ndarray, outer: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Irregular steps: jumps of either width between any two neighbouring widths that were measured.

    Where there are several widths between the two, the jump is taken to be right after a multiple of the largest block
    that has one there, and else halfway. It may be the same whatever the other width is, or in proportion to it.

    Args:
        inner: Channels of the input.
        outer: Channels of the output.
        measured: Which operators were; the others' widths make no jumps.
    """
    columns = []
    for width, other in ((inner, outer), (outer, inner)):
        known = np.unique(width[measured])
        between = _edges(known[:-1], known[1:])
        if len(between) > MAX_JUMPS:
            between = between[np.linspace(0, len(between) - 1, MAX_JUMPS).astype(int)]
        above = (width[:, None] > between).astype(float)
        columns += [above, above * other[:, None]]
    return np.concatenate(columns, axis=1)


def beyond(inner: np.ndarray, outer: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """By how much the product of the widths, and so the weights, exceeds each of some sizes, as caches have them.

    The sizes are in equal proportions from the smallest product that was measured up to the largest.
    """
    weights = inner * outer
    least, most = weights[measured].min(), weights[measured].max()
    sizes = least * (most / least) ** (np.arange(MAX_SIZES) / MAX_SIZES)  # no rounding where they are all the same
    return np.asarray(np.maximum(weights[:, None] - np.unique(sizes), 0.0))


def alignment_classes(
    inner: np.ndarray, outer: np.ndarray, alignment: int, measured: np.ndarray, fewest: int
) -> np.ndarray:
    """Which of the four classes (input aligned or not, output aligned or not) each operator falls in.

    Classes of which fewer operators were measured are taken to be like the one of which most were.
    """
    classes = (inner % alignment != 0) * 2 + (outer % alignment != 0)
    count = np.bincount(classes[measured], minlength=4)
    return np.asarray(np.where(count[classes] < fewest, count.argmax(), classes))


def with_classes(shared: np.ndarray, own: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The features shared by all, and a copy of others for each class."""
    return np.concatenate([shared, *(own * (classes == number)[:, None] for number in np.unique(classes))], axis=1)


def _edges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where a cost that is one thing at a width and another at the next one measured is likeliest to change."""
    edge = (low + high) / 2
    for block in BLOCKS:
        multiple = (high - 1) // block * block
        edge = np.where(multiple >= low, multiple + 0.5, edge)
    return np.asarray(edge)


def _padded(width: np.ndarray, block: int) -> np.ndarray:
    return np.asarray(np.ceil(width / block) * block)
