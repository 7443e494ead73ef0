"""Families of quality functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import space_of, spaces

from spacecut.errors import InputError
from spacecut.operators import expand
from spacecut.quality import LEVELS, quality_family
from spacecut.space import SearchSpace


@settings(deadline=None)
@given(spaces(), st.integers(0, 100))
def test_a_better_candidate_is_worth_no_less(space: SearchSpace, seed: int) -> None:
    for quality in quality_family(space, 3, seed):
        assert abs(quality.best - LEVELS) <= len(space.choices) or quality.best == 0
        for choice, worth in zip(space.choices, quality.worth, strict=True):
            assert worth.min() >= 0
            better, worse = worth[None, :], worth[:, None]
            assert (better >= worse)[choice.not_worse()].all()


def test_larger_candidates_stand_where_their_numbers_are() -> None:
    space = space_of(
        {"width": {"candidates": [10, 20, 110], "order": "larger"}},
        [{"conv2d": {"out_channels": "width", "kernel": 1}}],
    )
    for quality in quality_family(space, 20):
        first, second, third = quality.worth[0].tolist()
        assert (first, third) == (0, LEVELS)
        assert second / third + 0.001 >= 0.1**1.5
        assert second / third - 0.001 <= 0.1**0.25


def test_what_nothing_is_known_of_comes_in_any_order() -> None:
    space = space_of({"kernel": {"candidates": [1, 3, 5]}}, [{"conv2d": {"out_channels": 8, "kernel": "kernel"}}])
    best = {int(np.argmax(quality.worth[0])) for quality in quality_family(space, 40)}
    assert best == {0, 1, 2}


def test_the_seed_decides() -> None:
    space = space_of({"width": {"candidates": [1, 2, 3]}}, [{"conv2d": {"out_channels": "width", "kernel": 1}}])

    def drawn(seed: int) -> list[list[int]]:
        return [quality.worth[0].tolist() for quality in quality_family(space, 5, seed)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_quality_is_the_sum_of_worths() -> None:
    space = space_of(
        {name: {"candidates": [1, 2, 3], "order": "larger"} for name in ("a", "b")},
        [{"conv2d": {"out_channels": "a", "kernel": 1}}, {"conv2d": {"out_channels": "b", "kernel": 1}}],
    )
    quality = quality_family(space, 1)[0]
    numbers = np.asarray([[0, 0], [1, 2], [2, 2]])
    worth = quality.worth
    assert quality.of(numbers, expand(space).effects).tolist() == [0, worth[0][1] + worth[1][2], quality.best]
    reduced = quality.over([np.asarray([1, 2]), np.asarray([2])])
    assert [values.tolist() for values in reduced.worth] == [worth[0][1:].tolist(), worth[1][2:].tolist()]


@pytest.mark.parametrize(("count", "levels"), [(0, 10), (1, 0)])
def test_an_empty_family_is_refused(count: int, levels: int) -> None:
    space = space_of({"width": {"candidates": [1]}}, [{"conv2d": {"out_channels": "width", "kernel": 1}}])
    with pytest.raises(InputError, match="at least one"):
        quality_family(space, count, levels=levels)
