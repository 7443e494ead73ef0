"""Sizes, architectures as numbers, restricted spaces and quality orders."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import HEAD, architectures, documents, space_of

from spacecut.errors import InputError
from spacecut.space import Choice, SearchSpace

NETWORK = [{"conv2d": {"out_channels": 8, "kernel": 3}}]
NAMES = ["a", "b", "c", "d", "e"]
chains = st.lists(st.lists(st.sampled_from(NAMES), max_size=4), max_size=4)


def space(choices: Mapping[str, Any]) -> SearchSpace:
    return space_of({**HEAD, "choices": choices, "network": NETWORK})


MIXED = space(
    {
        "width": {"candidates": "8..32..8", "order": "larger", "attributes": {"half": "candidate // 2", "fixed": 3}},
        "scale": {"candidates": [0.5, 1.0]},
        "op": {"candidates": {"skip": {"kernel": 0}, "conv": {"kernel": 3}}, "order": [["skip", "conv"]]},
    }
)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_size_is_exact(count: int) -> None:
    many = space({f"c{number}": {"candidates": "1..9999"} for number in range(count)})
    assert many.size == 9999**count
    assert len(many.lengths) == count
    assert str(count) in repr(many)


def test_attributes() -> None:
    width, _, op = MIXED.choices
    assert width.attributes["half"].tolist() == [4, 8, 12, 16]
    assert width.attributes["fixed"].tolist() == [3, 3, 3, 3]
    assert op.attributes["kernel"].tolist() == [0, 3]
    assert width.describe(1) == "16 (half 8, fixed 3)"
    assert MIXED.choice("scale").describe(0) == "0.5"


def test_attributes_may_refer_to_those_listed() -> None:
    listed = space({"a": {"candidates": {"x": {"k": 3}, "y": {"k": 5}}, "attributes": {"area": "k * k"}}})
    assert listed.choices[0].attributes["area"].tolist() == [9, 25]


@given(documents())
@settings(deadline=None, max_examples=30)
def test_encode_reads_what_decode_writes(document: dict[str, Any]) -> None:
    drawn = space_of(document)
    every = architectures(drawn)
    assert drawn.size == len(every) == math.prod(drawn.lengths)
    decoded = [drawn.decode(row) for row in every]
    assert [drawn.encode(architecture).tolist() for architecture in decoded] == every[:, None, :].tolist()
    many = {choice.name: [one[choice.name] for one in decoded] for choice in drawn.choices}
    assert np.array_equal(drawn.encode(many), every)


def test_encode_spreads_single_candidates() -> None:
    assert MIXED.encode({"width": [8, 32], "scale": 1.0, "op": "conv"}).tolist() == [[0, 1, 1], [3, 1, 1]]
    assert MIXED.encode({"width": np.asarray([16], dtype=object), "scale": 0.5, "op": "skip"}).tolist() == [[1, 0, 0]]
    assert MIXED.encode({"width": [], "scale": [], "op": []}).shape == (0, 3)
    assert space({}).encode({}).tolist() == [[]]


@pytest.mark.parametrize(
    ("architecture", "problem"),
    [
        ({"width": 8, "scale": 1}, "leaves out op; give every choice"),
        ({"width": 8, "scale": 1, "op": "conv", "depth": 3}, "unknown choice 'depth'"),
        ({"width": 9, "scale": 1, "op": "conv"}, "choice 'width' has no candidate 9; it has 8, 16, 24, 32"),
        ({"width": [8, 40], "scale": 1, "op": "conv"}, "choice 'width' has no candidate 40"),
        ({"width": "8", "scale": 1, "op": "conv"}, "choice 'width' has no candidate '8'"),
        ({"width": 8, "scale": math.nan, "op": "conv"}, "choice 'scale' has no candidate nan"),
        ({"width": 8, "scale": 1, "op": 3}, "choice 'op' has no candidate 3"),
        ({"width": None, "scale": 1, "op": "conv"}, "choice 'width' has no candidate None"),
        ({"width": [8, "x"], "scale": 1, "op": "conv"}, "choice 'width' has no candidate '8'"),
        ({"width": [8, 16], "scale": [1, 1, 1], "op": "conv"}, "differ in length"),
        ({"width": [[8, 16]], "scale": 1, "op": "conv"}, "one row of candidates"),
    ],
)
def test_encode_refuses(architecture: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        MIXED.encode(architecture)


@given(st.integers(0, 50), st.integers(0, 2**32))
@settings(deadline=None)
def test_samples_are_within_the_space(count: int, seed: int) -> None:
    drawn = MIXED.sample(count, seed)
    assert drawn.shape == (count, 3)
    assert (drawn >= 0).all()
    assert (drawn < MIXED.lengths).all()
    assert np.array_equal(drawn, MIXED.sample(count, seed))


def test_samples_reach_every_candidate() -> None:
    drawn = MIXED.sample(500)
    assert [len(set(column)) for column in drawn.T] == list(MIXED.lengths)
    assert space({}).sample(4).shape == (4, 0)


def test_restrict_keeps_the_order_of_the_space() -> None:
    left = MIXED.restrict({"width": [32, 8, 32], "op": ["conv"]})
    assert [choice.candidates for choice in left.choices] == [(8, 32), (0.5, 1.0), ("conv",)]
    assert left.choice("width").attributes["half"].tolist() == [4, 16]
    assert left.choice("op").attributes["kernel"].tolist() == [3]
    assert left.size == 4
    assert MIXED.size == 16


@pytest.mark.parametrize(
    ("kept", "problem"),
    [
        ({"depth": [1]}, "unknown choice 'depth'"),
        ({"width": [9]}, "no candidate 9"),
        ({"width": []}, "choice 'width' must keep at least one candidate"),
        ({"op": ["Conv"]}, "no candidate 'Conv'; it has skip, conv"),
    ],
)
def test_restrict_refuses(kept: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        MIXED.restrict(kept)


def test_unknown_choice() -> None:
    with pytest.raises(InputError, match=r"random: unknown choice 'widht'; did you mean width\?"):
        MIXED.choice("widht")


def test_renamed() -> None:
    other = MIXED.renamed("other")
    assert (other.name, MIXED.name) == ("other", "random")
    assert other.choices == MIXED.choices


@given(st.lists(st.integers(-99, 99) | st.floats(-99, 99), min_size=1, max_size=8, unique=True))
@settings(deadline=None)
def test_larger_is_not_worse(candidates: list[float]) -> None:
    choice = Choice("c", tuple(candidates), order="larger")
    assert choice.not_worse().tolist() == [[other >= one for other in candidates] for one in candidates]


def test_without_an_order_only_the_same_is_not_worse() -> None:
    assert Choice("c", (3, 1, 2)).not_worse().tolist() == np.eye(3, dtype=bool).tolist()


def reachable(chains: Sequence[Sequence[str]]) -> set[tuple[str, str]]:
    """Pairs (worse, better) that follow from the chains."""
    pairs = {(name, name) for name in NAMES}
    pairs |= {pair for chain in chains for pair in itertools.combinations(chain, 2)}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return pairs


@given(chains)
@settings(deadline=None)
def test_chains_imply_one_another(order: list[list[str]]) -> None:
    choice = Choice("c", tuple(NAMES), order=tuple(map(tuple, order)))
    known = {(NAMES[i], NAMES[j]) for i, j in np.argwhere(choice.not_worse())}
    assert known == reachable(order)


@given(chains, st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
@settings(deadline=None)
def test_restrict_keeps_what_is_known_of_the_quality(order: list[list[str]], kept: list[str]) -> None:
    whole = space({"c": {"candidates": NAMES, "order": order}})
    left = whole.restrict({"c": kept}).choice("c")
    numbers = [NAMES.index(str(candidate)) for candidate in left.candidates]
    assert np.array_equal(left.not_worse(), whole.choice("c").not_worse()[np.ix_(numbers, numbers)])
