"""Finding 5: what a lower precision gains, operator by operator and block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spacecut.cut import Rule
from spacecut.study.finding import HOLDS, MIXED, NOT, UNKNOWN, Finding
from spacecut.study.thresholds import PAYS, UNEQUAL
from spacecut.study.walk import Walk

__all__ = ["precision"]

_QUESTION = "Does a lower precision pay?"
_CLAIM = "INT8 pays much on units made for it and less on CPUs, and much less for blocks with poor support."

Gains = Mapping[tuple[str, str, str], float]
"""Speed-up by dimension and its two candidates."""


def precision(walked: Walk, lower: Mapping[str, Walk]) -> Finding:
    """Judge what the lower precisions of a platform gain.

    Args:
        walked: The platform in its highest precision.
        lower: The same at lower ones, by name.
    """
    found = {name: gains for name, other in lower.items() if (gains := _gains(walked, other))}
    if not found:
        reason = "operators did not run" if lower else "this platform was walked in one precision only"
        return Finding(5, _QUESTION, _CLAIM, UNKNOWN, reason)
    figures, said, slower = {}, [], []
    rules: list[Rule] = []
    for name, gains in found.items():
        word = name.rpartition(":")[2]
        told = {_label(*place): value for place, value in gains.items()}
        figures.update({f"{word} {label}": value for label, value in told.items()})
        best, worst = max(told, key=lambda label: told[label]), min(told, key=lambda label: told[label])
        said.append(f"{word}: {told[best]:.2f} times as fast for {best}, {told[worst]:.2f} times for {worst}")
        if lost := [label for label, value in told.items() if value < 1]:
            slower.append(f"{word} slows down {', '.join(lost)}")
        rules += _rules(name, gains)
    best_gain, worst_gain = max(figures.values()), min(figures.values())
    unequal = best_gain / worst_gain >= UNEQUAL
    nowhere, alike = best_gain < PAYS, worst_gain >= PAYS and not unequal
    verdict = NOT if nowhere or alike else HOLDS if unequal else MIXED
    rule = f"Keep the higher precision, or do without these: {'; '.join(slower)}." if slower else ""
    return Finding(5, _QUESTION, _CLAIM, verdict, "; ".join(said), figures, rule, tuple(rules))


def _gains(walked: Walk, other: Walk) -> Gains:
    """How many times as fast every operator and block is that ran in both."""
    found = {}
    for name in ("blocks", "activations", "kernels"):
        for point in walked.dimensions[name].points:
            lower = other.dimensions[name].at(**point.architecture)
            if lower is not None:
                first, second = map(str, point.architecture.values())
                found[name, first, second] = point.ms / lower.ms
    return found


def _label(dimension: str, first: str, second: str) -> str:
    match dimension:
        case "blocks":
            return f"{first} with SE" if second == "1" else first
        case "kernels":
            return f"{first} {second}x{second}"
        case _:
            return f"{first} {second}"


def _rules(name: str, gains: Gains) -> Iterator[Rule]:
    """What is slower in the lower precision, though the same without it is not."""
    lost = {
        block: gains[dimension, block, "1"]
        for dimension, block, se in gains
        if dimension == "blocks" and se == "1" and gains[dimension, block, "1"] < 1 <= gains[dimension, block, "0"]
    }
    if lost:
        told = ", ".join(f"{block} with it {value:.2f} times as fast" for block, value in lost.items())
        yield Rule(platform=name, finding=5, dimension="squeeze_excite", evidence=told)
    least: dict[str, float] = {}
    for (dimension, _, word), value in gains.items():
        if dimension == "activations":
            least[word] = min(value, least.get(word, value))
    prefer = tuple(word for word, value in least.items() if value >= 1 and word != "none")
    for word, value in least.items():
        if value < 1 <= least.get("none", 0.0) and prefer:
            told = f"{value:.2f} times as fast as in the higher precision"
            yield Rule(platform=name, finding=5, dimension="activation", avoid=word, prefer=prefer, evidence=told)
