"""Which machine is this? What a measurement depends on besides the runtime."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

__all__ = ["machine"]

_SHOWN_FLAGS = ("avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "neon", "asimd", "sve")
# Caps on the instruction set change what a runtime does, and so belong to the machine's name.
_CAPS = ("ONEDNN_MAX_CPU_ISA",)


@lru_cache(maxsize=1)
def machine() -> str:
    """One line: processor, family and model, cores, instruction sets, caps that the environment sets."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    except OSError:
        fields = {}
    name = fields.get("model name") or platform.processor() or platform.machine()
    numbers = "/".join(fields[key] for key in ("cpu family", "model", "stepping") if key in fields)
    have = set((fields.get("flags") or fields.get("Features") or "").split())
    flags = " ".join(flag for flag in _SHOWN_FLAGS if flag in have)
    caps = " ".join(f"{cap}={os.environ[cap]}" for cap in _CAPS if cap in os.environ)
    parts = [name, numbers, f"{os.cpu_count()} cores", flags, caps]
    return ", ".join(part for part in parts if part)
