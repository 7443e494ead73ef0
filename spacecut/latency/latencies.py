"""Latencies of whole networks that someone else measured, as CSV files have them."""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spacecut.errors import InputError
from spacecut.space import Candidate, Choice, SearchSpace
from spacecut.space.place import hint

__all__ = ["ARCHITECTURE", "Latencies", "read_latencies"]

ARCHITECTURE = "arch"
"""The column that holds a whole architecture, candidate by candidate in the order of the choices."""
_NODE = re.compile(r"\s*\|?([^|~]+)~\d+\|?\s*")  # of NAS-Bench-201: what stands on an edge, and where it comes from
_BETWEEN = re.compile(r"[\s,;]+")

Row = Sequence[str]


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
    file = Path(path)
    lines = _lines(file)
    _, head = next(lines, (0, []))
    names = [name.strip() for name in head]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{file}: two columns are named {twice[0]!r}; rename one")
    architecture = _architecture(space, names, file)
    taken = _column(names, space, column, file)
    numbers: list[list[int]] = []
    ms: list[float] = []
    for line, row in lines:
        if len(row) != len(names):
            raise InputError(f"{file}:{line}: {len(row)} values for {len(names)} columns")
        try:
            numbers.append(architecture(row))
            ms.append(_milliseconds(row[taken], names[taken]))
        except InputError as error:
            raise InputError(f"{file}:{line}: {error}") from None
    shape = (len(ms), len(space.choices))
    return Latencies(np.asarray(numbers, dtype=np.int64).reshape(shape), np.asarray(ms), file.name, names[taken])


def _lines(file: Path) -> Iterator[tuple[int, Row]]:
    """Rows that are not blank, with their line numbers."""
    try:
        with gzip.open(file, "rt", newline="") if file.suffix == ".gz" else file.open(newline="") as opened:
            reader = csv.reader(opened)
            for row in reader:
                if any(value.strip() for value in row):
                    yield reader.line_num, row
    except FileNotFoundError:
        raise InputError(f"there is no file {str(file)!r}; give a CSV file of latencies") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: no CSV file ({error})") from None


def _column(names: Sequence[str], space: SearchSpace, wanted: str | None, file: Path) -> int:
    """Position of the column of milliseconds."""
    others = [name for name in names if name != ARCHITECTURE and name not in space.positions]
    if wanted is None:
        if len(others) != 1:
            shown = ", ".join(others) or "none"
            raise InputError(f"{file}: which column holds the latency? It has {shown}; name one with --column")
        return names.index(others[0])
    if wanted not in others:
        raise InputError(f"{file}: no column of latencies {wanted!r}; {hint(wanted, others)}")
    return names.index(wanted)


def _architecture(space: SearchSpace, names: Sequence[str], file: Path) -> Callable[[Row], list[int]]:
    """From a row to its architecture's candidate numbers."""
    known = [_candidates(choice) for choice in space.choices]
    missing = [choice.name for choice in space.choices if choice.name not in names]
    if not missing:
        places = [names.index(choice.name) for choice in space.choices]
        return lambda row: _encoded(space, known, [row[place] for place in places])
    if ARCHITECTURE in names:
        place = names.index(ARCHITECTURE)
        return lambda row: _encoded(space, known, _words(row[place]))
    raise InputError(
        f"{file}: no column {missing[0]!r}; {space.name} needs a column for each of its {len(known)} choices, or one "
        f"column {ARCHITECTURE!r}"
    )


def _words(text: str) -> list[str]:
    """Candidates of an architecture: ``3 5 7``, ``[3, 5, 7]``, or as NAS-Bench-201 writes it, ``|a~0|+|b~0|c~1|``."""
    if "~" in text:
        return _NODE.findall(text.replace("+", ""))
    return [word for word in _BETWEEN.split(text.strip().strip("[]()")) if word]


def _candidates(choice: Choice) -> Mapping[str, int]:
    """Candidate numbers by what may be written for them: the candidate or, where none is a number, its position."""
    known = {str(candidate): number for number, candidate in enumerate(choice.candidates)}
    if all(isinstance(candidate, str) and not _is_number(candidate) for candidate in choice.candidates):
        known.update({str(number): number for number in range(len(choice))})
    return known


def _is_number(candidate: Candidate) -> bool:
    try:
        float(candidate)
    except ValueError:
        return False
    return True


def _encoded(space: SearchSpace, known: Sequence[Mapping[str, int]], words: Sequence[str]) -> list[int]:
    if len(words) != len(known):
        raise InputError(f"the architecture has {len(words)} candidates for the {len(known)} choices of {space.name}")
    numbers = []
    for choice, names, word in zip(space.choices, known, words, strict=True):
        number = names.get(word.strip())
        if number is None:
            number = choice.index(word.strip())  # says what there is
        numbers.append(number)
    return numbers


def _milliseconds(text: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{column} is {text!r}, which is no number of ms") from None
    if not 0 < value < math.inf:
        raise InputError(f"{column} is {text}; a latency is a positive number of ms")
    return value
