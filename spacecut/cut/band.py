"""The certificate for architectures between two latencies only.

The worst case over all architectures is often one of the smallest, which nobody wants. Over those that take from ``a``
to ``b`` ms the largest slow-down is bounded by Lagrangian duality (Boyd & Vandenberghe, Convex Optimization, ch. 5):
for any weight ``t``, let ``g`` be the maximum of rounded latency less ``t`` times latency over *all* architectures.
Then no architecture in the band is slowed down by more than ``t - 1 + g/a``, or ``t - 1 + g/b`` where ``g`` is
negative. The best weight is found by minimising this convex function; whoever has the weight can check the bound with
a single maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.optimize import minimize_scalar

from spacecut.cut.rounding import Rounding

__all__ = ["InBand", "bound_at", "within_band"]

_PRECISION = 1e-7


@dataclass(frozen=True)
class InBand:
    """The worst that rounding up can do to architectures between two latencies.

    Attributes:
        low_ms, high_ms: Between which latencies.
        slowdown: No architecture in the band is slowed down by more; 0.02 is 2 %.
        attained: An architecture in the band is slowed down by as much; 0 if none was met.
        weight: That proves the bound.
    """

    low_ms: float
    high_ms: float
    slowdown: float
    attained: float
    weight: float


def bound_at(weight: float, largest: float, low_ms: float, high_ms: float) -> float:
    """The slow-down in the band that a weight proves.

    Args:
        weight: Any.
        largest: Maximum over all architectures of rounded latency less ``weight`` times latency, ms.
        low_ms: Where the band begins.
        high_ms: Where it ends.
    """
    return weight - 1 + largest / (low_ms if largest >= 0 else high_ms)


def within_band(rounding: Rounding, slowdown: float, band: tuple[float, float]) -> InBand | None:
    """The certificate of a band.

    Args:
        rounding: What is rounded up to what.
        slowdown: The largest over all architectures.
        band: Latencies in ms.

    Returns:
        None where the band is empty or holds latencies of 0 ms.
    """
    low, high = band
    if not 0 < low <= high:
        return None
    attained = 0.0

    def bound(weight: float) -> float:
        nonlocal attained
        value, taken = rounding.largest(weight)
        old, new = rounding.latencies(taken)
        if low <= old <= high:
            attained = max(attained, new / old - 1)
        return bound_at(weight, value, low, high)

    found = minimize_scalar(bound, bounds=(0.0, 1.0 + slowdown), method="bounded", options={"xatol": _PRECISION})
    candidates = [(bound(weight), weight) for weight in (float(found.x), 1.0 + slowdown)]
    least, weight = min(candidates)
    return InBand(low, high, max(least, attained, 0.0), attained, weight)
