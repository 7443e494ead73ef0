"""What commands share: options, the JSON object, the consoles and the progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from spacecut.latency import AnyProfile, RecordedPlatform
from spacecut.measure import Progress as Told

__all__ = [
    "JSON_VERSION",
    "PLATFORM_FORM",
    "Json",
    "StoreUrl",
    "Threads",
    "emit",
    "estimated_by",
    "out",
    "progress",
    "recorded_json",
    "terminal",
]

JSON_VERSION = 1
PLATFORM_FORM = escape("RUNTIME[/DEVICE][:PRECISION]")
"""How a platform is written, for the help texts, which are rich markup."""

StoreUrl = Annotated[
    str, typer.Option("--store", help="Path or SQLAlchemy URL of the store of raw samples.", envvar="SPACECUT_STORE")
]
Threads = Annotated[int, typer.Option(help="Threads of one inference.")]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]


def out() -> Console:
    """The console of results; wide enough not to fold tables when it is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def terminal() -> Console:
    """The console of progress and logs."""
    return Console(stderr=True, highlight=False)


def emit(command: str, content: Mapping[str, Any]) -> None:
    """Print the JSON object of a command."""
    sys.stdout.write(json.dumps({"version": JSON_VERSION, "command": command, **content}, allow_nan=False) + "\n")


def recorded_json(recorded: RecordedPlatform) -> dict[str, Any]:
    """All that a recorded platform's file says."""
    return {"platform": recorded.platform, **asdict(recorded)}


def estimated_by(profile: AnyProfile) -> str | None:
    """What estimated the latencies where none was measured."""
    return None if isinstance(profile, RecordedPlatform) else profile.platform.estimated_by or None


@contextmanager
def progress(what: str) -> Iterator[Told]:
    """A progress bar with an estimate of the time left, on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=terminal(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, expected: bar.update(task, completed=done, total=expected)
