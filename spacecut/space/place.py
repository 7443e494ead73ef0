"""Places in a space file, and errors that name them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from spacecut.errors import InputError

__all__ = ["Place", "PlacedError", "hint", "placed", "written"]

Place = tuple[str | int, ...]
"""Keys and positions from the top of the document down: ``("network", 3, "conv2d", "kernel")``."""

MOST_SHOWN = 12


class PlacedError(InputError):
    """A problem with what stands in one place of a space file.

    Attributes:
        place: Where it stands.
        problem: What is wrong, and how to mend it.
    """

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(place, problem)
        self.place = place
        self.problem = problem

    def __str__(self) -> str:
        return f"{written(self.place)}: {self.problem}"


def written(place: Place) -> str:
    """A place as a person writes it: ``network[3].conv2d.kernel``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "the file"


@contextmanager
def placed(place: Place) -> Iterator[None]:
    """Let input errors raised inside name this place, unless they name one already."""
    try:
        yield
    except PlacedError:
        raise
    except InputError as error:
        raise PlacedError(place, str(error)) from None


def hint(wrong: str, names: Iterable[str]) -> str:
    """What may have been meant by a name that does not exist."""
    known = sorted(names)
    if close := difflib.get_close_matches(wrong, known, n=1):
        return f"did you mean {close[0]}?"
    shown = ", ".join(known[:MOST_SHOWN]) or "none"
    return f"known: {shown}, ..." if len(known) > MOST_SHOWN else f"known: {shown}"
