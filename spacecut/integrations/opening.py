"""Search spaces by name, others' spaces among them: ``nni:PACKAGE.MODULE:FACTORY`` is an NNI model space."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

from spacecut.errors import InputError, SpacecutError
from spacecut.space import SearchSpace, load_space

__all__ = ["open_space"]

_NNI = "nni:"
_FORM = re.compile(r"nni:(?P<module>[\w.]+):(?P<factory>[\w.]+)(@(?P<shape>\d+x\d+x\d+))?")


def open_space(name: str) -> SearchSpace:
    """A shipped space, a space file, or a space of NNI's.

    Args:
        name: A shipped space's name, the path of a space file, or ``nni:PACKAGE.MODULE:FACTORY@CxHxW``: what to call
            for an NNI model space, found from the working directory too, and the shape of one input. The shape may be
            left out where the model space has an attribute ``input_shape``.

    Raises:
        InputError: There is no such space, or it cannot be read, or NNI is not installed.
    """
    return _open_nni(name) if name.startswith(_NNI) else load_space(name)


def _open_nni(name: str) -> SearchSpace:
    match = _FORM.fullmatch(name)
    if match is None:
        raise InputError(f"{name!r} names no NNI space; write nni:PACKAGE.MODULE:FACTORY@3x224x224")
    try:
        from spacecut.integrations.nni import read_model_space
    except ImportError as error:
        raise InputError(str(error)) from None
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        made = importlib.import_module(match["module"])
        for part in match["factory"].split("."):
            made = getattr(made, part)
        space = made()  # type: ignore[operator]
    except SpacecutError:
        raise
    except Exception as error:  # it is the user's code, and anything can happen there
        raise InputError(f"{name}: cannot be made ({type(error).__name__}: {error})") from error
    shape = tuple(map(int, match["shape"].split("x"))) if match["shape"] else getattr(space, "input_shape", None)
    if shape is None:
        raise InputError(f"{name} does not tell the shape of its input; write {name}@3x224x224")
    channels, height, width = shape
    return read_model_space(space, (channels, height, width)).space.renamed(name)
