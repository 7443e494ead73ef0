"""Processes whose memory lies at the same addresses every time they are started.

Linux places the code, heap and stack of a process at random. Where they lie decides which branches and which lines of
caches get in each other's way, so that one process runs an operator some per cent slower than another for as long as
it lives: what several runs in one process agree on can still be off (Mytkowicz et al., Producing wrong data without
doing anything obviously wrong, ASPLOS 2009).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["fixed_addresses"]

_NOT_RANDOM = 0x0040000
"""``ADDR_NO_RANDOMIZE`` of ``personality(2)``."""
_AS_IT_IS = 0xFFFFFFFF


@contextmanager
def fixed_addresses() -> Iterator[None]:
    """What this thread starts meanwhile is not placed at random, where the system has that and allows it."""
    if sys.platform != "linux":
        yield
        return
    personality = ctypes.CDLL(None).personality
    personality.argtypes = [ctypes.c_ulong]
    before = personality(_AS_IT_IS)
    personality(before | _NOT_RANDOM)  # it takes effect when a program is executed; a refusal changes nothing
    try:
        yield
    finally:
        personality(before)
