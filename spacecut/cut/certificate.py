"""What a reduced space cannot lose: the exact worst case over all architectures of the full space.

The round-up map replaces every dropped candidate by its dominator, so that every architecture of the full space has
one in the reduced space that is at least as good in every choice. How much slower can that one be? The latency of
both is a sum over the same factors, so the largest difference, and by Dinkelbach's method (Management Science 13,
1967) the largest ratio, are found exactly by max-sum over the factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spacecut.latency import LatencyModel, SumTable, Trellis
from spacecut.latency.elimination import minimum
from spacecut.space import Candidate

__all__ = ["Certificate", "certify"]

_ITERATIONS = 50


@dataclass(frozen=True)
class Certificate:
    """The worst that rounding up can do, by the latency model.

    Attributes:
        platform: What the model was measured on.
        full_size, reduced_size: Architectures before and after.
        slowdown_ms: The largest slow-down of any architecture; not below 0.
        slowdown: The largest relative one: 0.02 is 2 % slower.
        architecture: Where the relative one is reached, in the full space.
        rounded: What that architecture is rounded up to.
        model_error: The model's relative error on whole networks: what the figures above are known within.
        round_up: For each choice, the dropped candidates with what each is rounded up to.
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

    def as_json(self) -> dict[str, Any]:
        """The certificate as plain data; sizes as text, since they outgrow what JSON readers hold."""
        fields = asdict(self)
        fields.update(full_size=str(self.full_size), reduced_size=str(self.reduced_size))
        fields["model_error"] = self.model_error if np.isfinite(self.model_error) else None
        return fields


def certify(
    model: LatencyModel, maps: Sequence[np.ndarray], possible: Sequence[np.ndarray], platform: str
) -> Certificate:
    """Certify a round-up map.

    Args:
        model: Latency over the full space.
        maps: For each choice, the candidate number that each candidate is rounded up to.
        possible: For each choice, candidate numbers to certify over: all but those that a latency bound rules out.
        platform: What the model was measured on.
    """
    space = model.space

    def over_possible(values: np.ndarray, scope: tuple[int, ...]) -> np.ndarray:
        return values[np.ix_(*(possible[position] for position in scope))] if scope else values

    before = [SumTable(table.scope, over_possible(table.values, table.scope)) for table in model.tables]
    after = [
        SumTable(
            table.scope,
            over_possible(table.values[np.ix_(*(maps[position] for position in table.scope))], table.scope)
            if table.scope
            else table.values,
        )
        for table in model.tables
    ]
    lengths = [len(numbers) for numbers in possible]

    def largest(weight: float) -> tuple[float, np.ndarray]:
        """Maximum of rounded latency minus ``weight`` times latency, and where."""
        tables = [
            SumTable(old.scope, weight * old.values - new.values) for old, new in zip(before, after, strict=True)
        ]
        value, taken = minimum(Trellis(lengths, tables))
        return (1 - weight) * model.calibration.overhead_ms - value, taken

    def original(taken: np.ndarray) -> np.ndarray:
        return np.asarray([possible[position][number] for position, number in enumerate(taken)], dtype=np.int64)

    def ratio(taken: np.ndarray) -> float:
        numbers = original(taken)[None]
        rounded = np.asarray([[maps[position][number] for position, number in enumerate(numbers[0])]], dtype=np.int64)
        return float(model.predict(rounded)[0] / model.predict(numbers)[0])

    slowdown_ms, _ = largest(1.0)
    factor, where = 1.0, np.zeros(len(lengths), dtype=np.int64)
    for _ in range(_ITERATIONS):
        gain, taken = largest(factor)
        if gain <= 1e-12:
            break
        where, factor = taken, ratio(taken)
    numbers = original(where)
    rounded = np.asarray([maps[position][number] for position, number in enumerate(numbers)], dtype=np.int64)
    pairs = {
        choice.name: [
            (choice.candidates[number], choice.candidates[maps[position][number]])
            for number in possible[position]
            if maps[position][number] != number
        ]
        for position, choice in enumerate(space.choices)
    }
    reduced_size = 1
    for position in range(len(lengths)):
        reduced_size *= len(np.unique(maps[position][possible[position]]))
    return Certificate(
        platform,
        space.size,
        reduced_size,
        max(slowdown_ms, 0.0),
        factor - 1.0,
        space.decode(numbers),
        space.decode(rounded),
        model.calibration.error,
        pairs,
    )
