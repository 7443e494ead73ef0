"""Text files, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from spacecut.errors import InputError

__all__ = ["opened_text"]


@contextmanager
def opened_text(file: Path, what: str) -> Iterator[TextIO]:
    """Open a text file and say what is wrong with it, while it is read too.

    Args:
        file: Gzipped where it ends in ``.gz``; line ends are kept.
        what: What it should be, for a person: ``CSV file of latencies``.

    Raises:
        InputError: The file is missing or cannot be read.
    """
    try:
        with gzip.open(file, "rt", newline="") if file.suffix == ".gz" else file.open(newline="") as opened:
            yield opened
    except FileNotFoundError:
        raise InputError(f"there is no file {str(file)!r}; give a {what}") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{file}: no {what} ({error})") from None
