"""``spacecut fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spacecut.cli.output import Json, emit, out, recorded_json
from spacecut.errors import InputError
from spacecut.latency import fit as fit_latencies
from spacecut.latency import fit_blocks, fit_operators, read_blocks, read_latencies, read_operators
from spacecut.report import show_recorded
from spacecut.space import load_space

__all__ = ["fit"]


def fit(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="A shipped space's name, or the path of a space file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to save the recorded platform.")],
    latencies: Annotated[
        Path | None, typer.Option(help="CSV file, gzipped or not: architectures with their ms.")
    ] = None,
    operators: Annotated[Path | None, typer.Option(help="Or this: CSV or JSON, operators with their ms.")] = None,
    blocks: Annotated[
        Path | None,
        typer.Option(help="Or this: blocks with their ms, as OFA and ProxylessNAS write them in YAML."),
    ] = None,
    column: Annotated[str | None, typer.Option(help="The column of ms; needed where there are several.")] = None,
    rows: Annotated[int | None, typer.Option("-n", metavar="ROWS", help="Take so many rows at random.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the rows taken.")] = 0,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Take only these rows; repeatable."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Operators that cost nothing; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit a space's costs to latencies that someone else measured; the result stands for a platform."""
    full = load_space(space)
    if sum(file is not None for file in (latencies, operators, blocks)) != 1:
        raise InputError("give one of --latencies, of whole networks, --operators and --blocks")
    if operators is None and (where or without):
        raise InputError("--where and --without are about --operators")
    if latencies is None and rows is not None:
        raise InputError("-n draws whole networks, and is about --latencies")
    if blocks is not None:
        if column is not None:
            raise InputError("--column is about CSV files; a table of blocks has none")
        recorded = fit_blocks(full, read_blocks(blocks))
    elif operators is not None:
        table = read_operators(operators, _conditions(where or []), column)
        recorded = fit_operators(full, table, without or [])
    else:
        assert latencies is not None
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


def _conditions(words: list[str]) -> dict[str, str]:
    """Words such as ``batch=128``, by column."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise InputError(f"--where {word!r} must be COLUMN=VALUE, such as batch=128")
        found[name] = value
    return found
