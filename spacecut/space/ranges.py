"""Short text for long lists of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from spacecut.space.choice import Candidate

__all__ = ["shown_candidates", "shown_size"]


def shown_candidates(candidates: Sequence[Candidate]) -> str:
    """Candidates with runs of whole numbers drawn together: ``1-16, 32``."""
    parts: list[str] = []
    start = 0
    for index in range(1, len(candidates) + 1):
        last = candidates[index - 1]
        if index < len(candidates) and isinstance(last, int) and candidates[index] == last + 1:
            continue
        first = candidates[start]
        parts += (
            [str(first)] if index - start == 1 else [f"{first}-{last}"] if index - start > 2 else [f"{first}, {last}"]
        )
        start = index
    return ", ".join(parts)


def shown_size(size: int) -> str:
    """A number of architectures: whole while short, else in powers of ten."""
    return f"{size:,}" if size < 10**7 else f"{Decimal(size):.2e}"
