"""Whose time is it? From the nodes that a runtime reports to the operators of the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["charge", "owner"]

_OWNER = re.compile(r"(?:^|[^A-Za-z0-9])n(\d+)\.")


def owner(name: str) -> int | None:
    """The network node whose prefix ``n<position>.`` a runtime's node name carries; the last one of a fused name.

    ONNX Runtime names what quantises or dequantises a value after the value, so it belongs to the node that gives it.
    """
    found = _OWNER.findall(name)
    return int(found[-1]) if found else None


def charge(
    executed: Iterable[tuple[int | None, Sequence[float]]],
) -> dict[int, list[float]]:
    """Sum runtime nodes into network nodes.

    Args:
        executed: In order of execution, the owner of each runtime node (None where the runtime inserted it) and its
            times.

    Returns:
        Times of each network node. An inserted node counts for the operator before it; those before the first and
        after the last operator convert the network's input and output and count for none.
    """
    result: dict[int, list[float]] = {}
    current: int | None = None
    waiting: list[Sequence[float]] = []
    for position, times in executed:
        if position is None:
            waiting.append(times)
            continue
        if current is not None:
            for inserted in waiting:
                result[current] = _summed(result[current], inserted)
        waiting = []
        current = position
        result[current] = _summed(result[current], times) if current in result else list(times)
    return result


def _summed(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]
