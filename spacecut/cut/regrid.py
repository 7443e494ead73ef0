"""Candidates on the steps: widths that a grid such as ``int(base * scale)`` misses.

Where a platform's latency rises in steps, the widths worth having are the last ones before a step. A grid that was laid
without looking passes them by. So the widths between a choice's candidates are priced by the latency model, those that
no larger one dominates are added as candidates, and the enlarged space is measured and cut like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spacecut.cut.dominance import compare, dominated
from spacecut.cut.inflation import Fronts, Inflation, affordable_functions, latency_band
from spacecut.cut.reduction import Reduction
from spacecut.cut.selection import JUDGED_BY
from spacecut.errors import InputError
from spacecut.latency import AnyProfile
from spacecut.operators import expand
from spacecut.operators.operator import COLUMNS
from spacecut.quality import quality_family
from spacecut.space import Candidate, Choice, SearchSpace

__all__ = ["Gain", "gain", "regrid"]

_MOST = 256
"""A choice is looked at so finely that there are at most so many widths."""
_WIDTHS = [COLUMNS.index(name) for name in ("in_channels", "out_channels", "groups", "reduced")]
_DIGITS = 6


@dataclass(frozen=True)
class Gain:
    """What candidates on the steps are worth, at equal quality on one platform.

    Attributes:
        platform: Which.
        added: How many candidates were added to the space.
        grid_size: Architectures that the same cut leaves of the grid that was given.
        grid: How much slower the best networks of that one are than those of the whole enlarged space.
        steps: How much slower those of the cut enlarged space are.
    """

    platform: str
    added: int
    grid_size: int
    grid: Inflation
    steps: Inflation

    @property
    def faster(self) -> float:
        """How much faster the best networks are on average than on the grid; 0.01 is 1 %."""
        return 1 - (1 + self.steps.mean) / (1 + self.grid.mean)


def regrid(space: SearchSpace, profiles: Sequence[AnyProfile], tolerance: float) -> SearchSpace:
    """The space with candidates added on the steps of its widths.

    Args:
        space: The space.
        profiles: What was measured of it, one for each platform.
        tolerance: Share by which a larger width may be slower and still dominate.

    Raises:
        InputError: No choice of the space is a width.
    """
    widths = {choice.name: found for choice in space.choices if (found := _widths(space, choice)) is not None}
    if not widths:
        raise InputError(f"{space.name}: no choice is of widths in order of size; there is no grid to lay anew")
    added: dict[str, np.ndarray] = {}
    for name, given in widths.items():
        grain = 1 << max(0, int(np.ceil(np.log2((given[-1] - given[0] + 1) / _MOST))))
        fine = np.union1d(given, np.arange(given[0] + -given[0] % grain, given[-1] + 1, grain))
        finer = _with_widths(space, {name: fine}, widths)
        position = space.positions[name]
        comparisons = [compare(profile.latency_model(finer), position) for profile in profiles]
        fallen = {drop.candidate for drop in dominated(comparisons, finer.choices[position].not_worse(), tolerance)}
        kept = np.asarray([width for number, width in enumerate(fine) if number not in fallen])
        added[name] = np.union1d(given, kept)
    return _with_widths(space, added, widths).renamed(f"{space.name}, widths on steps")


def gain(reduction: Reduction, plain: Reduction) -> list[Gain]:
    """What the enlarged space gains over the grid, platform by platform.

    Args:
        reduction: The cut of the enlarged space.
        plain: The same cut of the space as it was given, by the same measurements.
    """
    full = reduction.full
    found = []
    for outcome in reduction.outcomes:
        model = outcome.model
        family = quality_family(full, affordable_functions(model.trellis), JUDGED_BY)
        fronts = Fronts(model, family, latency_band(model))
        grid, steps = (fronts.inflation(_numbers(full, left.space)) for left in (plain, reduction))
        found.append(
            Gain(
                outcome.certificate.platform, sum(full.lengths) - sum(plain.full.lengths), plain.space.size, grid, steps
            )
        )
    return found


def _numbers(full: SearchSpace, part: SearchSpace) -> list[np.ndarray]:
    """Which candidates of a space another one has."""
    return [
        np.asarray([choice.index(candidate) for candidate in part.choice(choice.name).candidates])
        for choice in full.choices
    ]


def _widths(space: SearchSpace, choice: Choice) -> np.ndarray | None:
    """The widths that a choice's candidates stand for, in their order; None where it is no choice of widths."""
    if choice.order != "larger" or len(choice) < 2 or len(choice.attributes) > 1:
        return None
    values = next(iter(choice.attributes.values()), np.asarray(choice.candidates))
    order = np.argsort(np.asarray(choice.candidates, dtype=float))
    if values.dtype.kind not in "iu" or (np.diff(values[order]) < 0).any():
        return None
    first = {other.name: [other.candidates[0]] for other in space.choices if other.name != choice.name}
    varied = expand(space.restrict(first))
    for factor in varied.factors:
        rows = varied.rows[np.unique(factor.index[factor.index >= 0])]
        differs = (rows != rows[:1]).any(axis=0)
        differs[_WIDTHS] = False
        if differs.any() or ((factor.index < 0).any() and (factor.index >= 0).any()):
            return None
    return np.asarray(values[order])


def _with_widths(space: SearchSpace, fine: dict[str, np.ndarray], widths: dict[str, np.ndarray]) -> SearchSpace:
    """The space with other widths of some choices; a new candidate stands between those of the next widths."""
    document = space.document
    choices = dict(document.choices)
    for name, values in fine.items():
        choice = space.choice(name)
        known = np.sort(np.asarray(choice.candidates, dtype=float))
        given = widths[name]
        attribute = next(iter(choice.attributes), None)
        listed: dict[Candidate, int] = {}
        for width in values.tolist():
            if (at := np.flatnonzero(given == width)).size:
                listed.update({choice.candidates[choice.index(_plain(known[number]))]: width for number in at})
            else:
                between = round(float(np.interp(width, given, known)), _DIGITS)
                listed[width if attribute is None else between] = width
        candidates = list(listed) if attribute is None else {key: {attribute: value} for key, value in listed.items()}
        choices[name] = choices[name].model_copy(update={"candidates": candidates, "attributes": {}})
    return SearchSpace(document.model_copy(update={"choices": choices}))


def _plain(value: float) -> Candidate:
    return int(value) if value.is_integer() else value
