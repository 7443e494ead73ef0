"""``spacecut fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spacecut.cli.output import Json, emit, out, recorded_json
from spacecut.errors import InputError
from spacecut.latency import fit as fit_latencies
from spacecut.latency import read_latencies
from spacecut.report import show_recorded
from spacecut.space import load_space

__all__ = ["fit"]


def fit(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="A shipped space's name, or the path of a space file.")],
    latencies: Annotated[Path, typer.Option(help="CSV file, gzipped or not: architectures with their ms.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to save the recorded platform.")],
    column: Annotated[str | None, typer.Option(help="The column of ms; needed where there are several.")] = None,
    rows: Annotated[int | None, typer.Option("-n", metavar="ROWS", help="Take so many rows at random.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the rows taken.")] = 0,
    as_json: Json = False,
) -> None:
    """Fit a space's costs to whole-network latencies that someone else measured; the result stands for a platform."""
    full = load_space(space)
    recorded = fit_latencies(full, read_latencies(latencies, full, column), rows, seed)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        recorded.save(output)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}; give another -o") from None
    if as_json:
        emit("fit", {**recorded_json(recorded), "output": str(output)})
    else:
        show_recorded(out(), recorded)
        out().print(f"file: {output}")
