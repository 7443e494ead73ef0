"""Checking a saved certificate from the files alone, by another way than the one it was made by.

The certificate comes of a trellis and Dinkelbach's iteration. Here the factors are eliminated choice by choice, as
arrays with named axes (bucket elimination; Dechter, Constraint Processing, ch. 4), and the claim is tested as it
stands: no architecture may be rounded up to one that takes more than ``1 + slowdown`` times as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.cut.band import bound_at
from spacecut.cut.certificate import Certificate
from spacecut.latency import LatencyModel
from spacecut.space import SearchSpace

__all__ = ["Check", "check_certificate"]

_RELATIVE = 1e-9
"""Latencies are equal within so much of the larger one."""


@dataclass(frozen=True)
class Check:
    """What came of checking.

    Attributes:
        problems: One line for each thing that does not hold; empty where the certificate holds.
        slowdown: Relative slow-down of the architecture that the certificate names.
        excess_ms: The largest amount by which any architecture's rounded latency is above ``1 + slowdown`` times its
            own; not above 0 but for rounding where the certificate holds.
    """

    problems: tuple[str, ...]
    slowdown: float
    excess_ms: float

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_certificate(full: SearchSpace, reduced: SearchSpace, certificate: Certificate, model: LatencyModel) -> Check:
    """Derive again what a certificate claims.

    Args:
        full: The full space.
        reduced: What is left of it.
        certificate: The claim.
        model: Latency over the full space, from the saved profile.
    """
    problems = [*_sizes(full, reduced, certificate), *_round_up(full, reduced, certificate)]
    if problems:
        return Check(tuple(problems), float("nan"), float("nan"))
    maps = {name: dict(pairs) for name, pairs in certificate.round_up.items()}
    sources, images = [], []
    for choice in full.choices:
        left = set(reduced.choice(choice.name).candidates)
        covered = [c for c in choice.candidates if c in left or c in maps.get(choice.name, {})]
        sources.append(np.asarray([choice.index(c) for c in covered]))
        images.append(np.asarray([choice.index(maps.get(choice.name, {}).get(c, c)) for c in covered]))
    factor = 1.0 + certificate.slowdown
    excess = _largest(model, sources, images, factor)
    slower = _largest(model, sources, images, 1.0)
    scale = model.slowest()[0]
    one, other = (float(model.predict(dict(a))[0]) for a in (certificate.architecture, certificate.rounded))
    slowdown = other / one - 1 if one > 0 else math.inf
    if excess > _RELATIVE * scale:
        problems.append(f"an architecture is slowed down by more than {certificate.slowdown:.4%}, {excess:.3g} ms more")
    if max(slower, 0.0) > certificate.slowdown_ms + _RELATIVE * scale:
        problems.append(f"an architecture is slowed down by {slower:.6g} ms, not {certificate.slowdown_ms:.6g} ms")
    if certificate.slowdown > 0 and not math.isclose(slowdown, certificate.slowdown, rel_tol=1e-6, abs_tol=1e-9):
        problems.append(f"the architecture named is slowed down by {slowdown:.4%}, not {certificate.slowdown:.4%}")
    if (band := certificate.in_band) is not None:
        proved = bound_at(band.weight, _largest(model, sources, images, band.weight), band.low_ms, band.high_ms)
        if not proved <= band.slowdown + _RELATIVE * scale / band.low_ms:
            problems.append(
                f"between {band.low_ms:.6g} and {band.high_ms:.6g} ms a slow-down of {proved:.4%} cannot be ruled out; "
                f"{band.slowdown:.4%} is claimed"
            )
    return Check(tuple(problems), slowdown, excess)


def _sizes(full: SearchSpace, reduced: SearchSpace, certificate: Certificate) -> list[str]:
    claimed = certificate.full_size, certificate.reduced_size
    return [
        f"the {name} space has {space.size} architectures, not {size}"
        for name, space, size in zip(("full", "reduced"), (full, reduced), claimed, strict=True)
        if space.size != size
    ]


def _round_up(full: SearchSpace, reduced: SearchSpace, certificate: Certificate) -> list[str]:
    """Whether each candidate is rounded up to one that is kept and not worse."""
    problems = []
    for choice in full.choices:
        left = set(reduced.choice(choice.name).candidates)
        not_worse = choice.not_worse()
        for old, new in certificate.round_up.get(choice.name, ()):
            if new not in left:
                problems.append(f"{choice.name}: {old} is rounded up to {new}, which is not in the reduced space")
            elif not not_worse[choice.index(old), choice.index(new)]:
                problems.append(f"{choice.name}: {old} is rounded up to {new}, which is not known to be as good")
        if strange := left - set(choice.candidates):
            problems.append(f"{choice.name}: the reduced space has {min(map(str, strange))}, which the full one lacks")
    return problems


def _largest(model: LatencyModel, sources: Sequence[np.ndarray], images: Sequence[np.ndarray], factor: float) -> float:
    """Maximum over all architectures of the rounded latency less ``factor`` times their own, ms."""
    constant = (1 - factor) * model.correction.overhead_ms
    buckets: list[tuple[tuple[int, ...], np.ndarray]] = []
    for table in model.tables:
        if not table.scope:
            constant += (1 - factor) * float(table.values)
            continue
        before = table.values[np.ix_(*(sources[position] for position in table.scope))]
        after = table.values[np.ix_(*(images[position] for position in table.scope))]
        buckets.append((table.scope, after - factor * before))
    left = set(range(len(sources)))
    while left:
        choice = min(left, key=lambda position: (_width(position, buckets, sources), position))
        left.remove(choice)
        touching = [bucket for bucket in buckets if choice in bucket[0]]
        buckets = [bucket for bucket in buckets if choice not in bucket[0]]
        scope = tuple(sorted({position for table_scope, _ in touching for position in table_scope} | {choice}))
        lengths = {position: len(sources[position]) for position in scope}
        joint = sum((_spread(table, scope, lengths) for table in touching), np.zeros([lengths[p] for p in scope]))
        rest = tuple(position for position in scope if position != choice)
        reduced = joint.max(axis=scope.index(choice))
        if rest:
            buckets.append((rest, reduced))
        else:
            constant += float(reduced)
    return constant


def _width(choice: int, buckets: Sequence[tuple[tuple[int, ...], np.ndarray]], sources: Sequence[np.ndarray]) -> float:
    """Log of the number of combinations that eliminating a choice would hold."""
    return sum(math.log(len(sources[p])) for p in {p for scope, _ in buckets if choice in scope for p in scope})


def _spread(
    bucket: tuple[tuple[int, ...], np.ndarray], scope: tuple[int, ...], lengths: Mapping[int, int]
) -> np.ndarray:
    """A table as an array over a larger scope; both scopes ascend."""
    inner, values = bucket
    return values.reshape([lengths[position] if position in inner else 1 for position in scope])
