"""``spacecut export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from spacecut.cli.output import Json, emit, out
from spacecut.errors import InputError
from spacecut.integrations.metapruning import write_metapruning
from spacecut.integrations.nni_file import write_nni
from spacecut.integrations.ofa import write_ofa
from spacecut.integrations.optuna_file import write_optuna
from spacecut.integrations.torch_pruning_file import write_torch_pruning

__all__ = ["export"]

WRITERS: dict[str, Callable[[Path], list[Path]]] = {
    "metapruning": write_metapruning,
    "nni": write_nni,
    "ofa": write_ofa,
    "optuna": write_optuna,
    "torch-pruning": write_torch_pruning,
}
"""By what is written for: from the directory of a cut to the files written there."""


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What `spacecut cut -o` wrote.", show_default=False)],
    to: Annotated[str, typer.Option("--to", help=f"What to write for: {', '.join(WRITERS)}.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Write a reduction in the form that what searches it takes."""
    if to not in WRITERS:
        raise InputError(f"--to {to!r} is not known; give {', '.join(WRITERS)}")
    try:
        files = WRITERS[to](directory)
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror}") from None
    if as_json:
        emit("export", {"to": to, "files": [str(path) for path in files]})
    else:
        for path in files:
            out().print(f"wrote {path}")
