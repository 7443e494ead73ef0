"""Finding platforms: entry points of the group ``spacecut.platforms``, ours and those of other packages."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points

from spacecut.errors import InputError, PlatformUnavailable
from spacecut.platforms.platform import Platform, PlatformName, Status

__all__ = ["get_platform", "platform_statuses"]

_GROUP = "spacecut.platforms"


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(entry_points(group=_GROUP), key=lambda point: point.name)}


def _load(point: EntryPoint) -> type[Platform]:
    platform: type[Platform] = point.load()
    return platform


def platform_statuses() -> dict[str, Status]:
    """Every known runtime and whether it can run here."""
    statuses = {}
    for name, point in _found().items():
        try:
            statuses[name] = _load(point).status()
        except ImportError as error:
            statuses[name] = Status(False, reason=f"its module does not import ({error})")
    return statuses


def get_platform(name: str, threads: int = 1, batch: int = 1) -> Platform:
    """The platform of a name such as ``onnxruntime`` or ``openvino:fp32``.

    Raises:
        InputError: There is no such runtime, device or precision, or threads or batch is below 1.
        PlatformUnavailable: It cannot run here.
    """
    parsed = PlatformName.parse(name)
    points = _found()
    if parsed.runtime not in points:
        close = difflib.get_close_matches(parsed.runtime, points, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(points)}"
        raise InputError(f"unknown platform {name!r}; {hint}")
    for what, number in (("threads", threads), ("batch", batch)):
        if number < 1:
            raise InputError(f"{what} must be at least 1, not {number}")
    kind = _load(points[parsed.runtime])
    status = kind.status()
    if not status.available:
        raise PlatformUnavailable(f"platform {name!r} cannot run here: {status.reason}")
    return kind(parsed, threads, batch)
