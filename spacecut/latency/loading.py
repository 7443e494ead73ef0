"""What stands for a platform in a file: a profile or a recorded platform."""

from __future__ import annotations

from pathlib import Path

from spacecut.errors import InputError
from spacecut.latency.profile import Profile, read_profile
from spacecut.latency.recorded import RecordedPlatform, read_recorded

__all__ = ["AnyProfile", "load_profile"]

AnyProfile = Profile | RecordedPlatform
"""Both have a ``platform``, a ``latency_model(space)``, and ``save(path)``."""

_GZIP = b"\x1f\x8b"


def load_profile(path: str | Path) -> AnyProfile:
    """Read a file that :meth:`Profile.save` or :meth:`RecordedPlatform.save` wrote.

    Raises:
        InputError: The file is missing, or neither of them.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(len(_GZIP))
    except FileNotFoundError:
        raise InputError(f"no profile {str(path)!r}; make one with `spacecut profile`") from None
    except OSError as error:
        raise InputError(f"{path}: no spacecut profile ({error.strerror})") from None
    return read_profile(path) if start == _GZIP else read_recorded(path)
