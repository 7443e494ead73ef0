"""What a reduced space cannot lose: the exact worst case over all architectures of the full space.

The round-up map replaces every dropped candidate by its dominator, so that every architecture of the full space has
one in the reduced space that is at least as good in every choice. How much slower can that one be? The largest
difference is found exactly by max-sum over the factors, and by Dinkelbach's method (Management Science 13, 1967) so is
the largest ratio.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spacecut.cut.band import InBand, within_band
from spacecut.cut.rounding import Rounding, picked
from spacecut.latency import LatencyModel
from spacecut.space import Candidate

__all__ = ["Certificate", "certify"]

_UNKNOWN = {"slowdown": float("inf"), "model_error": float("nan")}


@dataclass(frozen=True)
class Certificate:
    """The worst that rounding up can do, by the latency model.

    Attributes:
        platform: What the model was measured on.
        full_size, reduced_size: Architectures before and after.
        slowdown_ms: The largest slow-down of any architecture; not below 0.
        slowdown: The largest relative one: 0.02 is 2 % slower. Infinite where what takes no time is rounded up to what
            does.
        architecture: Where the relative one is reached, in the full space.
        rounded: What that architecture is rounded up to.
        model_error: The model's relative error on whole networks: what the figures above are known within.
        round_up: For each choice, the dropped candidates with what each is rounded up to.
        in_band: The same for architectures between two latencies; None where that is not defined.
    """

    platform: str
    full_size: int
    reduced_size: int
    slowdown_ms: float
    slowdown: float
    architecture: Mapping[str, Candidate]
    rounded: Mapping[str, Candidate]
    model_error: float
    round_up: Mapping[str, Sequence[tuple[Candidate, Candidate]]]
    in_band: InBand | None = None

    def as_json(self) -> dict[str, Any]:
        """The certificate as plain data: sizes as text, since they outgrow what JSON readers hold; unknown is null."""
        fields = asdict(self)
        fields.update(full_size=str(self.full_size), reduced_size=str(self.reduced_size))
        for name in _UNKNOWN:
            fields[name] = fields[name] if np.isfinite(fields[name]) else None
        return fields

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Certificate:
        """Read what :meth:`as_json` made; other keys are passed over.

        Raises:
            ValueError, KeyError, TypeError: It is no certificate.
        """
        fields = {key: content[key] for key in cls.__dataclass_fields__ if key != "in_band"}
        fields.update(full_size=int(fields["full_size"]), reduced_size=int(fields["reduced_size"]))
        for name, unknown in _UNKNOWN.items():
            fields[name] = unknown if fields[name] is None else float(fields[name])
        round_up = {name: [(old, new) for old, new in pairs] for name, pairs in dict(fields["round_up"]).items()}
        band = content.get("in_band")
        return cls(**{**fields, "round_up": round_up, "in_band": None if band is None else InBand(**band)})


def certify(
    model: LatencyModel,
    maps: Sequence[np.ndarray],
    possible: Sequence[np.ndarray],
    platform: str,
    band: tuple[float, float],
) -> Certificate:
    """Certify a round-up map.

    Args:
        model: Latency over the full space.
        maps: For each choice, the candidate number that each candidate is rounded up to.
        possible: For each choice, candidate numbers to certify over: all but those that a latency bound rules out.
        platform: What the model was measured on.
        band: Latencies in ms that are certified apart.
    """
    space = model.space
    rounding = Rounding(model, maps, possible)
    slowdown_ms, worst = rounding.largest(1.0)
    factor = _ratio(rounding, worst)
    while np.isfinite(factor):
        _, taken = rounding.largest(factor)
        if (higher := _ratio(rounding, taken)) <= factor:
            break
        worst, factor = taken, higher
    pairs = {
        choice.name: [
            (choice.candidates[old], choice.candidates[new])
            for old, new in zip(numbers, rounded, strict=True)
            if old != new
        ]
        for choice, numbers, rounded in zip(space.choices, possible, rounding.images, strict=True)
    }
    slowdown = max(factor - 1.0, 0.0)
    return Certificate(
        platform,
        space.size,
        math.prod(len(np.unique(rounded)) for rounded in rounding.images),
        max(slowdown_ms, 0.0),
        slowdown,
        space.decode(picked(possible, worst)),
        space.decode(picked(rounding.images, worst)),
        model.correction.error,
        pairs,
        within_band(rounding, slowdown, band) if np.isfinite(slowdown) else None,
    )


def _ratio(rounding: Rounding, taken: np.ndarray) -> float:
    old, new = rounding.latencies(taken)
    if old <= 0:
        return float("inf") if new > 0 else 1.0
    return new / old
