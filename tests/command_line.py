"""The program as tests run it: within their own process, or in one of its own where that matters."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from spacecut.cli import main


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, cwd: Path | None = None) -> Done:
    """Run ``spacecut`` here, which spares a start of Python and what was expanded before."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd or Path.cwd()))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            main([*map(str, arguments)])
        except SystemExit as ended:
            return Done(int(ended.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("a command ends the program")


def run_apart(*arguments: object, cwd: Path | None = None, **variables: str) -> Done:
    """Run ``spacecut`` in a process of its own, with some environment variables besides."""
    command = [sys.executable, "-m", "spacecut", *map(str, arguments)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def answer(*arguments: object, cwd: Path | None = None) -> Any:
    """What a command that succeeds says in JSON."""
    return content_of(run(*arguments, "--json", cwd=cwd), arguments[0])


def answer_apart(*arguments: object, cwd: Path | None = None, **variables: str) -> Any:
    """The same, in a process of its own: nothing but JSON may come on standard output, whoever writes there."""
    return content_of(run_apart(*arguments, "--json", cwd=cwd, **variables), arguments[0])


def content_of(done: Done, command: object) -> Any:
    """The JSON object of a command that succeeded."""
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["version"] == 1
    assert content["command"] == command
    return content
