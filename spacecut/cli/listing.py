"""``spacecut platforms`` and ``spacecut spaces``."""

from __future__ import annotations

from dataclasses import asdict

from spacecut.cli.output import Json, emit, out
from spacecut.platforms import platform_statuses
from spacecut.report import show_platforms, show_spaces
from spacecut.space import load_space, shipped_spaces

__all__ = ["platforms", "spaces"]


def platforms(as_json: Json = False) -> None:
    """Show which platforms can run here, and what to install for those that cannot."""
    statuses = platform_statuses()
    if as_json:
        emit("platforms", {"platforms": {name: asdict(status) for name, status in statuses.items()}})
    else:
        show_platforms(out(), statuses)


def spaces(as_json: Json = False) -> None:
    """Show the search spaces that come with spacecut."""
    loaded = [load_space(name) for name in shipped_spaces()]
    if as_json:
        rows = {
            space.name: {
                "choices": len(space.choices),
                "size": str(space.size),
                "description": space.document.description,
                "source": space.document.source,
            }
            for space in loaded
        }
        emit("spaces", {"spaces": rows})
    else:
        show_spaces(out(), loaded)
