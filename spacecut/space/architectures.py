"""Architectures listed in CSV files, one a row: a column a choice, or one column that holds all candidates."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacecut.errors import InputError
from spacecut.space.choice import Candidate, Choice
from spacecut.space.search_space import SearchSpace
from spacecut.space.text_file import opened_text

__all__ = ["ARCHITECTURE", "Row", "Rows", "architecture_of", "read_rows", "written_as"]

ARCHITECTURE = "arch"
"""The column that holds a whole architecture, candidate by candidate in the order of the choices."""
_NODE = re.compile(r"\s*\|?([^|~]+)~\d+\|?\s*")  # of NAS-Bench-201: what stands on an edge, and where it comes from
_BETWEEN = re.compile(r"[\s,;]+")

Row = Sequence[str]


@dataclass(frozen=True)
class Rows:
    """A CSV file: its columns' names, and its rows with their line numbers, which are read as they are taken."""

    file: Path
    names: list[str]
    lines: Iterator[tuple[int, Row]]

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        for line, row in self.lines:
            if len(row) != len(self.names):
                raise InputError(f"{self.file}:{line}: {len(row)} values for {len(self.names)} columns")
            yield line, row


def read_rows(path: str | Path, what: str) -> Rows:
    """Open a CSV file, gzipped or not.

    Args:
        path: The file.
        what: What it should be, for a person: ``CSV file of latencies``.

    Raises:
        InputError: The file is missing or broken, or names a column twice.
    """
    file = Path(path)
    lines = _lines(file, what)
    _, head = next(lines, (0, []))
    names = [name.strip() for name in head]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{file}: two columns are named {twice[0]!r}; rename one")
    return Rows(file, names, lines)


def _lines(file: Path, what: str) -> Iterator[tuple[int, Row]]:
    """Rows that are not blank, with their line numbers."""
    with opened_text(file, what) as opened:
        reader = csv.reader(opened)
        try:
            for row in reader:
                if any(value.strip() for value in row):
                    yield reader.line_num, row
        except csv.Error as error:
            raise InputError(f"{file}:{reader.line_num}: no {what} ({error})") from None


def architecture_of(space: SearchSpace, rows: Rows) -> Callable[[Row], list[int]]:
    """From a row to its architecture's candidate numbers.

    Raises:
        InputError: There are no columns for the space's choices.
    """
    names, file = rows.names, rows.file
    known = [written_as(choice) for choice in space.choices]
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


def written_as(choice: Choice) -> Mapping[str, int]:
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
