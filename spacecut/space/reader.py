"""Reading and writing space files, and finding the shipped ones by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spacecut.errors import InputError
from spacecut.space.document import TAGS, SpaceDocument
from spacecut.space.place import PlacedError, written
from spacecut.space.search_space import SearchSpace
from spacecut.space.source import read_source

__all__ = ["load_space", "save_space", "shipped_spaces"]

_PROBLEMS = {
    "extra_forbidden": "there is no such key; remove it, or check its spelling",
    "missing": "it is missing; add it",
    "string_type": "it is no text; put it in quotes",
    "string_pattern_mismatch": "it is no name; use letters, digits and _, and no digit first",
    "dict_type": "it is no mapping; write {KEY: VALUE}, or {} for none",
    "model_type": "it is no mapping; write {KEY: VALUE}",
    "list_type": "it is no list; write [ONE, OTHER]",
    "too_short": "it is empty; give at least one",
    "literal_error": "it is no order; write larger, none, or chains such as [[worse, better]]",
    "union_tag_invalid": "it has the wrong form; write a list",
}


def _shipped_root() -> Path:
    package = Path(__file__).resolve().parent.parent
    inside = package / "search_spaces"  # in a wheel
    return inside if inside.is_dir() else package.parent / "search_spaces"


def shipped_spaces() -> list[str]:
    """Names of the spaces that come with spacecut."""
    root = _shipped_root()
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def load_space(name_or_path: str | Path) -> SearchSpace:
    """A shipped space by its name, or a space file by its path.

    Raises:
        InputError: There is no such space, or the file is not a space: file, line, field and the mend are named.
    """
    name, path = str(name_or_path), Path(name_or_path)
    try:
        if path.is_dir() and (path / "reduced.yaml").is_file():
            path = path / "reduced.yaml"
        found = path.is_file()
    except OSError as error:
        raise InputError(f"{name!r} cannot be opened ({error.strerror}); check the path") from None
    if not found and name in shipped_spaces():
        path = _shipped_root() / f"{name}.yaml"
    elif not found:
        close = difflib.get_close_matches(name, shipped_spaces(), n=1)
        mend = f"did you mean {close[0]}?" if close else "`spacecut spaces` lists the shipped ones"
        what = "no space file in the directory" if path.is_dir() else "no space or file"
        raise InputError(f"{what} {name!r}; {mend}")
    return _parse(path)


def save_space(space: SearchSpace, path: str | Path) -> None:
    """Write a space file that :func:`load_space` reads again.

    Raises:
        InputError: The file cannot be written.
    """
    content = space.document.model_dump(exclude_defaults=True)
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, default_flow_style=None)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written ({error.strerror}); give another path") from None


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _parse(path: Path) -> SearchSpace:
    source = read_source(path)
    if not isinstance(source.content, dict):
        known = ", ".join(SpaceDocument.model_fields)
        raise source.problem((), f"it is no space; write a mapping with the keys {known}")
    try:
        return SearchSpace(SpaceDocument.model_validate(source.content))
    except ValidationError as error:
        # A misspelt key explains a missing one.
        first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
        place = tuple(part for part in first["loc"] if part not in (*TAGS, "[key]"))
        problem = _PROBLEMS.get(first["type"], first["msg"].removeprefix("Value error, "))
        raise source.problem(place, f"{written(place)}: {problem}") from None
    except PlacedError as error:
        raise source.problem(error.place, str(error)) from None
