"""The command line: thin, one file a command group."""

from __future__ import annotations

import os
import sys

import typer
from typer.exceptions import TyperException

from spacecut.cli import cutting, exporting, fitting, listing, scoring, studying
from spacecut.cli.output import emit
from spacecut.errors import SpacecutError

__all__ = ["app", "main"]

_USAGE = 2
_INTERRUPTED = 130

app = typer.Typer(
    name="spacecut",
    help="Measure how a platform really runs neural networks, and cut the search space before the search.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    listing.platforms, listing.spaces, cutting.profile, cutting.cut, scoring.score, cutting.predict,
    scoring.verify, scoring.check_certificate, fitting.fit, studying.study, studying.compare,
    exporting.export,
):  # fmt: skip
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the program and end it: 0 done, 2 bad usage or input, 3 platform unavailable, 4 measurement failed."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status = typer.main.get_command(app).main(args=given, prog_name="spacecut", standalone_mode=False)
        sys.stdout.flush()
    except SpacecutError as error:
        status = _failed(given, str(error), error.exit_status)
    except TyperException as error:
        hint = "" if "--help" in error.format_message() else "; see `spacecut --help`"
        status = _failed(given, error.format_message().rstrip(".") + hint, _USAGE)
    except (KeyboardInterrupt, typer.Abort):
        status = _failed(given, "interrupted; what was measured is kept, and the same command resumes", _INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


def _failed(given: list[str], message: str, status: int) -> int:
    line = " ".join(message.split())
    if "--json" in given:
        emit("error", {"error": line, "exit_status": status})
    print(f"spacecut: {line}", file=sys.stderr)
    return status
