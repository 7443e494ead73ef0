"""A YAML file that knows its lines; a file of bad intent costs neither much time nor much memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spacecut.errors import InputError
from spacecut.space.place import Place

__all__ = ["Source", "read_source"]

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 500_000
MAX_MESSAGE = 600
TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "merge", "seq", "map"))


class _Loader(yaml.SafeLoader):
    """Plain values only; dates stay text."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise _broken(node, "this value cannot be read", "write it in another way") from None


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Source:
    """What a YAML file holds.

    Attributes:
        path: The file.
        content: Its content.
        tree: The nodes that it was written as.
    """

    path: Path
    content: Any
    tree: yaml.Node | None

    def problem(self, place: Place, text: str) -> InputError:
        """An error of one line that names the file and the line of a place."""
        return _problem(self.path, self._line(place), text)

    def _line(self, place: Place) -> int:
        """The line of the deepest node on the way to a place; into a block's layers it leads to the block."""
        if self.tree is None:
            return 1
        node, line = self.tree, self.tree.start_mark.line
        for depth, part in enumerate(place):
            if isinstance(part, int) and isinstance(node, yaml.MappingNode) and place[0] == "network":
                node = _child(_child(_child(self.tree, "blocks"), place[depth - 1]), "layers") or node
            found = _entry(node, part)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line
        return int(line) + 1


def read_source(path: Path) -> Source:
    """Read a YAML file.

    Raises:
        InputError: It cannot be read, or is not YAML, or is absurdly large.
    """
    text = _text(path)
    loader = None
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        if tree is None:
            return Source(path, None, None)
        _check(loader, tree)
        return Source(path, loader.construct_document(tree), tree)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _problem(path, line, "broken YAML: a character that may not stand there; remove it") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem)))
        mend = error.note or "mend the syntax there"
        raise _problem(path, mark.line + 1 if mark else 1, f"broken YAML: {problem}; {mend}") from None
    except RecursionError:
        line = loader.line + 1 if loader else 1
        raise _problem(path, line, f"broken YAML: nested deeper than {MAX_DEPTH}; nest less") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _problem(path, None, f"it cannot be read ({error.strerror}); check the file") from None
    if len(content) > MAX_BYTES:
        raise _problem(path, None, f"it has more than {MAX_BYTES} bytes; a space file is smaller, give another")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _problem(path, line, "it is not UTF-8 text; save it as UTF-8") from None


def _check(loader: _Loader, tree: yaml.Node) -> None:
    for count, node in enumerate(_nodes(tree, 0)):
        if count > MAX_NODES:
            raise _broken(node, f"with its aliases it has more than {MAX_NODES} values", "write less")
        if node.tag not in TAGS:
            raise _broken(node, f"the tag {node.tag!r} has no place in a space file", "remove it")
        if isinstance(node, yaml.ScalarNode) and not _is_unicode(node.value):
            raise _broken(node, "half a character", "remove it")
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                    name = loader.construct_object(key)
                    if name in seen:
                        raise _broken(key, f"the key {key.value!r} is given twice", "remove one")
                    seen.add(name)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _nodes(node: yaml.Node, depth: int) -> Iterator[yaml.Node]:
    """Every node, behind what it holds, as often as aliases repeat it."""
    if depth > MAX_DEPTH:
        raise _broken(node, f"nested deeper than {MAX_DEPTH}", "nest less")
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _nodes(child, depth + 1)
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for child in pair:
                yield from _nodes(child, depth + 1)
    yield node


def _broken(node: yaml.Node, problem: str, mend: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, node.start_mark, mend)


def _problem(path: Path, line: int | None, text: str) -> InputError:
    where = f"{path}:{line}" if line else f"{path}"
    whole = "".join(character if character.isprintable() else " " for character in f"{where}: {text}")
    if len(whole) > MAX_MESSAGE:
        whole = f"{whole[: MAX_MESSAGE // 2]} ... {whole[-MAX_MESSAGE // 3 :]}"
    return InputError(whole)


def _entry(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that names a part of a node, and the part."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in reversed(node.value) if str(key.value) == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    found = _entry(node, part)
    return found[1] if found else None
