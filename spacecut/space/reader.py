"""Reading and writing space files, and finding the shipped ones by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spacecut.errors import InputError
from spacecut.space.document import SpaceDocument
from spacecut.space.search_space import SearchSpace

__all__ = ["load_space", "save_space", "shipped_spaces"]

_MENDS = {
    "extra_forbidden": "remove it, or check its spelling",
    "missing": "add it",
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
    path = Path(name_or_path)
    name = str(name_or_path)
    if not path.is_file() and name in shipped_spaces():
        path = _shipped_root() / f"{name}.yaml"
    if path.is_dir() and (path / "reduced.yaml").is_file():
        path = path / "reduced.yaml"
    if not path.is_file():
        close = difflib.get_close_matches(name, shipped_spaces(), n=1)
        hint = f"; did you mean {close[0]}?" if close else "; `spacecut spaces` lists the shipped ones"
        raise InputError(f"no space or file {name!r}{hint}")
    return _parse(path)


def save_space(space: SearchSpace, path: str | Path) -> None:
    """Write a space file that :func:`load_space` reads again."""
    content = space.document.model_dump(exclude_defaults=True, mode="json")
    content["input"] = list(space.document.input)
    content = {"spacecut": 1, **content}
    for name, choice in space.document.choices.items():
        if isinstance(choice.candidates, dict):  # JSON would turn numbers into text
            content["choices"][name]["candidates"] = dict(choice.candidates)
    Path(path).write_text(yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, default_flow_style=None))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _parse(path: Path) -> SearchSpace:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise InputError(f"{path}{line}: broken YAML: {problem}; mend the syntax there") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: broken YAML: {error}; mend the syntax") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}:1: a space file is a mapping with the keys spacecut, name, input, choices, network")
    if duplicate := next(_duplicates(tree), None):
        raise InputError(f"{path}:{duplicate[1]}: the key {duplicate[0]!r} is given twice; remove one")
    try:
        document = SpaceDocument.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        location = [part for part in first["loc"] if not _is_union_tag(part)]
        field = _field(location)
        mend = _MENDS.get(first["type"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{path}:{_line(tree, location)}: {field}: {message}{'; ' + mend if mend else ''}"
        ) from None
    try:
        return SearchSpace(document)
    except InputError as error:
        location = _location(str(error))
        raise InputError(f"{path}:{_line(tree, location)}: {error}") from None


def _is_union_tag(part: Any) -> bool:
    """Pydantic names the branch of a union in its locations; the file knows no such key."""
    return isinstance(part, str) and (part.startswith(("literal[", "list[", "dict[")) or part in ("str", "int", "float"))


def _field(location: Sequence[Any]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "the file"


def _location(message: str) -> list[str | int]:
    """The document path that the walk's messages begin with: ``network[3].conv2d.kernel: ...``."""
    head = message.partition(":")[0]
    if " " in head:
        return []
    return [int(p) if p.isdigit() else p for p in head.replace("[", ".").replace("]", "").split(".") if p]


def _line(tree: yaml.Node, location: Sequence[Any]) -> int:
    """The line of the deepest node on a document path; a block's inner layers lead to where the block is used."""
    line = tree.start_mark.line
    for part in location:
        if isinstance(tree, yaml.MappingNode):
            found = [(key, value) for key, value in tree.value if str(key.value) == str(part)]
            if not found:
                break
            line, tree = found[0][0].start_mark.line, found[0][1]
        elif isinstance(tree, yaml.SequenceNode) and isinstance(part, int) and part < len(tree.value):
            tree = tree.value[part]
            line = tree.start_mark.line
        else:
            break
    return int(line) + 1


def _duplicates(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.value, key.start_mark.line + 1
            seen.add(key.value)
            yield from _duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _duplicates(value)
