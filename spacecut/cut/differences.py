"""What two candidates of a choice differ in, so that each decision can be laid to a finding of the behaviour study."""

from __future__ import annotations

import numpy as np

from spacecut.operators import ABSENT, Workload
from spacecut.operators.operator import COLUMNS, CONTEXT

__all__ = ["FINDINGS", "differences"]

FINDINGS = {"channels": 1, "operators": 2, "activations": 3, "kernels": 4, "precisions": 5}
"""Which finding of the study (Tang et al., MLSys 2021) drops a candidate that differs from a better one in this."""
_COLUMNS = {
    "channels": ("in_channels", "out_channels", "groups", "reduced"),
    "operators": ("kind", "inputs", "height", "width", "stride", *(name for name in CONTEXT if name != "conversions")),
    "activations": ("activation",),
    "kernels": ("kernel",),
    "precisions": ("precision", "conversions"),
}


def differences(workload: Workload, position: int) -> np.ndarray:
    """What each two candidates of the choice at ``position`` differ in, text of shape ``[i, j]``.

    Operators that are there for one of them only make them differ in ``operators``. All else equal, every other choice
    takes its first candidate.
    """
    count = workload.space.lengths[position]
    rows = np.full((len(workload.factors), count, len(COLUMNS)), ABSENT, dtype=np.int64)
    for number, factor in enumerate(workload.factors):
        place = tuple(slice(None) if choice == position else 0 for choice in factor.scope)
        index = np.broadcast_to(factor.index[place], (count,))
        rows[number, index != ABSENT] = workload.rows[index[index != ABSENT]]
    differ = rows[:, :, None] != rows[:, None, :]
    there = rows[:, :, 0] != ABSENT
    absent = (there[:, :, None] != there[:, None, :]).any(axis=0)
    result = np.full((count, count), "", dtype=object)
    for what, names in _COLUMNS.items():
        columns = [COLUMNS.index(name) for name in names]
        both = there[:, :, None, None] & there[:, None, :, None]
        found = (differ[..., columns] & both).any(axis=(0, 3))
        if what == "operators":
            found = found | absent
        result = np.where(found, np.where(result == "", what, result + ", " + what), result)
    return result
