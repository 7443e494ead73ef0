"""Candidates on the steps that a grid misses, on platforms whose steps are given."""

from __future__ import annotations

import numpy as np
import pytest
from models import Cost, GivenProfile, space_of

from spacecut.cut import cut, gain, regrid
from spacecut.errors import InputError
from spacecut.operators import Operator
from spacecut.space import SearchSpace


def grid(layers: int = 2) -> SearchSpace:
    """Widths at scales that no step of 16 cares for."""
    names = [f"s{number}" for number in range(layers)]
    scaled = {"candidates": "0..6", "order": "larger", "attributes": {"width": "int(100 * (4 + candidate) / 10)"}}
    return space_of(
        dict.fromkeys(names, scaled), [{"conv2d": {"out_channels": f"{name}.width", "kernel": 1}} for name in names]
    )


def steps_of(length: int) -> Cost:
    def cost(operator: Operator) -> float:
        return 1.0 + -(-operator.out_channels // length) + 0.02 * operator.in_channels

    return cost


def test_the_last_width_before_each_step_is_added() -> None:
    space = grid()
    finer = regrid(space, [GivenProfile(space, steps_of(16))], 0.0)
    widths = finer.choices[1].attributes["width"].tolist()
    given = space.choices[1].attributes["width"].tolist()
    assert set(given) <= set(widths)
    assert sorted(set(widths) - set(given)) == [48, 64, 96]  # 80 and 100 are there
    assert list(finer.choices[1].candidates) == sorted(finer.choices[1].candidates)
    assert finer.choices[1].order == "larger"


def test_the_cut_of_the_finer_space_has_faster_fronts() -> None:
    space = grid(4)
    profile = GivenProfile(space, steps_of(16))
    finer = regrid(space, [profile], 0.0)
    (found,) = gain(cut(finer, profile, tolerance=0.0), cut(space, profile, tolerance=0.0))
    assert found.added == sum(finer.lengths) - sum(space.lengths) > 0
    assert found.steps.mean <= 1e-9
    assert found.grid.mean > 0
    assert found.faster == pytest.approx(1 - 1 / (1 + found.grid.mean), abs=1e-9)


def test_widths_that_are_their_own_candidates_are_regridded_too() -> None:
    space = space_of(
        {"w": {"candidates": [20, 40, 60], "order": "larger"}, "k": {"candidates": [3, 5, 7], "order": "larger"}},
        [{"conv2d": {"out_channels": "w", "kernel": "k"}}],
    )
    finer = regrid(space, [GivenProfile(space, steps_of(16))], 0.0)
    assert finer.choice("w").candidates == (20, 32, 40, 48, 60)
    assert finer.choice("k").candidates == (3, 5, 7)  # a kernel of 4 is no kernel


def test_several_platforms_get_the_steps_of_all() -> None:
    space = space_of(
        {"w": {"candidates": [20, 40, 60], "order": "larger"}}, [{"conv2d": {"out_channels": "w", "kernel": 1}}]
    )
    finer = regrid(space, [GivenProfile(space, steps_of(length)) for length in (16, 10)], 0.0)
    assert finer.choice("w").candidates == (20, 30, 32, 40, 48, 50, 60)


def test_a_wide_range_is_looked_at_less_finely() -> None:
    space = space_of(
        {"w": {"candidates": [100, 1000], "order": "larger"}}, [{"conv2d": {"out_channels": "w", "kernel": 1}}]
    )
    finer = regrid(space, [GivenProfile(space, steps_of(64))], 0.0)
    assert list(finer.choice("w").candidates) == [100, *np.arange(128, 1000, 64).tolist(), 1000]


def test_a_space_without_widths_is_refused() -> None:
    space = space_of({"k": {"candidates": [3, 5], "order": "larger"}}, [{"conv2d": {"out_channels": 8, "kernel": "k"}}])
    with pytest.raises(InputError, match="no choice is of widths"):
        regrid(space, [GivenProfile(space, steps_of(16))], 0.0)
