"""Latencies of whole networks that someone else measured, as CSV files have them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spacecut.errors import InputError
from spacecut.space import SearchSpace
from spacecut.space.architectures import ARCHITECTURE, Rows, architecture_of, read_rows
from spacecut.space.place import hint

__all__ = ["Latencies", "read_latencies"]


@dataclass(frozen=True)
class Latencies:
    """Architectures with what each took.

    Attributes:
        numbers: Candidate numbers, shape ``[networks, choices]``.
        ms: Milliseconds, shape ``[networks]``.
        source: Name of the file.
        column: Name of the column of milliseconds.
    """

    numbers: np.ndarray
    ms: np.ndarray
    source: str
    column: str

    def __len__(self) -> int:
        return len(self.ms)

    def some(self, rows: np.ndarray) -> Latencies:
        """Those in some rows."""
        return Latencies(self.numbers[rows], self.ms[rows], self.source, self.column)


def read_latencies(path: str | Path, space: SearchSpace, column: str | None = None) -> Latencies:
    """Read a CSV file, gzipped or not, with one architecture a row.

    Args:
        path: The file: a column a choice, or one column ``arch``, and one or more columns of milliseconds.
        space: What the architectures are of.
        column: The column of milliseconds; may be left out where there is only one.

    Raises:
        InputError: The file is missing or broken, or a row holds something else; the row is named.
    """
    rows = read_rows(path, "CSV file of latencies")
    architecture = architecture_of(space, rows)
    taken = _column(rows, space, column)
    name = rows.names[taken]
    numbers: list[list[int]] = []
    ms: list[float] = []
    for line, row in rows:
        try:
            numbers.append(architecture(row))
            ms.append(_milliseconds(row[taken], name))
        except InputError as error:
            raise InputError(f"{rows.file}:{line}: {error}") from None
    shape = (len(ms), len(space.choices))
    return Latencies(np.asarray(numbers, dtype=np.int64).reshape(shape), np.asarray(ms), rows.file.name, name)


def _column(rows: Rows, space: SearchSpace, wanted: str | None) -> int:
    """Position of the column of milliseconds."""
    names, file = rows.names, rows.file
    others = [name for name in names if name != ARCHITECTURE and name not in space.positions]
    if wanted is None:
        if len(others) != 1:
            shown = ", ".join(others) or "none"
            raise InputError(f"{file}: which column holds the latency? It has {shown}; name one with --column")
        return names.index(others[0])
    if wanted not in others:
        raise InputError(f"{file}: no column of latencies {wanted!r}; {hint(wanted, others)}")
    return names.index(wanted)


def _milliseconds(text: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{column} is {text!r}, which is no number of ms") from None
    if not 0 < value < math.inf:
        raise InputError(f"{column} is {text}; a latency is a positive number of ms")
    return value
