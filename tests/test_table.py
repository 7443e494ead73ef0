"""Tables over choices: distinct values as numpy has them, and no axis that nothing depends on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from spacecut.space.table import Table, levels

ANY = arrays(np.int64, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5), elements=st.integers(-9, 9))


@given(ANY, st.sampled_from([1, -3, 10**12]))
def test_levels_are_the_distinct_values(values: np.ndarray, factor: int) -> None:
    values = values * factor
    found, place = levels(values)
    assert found.tolist() == sorted(set(values.ravel().tolist()))
    assert place.shape == values.shape
    np.testing.assert_array_equal(found[place], values)


@given(ANY.filter(lambda values: values.size > 0))
def test_reduced_tables_hold_the_same_over_fewer_choices(values: np.ndarray) -> None:
    table = Table(tuple(range(0, 2 * values.ndim, 2)), values)
    reduced = table.reduced()
    np.testing.assert_array_equal(np.broadcast_to(reduced.over(table.scope), values.shape), values)
    for axis in range(reduced.values.ndim):
        assert (reduced.values != reduced.values.take([0], axis=axis)).any()


@pytest.mark.parametrize("word", ["relu", True, 1.5])
def test_whatever_the_values_are(word: object) -> None:
    assert Table((3,), np.asarray([word, word])).reduced() == Table((), np.asarray(word))
