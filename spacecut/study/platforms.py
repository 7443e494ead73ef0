"""Finding 7: how the platforms of a study differ in what they run, in their rules, and in what they are fast at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spacecut.study.finding import HOLDS, MIXED, NOT, UNKNOWN, Finding
from spacecut.study.thresholds import ALIKE, DIFFERENT
from spacecut.study.walk import UNMEASURED, Walk

__all__ = ["judge_platforms"]

_QUESTION = "Do rules hold from platform to platform?"
_CLAIM = "Platforms differ: in what they run, in what they are fast at, and so in the rules for a space."


def judge_platforms(walks: Mapping[str, Walk], findings: Mapping[str, Sequence[Finding]]) -> dict[str, Finding]:
    """Judge for each platform of a study how it stands beside the others.

    Args:
        walks: By platform.
        findings: The other findings, by platform.
    """
    return {name: _judged(name, walks, findings) for name in walks}


def _judged(name: str, walks: Mapping[str, Walk], findings: Mapping[str, Sequence[Finding]]) -> Finding:
    walked = walks[name]
    ran = sum(len(dimension.points) for dimension in walked.dimensions.values())
    failed = [
        " ".join(map(str, architecture.values()))
        for dimension in walked.dimensions.values()
        for architecture, reason in dimension.failures
        if reason != UNMEASURED
    ]
    asked = ran + len(failed)
    figures = {"share of configurations that run": ran / asked}
    said = [f"{ran} of {asked} configurations run"]
    if len(walks) < 2:
        return Finding(7, _QUESTION, _CLAIM, UNKNOWN, f"{said[0]}; only one platform was walked", figures)
    rules = {other: {rule.subject for finding in found for rule in finding.rules} for other, found in findings.items()}
    shares = {other: _shared(rules[name], rules[other]) for other in walks if other != name}
    figures.update({f"share of rules in common with {other}": value for other, value in shares.items()})
    nearest = max(shares, key=lambda other: shares[other])
    said.append(f"it shares {shares[nearest]:.0%} of its rules with {nearest}, {_middle(shares):.0%} in the middle")
    fastest, count = _fastest(name, walks)
    if count:
        figures["share of blocks at which it is the fastest"] = len(fastest) / count
        said.append(f"it is the fastest at {len(fastest)} of {count} blocks" + (": " if fastest else ""))
        said[-1] += ", ".join(fastest)
    verdict = HOLDS if _middle(shares) <= DIFFERENT else NOT if _middle(shares) > ALIKE else MIXED
    rule = "Cut for the platform that the network is for."
    if failed:
        rule += f" It does not run: {', '.join(dict.fromkeys(failed))}."
    return Finding(7, _QUESTION, _CLAIM, verdict, "; ".join(said), figures, rule)


def _shared(one: set[tuple[object, ...]], other: set[tuple[object, ...]]) -> float:
    """The share of two sets of rules that is in both; platforms without rules are alike."""
    return len(one & other) / len(one | other) if one | other else 1.0


def _middle(shares: Mapping[str, float]) -> float:
    return float(np.median(list(shares.values())))


def _fastest(name: str, walks: Mapping[str, Walk]) -> tuple[list[str], int]:
    """The blocks at which no other platform is faster, and how many blocks ran on more than one."""
    fastest, count = [], 0
    for point in walks[name].dimensions["blocks"].points:
        others = [walked.dimensions["blocks"].at(**point.architecture) for walked in walks.values()]
        times = [other.ms for other in others if other is not None]
        if len(times) > 1:
            count += 1
            if point.ms <= min(times):
                fastest.append(f"{point.architecture['block']}{' with SE' if point.architecture['se'] else ''}")
    return fastest, count
