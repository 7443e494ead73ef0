"""Running a published script, unedited, with what it draws replaced in memory."""

from __future__ import annotations

import ast
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from spacecut.errors import InputError
from spacecut.integrations.metapruning.config import MetaPruningConfig
from spacecut.integrations.metapruning.drawing import DRAWS, Drawing, reduced_network
from spacecut.integrations.metapruning.encoding import SCALES, Family
from spacecut.integrations.metapruning.legacy import accuracy, older, with_cuda

__all__ = ["run_script"]

_SNAPSHOT = "searching_snapshot.pkl"
_TRAINING = {
    "train": ("epoch", "train_loader", "model", "criterion", "optimizer", "scheduler"),
    "validate": ("epoch", "val_loader", "model", "criterion", "args"),
}
"""By what training is known."""


def run_script(
    config: MetaPruningConfig, script: Path, arguments: Sequence[str], max_latency: Sequence[float], seed: int = 0
) -> None:
    """Run ``search.py`` or ``train.py`` of the published repository in what a cut left.

    The script runs in its own directory, as the published ones ask for. Its definitions are made first; then its
    drawing functions (search) or its network (training) are replaced, and only then its main part runs.

    Args:
        config: What may be drawn.
        script: The user's script.
        arguments: Its command line.
        max_latency: Bounds in ms for a search, one for all platforms or one for each; none for training.
        seed: Of the search's draws.

    Raises:
        InputError: The script is not as the published one, with what is different.
    """
    try:
        source = script.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{script}: {error.strerror}; give the path of a published search.py or train.py") from None
    definitions, main = _parts(script, source)
    searches = _has(script, definitions, DRAWS)
    if not searches and not _has(script, definitions, _TRAINING):
        raise InputError(
            f"{script}: it defines neither {', '.join(DRAWS)} nor {', '.join(_TRAINING)}: it is not published"
        )
    if searches and not max_latency:
        raise InputError("a search needs a bound; give --max-latency MS")
    if not searches and max_latency:
        raise InputError("training has no bound; leave --max-latency out")
    drawing = Drawing(config, max_latency, seed) if searches else None
    with older() as has_gpu, _as_main(script.resolve(), arguments) as module:
        names = vars(module)
        exec(compile(definitions, str(script), "exec"), names)
        _check(script, names, config.family)
        if "accuracy" in names:
            names["accuracy"] = accuracy
        if not has_gpu and "torch" in names:
            names["torch"] = with_cuda(names["torch"])
        if drawing is None:
            network = config.family.network
            names[network] = reduced_network(names[network], config)
        else:
            names.update({name: getattr(drawing, name) for name in DRAWS})
            _check_snapshot(drawing)
        exec(compile(main, str(script), "exec"), names)


def _parts(script: Path, source: str) -> tuple[ast.Module, ast.Module]:
    """What a script defines, and what it does when it is run."""
    try:
        tree = ast.parse(source, str(script))
    except SyntaxError as error:
        raise InputError(f"{script}: line {error.lineno}: no Python ({error.msg})") from None
    if not tree.body or ast.unparse(tree.body[-1]).partition(":")[0] != "if __name__ == '__main__'":
        raise InputError(f"{script}: it does not end with `if __name__ == '__main__'`, as the published ones do")
    return ast.Module(tree.body[:-1], tree.type_ignores), ast.Module(tree.body[-1:], [])


def _has(script: Path, definitions: ast.Module, wanted: Any) -> bool:
    """Whether a script has these functions.

    Raises:
        InputError: It has some of them, or with other arguments.
    """
    found = {
        node.name: tuple(argument.arg for argument in node.args.args)
        for node in definitions.body
        if isinstance(node, ast.FunctionDef) and node.name in wanted
    }
    if not found:
        return False
    for name, arguments in wanted.items():
        if name not in found:
            raise InputError(f"{script}: it has no {name}, which the published script has")
        if found[name] != arguments:
            raise InputError(
                f"{script}: {name} takes ({', '.join(found[name])}), and in the published script "
                f"({', '.join(arguments)})"
            )
    return True


def _check(script: Path, names: dict[str, Any], family: Family) -> None:
    """Refuse a script whose encoding is another one."""
    for name in family.scales:
        if list(names.get(name, ())) != list(SCALES):
            raise InputError(f"{script}: {name} is not the 31 published scales, which the ids of the config stand for")
    if family.network not in names:
        raise InputError(f"{script}: it has no {family.network}; the config is for {family.folder}")
    if family.repeats and "random_can" in names and tuple(names.get("stage_repeat", ())) != family.repeats:
        raise InputError(f"{script}: stage_repeat is not {list(family.repeats)}, as published")


def _check_snapshot(drawing: Drawing) -> None:
    """A search goes on from its snapshot, which may be of another space."""
    path = Path(_SNAPSHOT)
    if path.exists():
        with path.open("rb") as file:
            held = pickle.load(file)
        drawing.check_candidates([*held["candidates"], *held["keep_top_50"]], str(path.resolve()))


@contextmanager
def _as_main(script: Path, arguments: Sequence[str]) -> Iterator[ModuleType]:
    """An empty module that runs as the program would, in the script's directory."""
    module = ModuleType("__main__")
    module.__file__ = str(script)
    before, was_main = Path.cwd(), sys.modules["__main__"]
    os.chdir(script.parent)
    sys.modules["__main__"] = module
    try:
        with (
            patch.object(sys, "argv", [str(script), *arguments]),
            patch.object(sys, "path", [str(script.parent), *sys.path]),
        ):
            yield module
    finally:
        sys.modules["__main__"] = was_main
        os.chdir(before)
