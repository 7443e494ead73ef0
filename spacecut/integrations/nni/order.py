"""Which values of a label are known to be no worse than others.

Larger widths, kernels and depths are not worse. Of two layers to choose from, one is not worse if it is built alike
and nowhere smaller; squeeze-and-excitation is not worse than nothing there, and anything is not worse than zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spacecut.integrations.nni.labels import Listed

if TYPE_CHECKING:
    from spacecut.integrations.nni.recording import Recorder

__all__ = ["LARGER", "Branch", "larger_along", "not_worse"]

LARGER = ("out_channels", "kernel")
"""Fields of a layer of which more is not worse; of the others, only the same is."""
_SQUEEZE_EXCITE = ["global_avg_pool", "conv2d", "activation", "conv2d", "activation", "product"]


@dataclass(frozen=True)
class Branch:
    """What one of several layers to choose from recorded.

    Attributes:
        start, end: Its entries.
        inputs: The entries that it was given.
        output: What it gave.
    """

    start: int
    end: int
    inputs: tuple[int, ...]
    output: Any

    @classmethod
    def of(cls, recorder: Recorder, call: Callable[[], Any], given: Sequence[Any]) -> Branch:
        """Record a call."""
        inputs = tuple(recorder.settled(value) for value in given if hasattr(value, "source"))
        start = len(recorder.entries)
        with recorder.afresh():
            output = call()
        return cls(start, len(recorder.entries), inputs, output)


def larger_along(listed: Listed, axis: int) -> np.ndarray:
    """Boolean ``[i, j]``: nowhere is the value smaller with value ``j`` of a label than with value ``i``."""
    rows = np.moveaxis(listed.values, axis, 0).reshape(listed.values.shape[axis], -1)
    return np.asarray((rows[None, :] >= rows[:, None]).all(axis=2))


def not_worse(recorder: Recorder, branches: Sequence[Branch]) -> np.ndarray:
    """Boolean ``[i, j]``: whether branch ``j`` is known to be at least as good as branch ``i``."""
    result = np.eye(len(branches), dtype=bool)
    for i, one in enumerate(branches):
        for j, other in enumerate(branches):
            result[i, j] |= _at_least(recorder, one, other)
    return result


def _at_least(recorder: Recorder, one: Branch, other: Branch) -> bool:
    """Whether the other branch is known to be at least as good."""
    old, new = (recorder.entries[branch.start : branch.end] for branch in (one, other))
    if len(old) == 1 and old[0].erases:
        return True
    if not old and [entry.kind for entry in new] == _SQUEEZE_EXCITE:
        return True
    if not old or len(old) != len(new):
        return False
    for a, b in zip(old, new, strict=True):
        moved = tuple(source - one.start + other.start if source >= one.start else source for source in a.inputs)
        if a.kind != b.kind or moved != b.inputs or set(a.fields) != set(b.fields) or a.when is not b.when:
            return False
        for key, before in a.fields.items():
            after = b.fields[key]
            if isinstance(before, str) or isinstance(after, str):
                if before != after:
                    return False
                continue
            x, y = recorder.labels.together([before, after])
            if not np.all(y >= x if key in LARGER else y == x):
                return False
    return True
