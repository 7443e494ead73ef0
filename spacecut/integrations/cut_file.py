"""A cut as a small Python file beside it, with nothing of spacecut needed to use it."""

from __future__ import annotations

from pathlib import Path
from pprint import pformat

from spacecut.cut.reduction import saved
from spacecut.space import SearchSpace
from spacecut.space.ranges import shown_size

__all__ = ["as_python", "write_cut_file"]


def write_cut_file(path: Path, template: str, full: SearchSpace, reduced: SearchSpace, **values: str) -> list[Path]:
    """Write a file from a template that names ``name``, ``platforms``, ``full``, ``reduced`` and ``values``.

    Args:
        path: The file, in the directory of the cut.
        template: Its text, for ``str.format``.
        full: The space that was cut.
        reduced: What is left of it.
        values: What else the template names.
    """
    platforms = " and ".join(certificate.platform for _, certificate in saved(path.parent))
    sizes = {"full": shown_size(full.size), "reduced": shown_size(reduced.size)}
    path.write_text(template.format(name=full.name, platforms=platforms, **sizes, **values), encoding="utf-8")
    return [path]


def as_python(value: object) -> str:
    """A value as the file has it."""
    return pformat(value, width=116, compact=True, sort_dicts=False)
