"""What accuracies of some architectures say of others, and the selection by them, against enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GivenProfile, enumerated, model_of, random_costs, space_of

from spacecut.cut import cut
from spacecut.cut.joint import Banded
from spacecut.cut.listed import listed_selection
from spacecut.errors import InputError
from spacecut.operators import Operator
from spacecut.quality import AccuracyProcess, from_accuracies
from spacecut.quality.process import codes_of
from spacecut.space import SearchSpace

KERNELS = (1, 3, 5)


def kernels(count: int) -> SearchSpace:
    """Choices among three depthwise convolutions, of which nothing is known."""
    choices = {f"c{number}": {"candidates": list(KERNELS), "order": "none"} for number in range(count)}
    network = [{"depthwise_conv2d": {"kernel": f"c{number}"}} for number in range(count)]
    return space_of(choices, [*network, {"linear": {"out_channels": 3}}])


def agreeing(numbers: np.ndarray) -> np.ndarray:
    """An accuracy that is no sum over the choices: that of neighbours which take the same candidate."""
    return 50 + 10 * (numbers[:, 1:] == numbers[:, :-1]).sum(axis=1) + numbers[:, 0]


def known(space: SearchSpace, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    numbers = enumerated(space)
    some = numbers[np.random.default_rng(seed).permutation(len(numbers))[:count]]
    return some, agreeing(some).astype(float)


def test_draws_pass_through_what_is_known_and_foretell_interactions() -> None:
    space = kernels(4)
    some, accuracy = known(space, 60)
    process = AccuracyProcess(space, codes_of(space, some), accuracy)
    numbers = enumerated(space)
    draws = process.draws(numbers, 64, seed=1)
    assert draws.shape == (64, 81)
    np.testing.assert_array_equal(draws, process.draws(numbers, 64, seed=1))
    assert (draws != process.draws(numbers, 64, seed=2)).any()
    new = ~(numbers[:, None] == some).all(axis=2).any(axis=1)
    truth, mean = agreeing(numbers), draws.mean(axis=0)
    assert np.abs(mean - truth)[~new].mean() < 0.5
    spread = draws.std(axis=0)
    assert spread[new].mean() > 2 * spread[~new].mean()
    # A sum over the choices knows nothing of neighbours that agree.
    design = (numbers[:, :, None] == np.arange(3)).reshape(len(numbers), -1)
    weights = np.linalg.lstsq(design[~new].astype(float), truth[~new], rcond=None)[0]
    additive = np.abs(design @ weights - truth)[new].mean()
    assert np.abs(mean - truth)[new].mean() < additive / 2


def test_draws_of_the_prior_vary_together_as_the_covariance_says() -> None:
    """Interactions are drawn a choice at a time; their covariance must be the product that the fit assumes."""
    generator = np.random.default_rng(0)
    drawn = np.stack([AccuracyProcess._interactions(generator, (2, 3), 0.4) for _ in range(20_000)])
    cells = np.asarray(list(itertools.product(range(2), range(3))))
    differ = (cells[:, None] != cells).sum(axis=2)
    np.testing.assert_allclose(drawn.T @ drawn / len(drawn), 0.4**differ, atol=0.04)


def test_architectures_that_compute_the_same_are_equally_good() -> None:
    """Where a choice has no effect its candidates make no difference, known or not."""
    space = space_of(
        {"depth": {"candidates": [1, 2]}, "kernel": {"candidates": list(KERNELS), "order": "none"}},
        [
            {"depthwise_conv2d": {"kernel": 3}},
            {"depthwise_conv2d": {"kernel": "kernel", "when": "depth > 1"}},
            {"linear": {"out_channels": 3}},
        ],
    )
    numbers = enumerated(space)
    accuracy = np.asarray([10.0, 10.0, 10.0, 11.0, 13.0, 12.0])
    draws = AccuracyProcess(space, codes_of(space, numbers), accuracy).draws(numbers, 8)
    np.testing.assert_allclose(draws[:, :3], draws[:, :1] * np.ones((1, 3)))


def hypervolume_lost(inside: np.ndarray, ms: np.ndarray, draws: np.ndarray) -> float:
    """The share of the area under the fronts that is lost, on average and at its worst, from its definition."""
    lost = []
    for accuracy in draws:
        volumes = []
        for some in (inside, np.ones(len(ms), dtype=bool)):
            edges = np.append(np.sort(ms), ms.max())
            best = [accuracy[some & (ms <= at)].max(initial=accuracy.min()) for at in edges[:-1]]
            volumes.append(((np.asarray(best) - accuracy.min()) * np.diff(edges)).sum())
        lost.append(1 - volumes[0] / volumes[1])
    return float(np.mean(lost) + np.mean(np.power(lost, 4)) ** 0.25)


@settings(deadline=None, max_examples=6, derandomize=True)
@given(st.integers(0, 100), st.sampled_from([4, 6, 8, 12]))
def test_no_exchange_makes_a_listed_selection_better(seed: int, target: int) -> None:
    """Of all selections of the size those that differ in one candidate, dropped or added or both, lose no less."""
    space = kernels(3)
    numbers = enumerated(space)
    model = model_of(space, random_costs(seed))
    some, accuracy = known(space, 15, seed)
    process = AccuracyProcess(space, codes_of(space, some), accuracy)
    start = [np.arange(3)] * 3
    nothing = [np.zeros(3, dtype=bool)] * 3
    found = listed_selection([Banded(model, (0.0, model.slowest()[0]))], process, start, nothing, target)
    assert found is not None
    assert math.prod(map(len, found)) <= target
    ms, draws = model.predict(numbers), process.draws(numbers, 64)

    def lost(kept: list[np.ndarray]) -> float:
        inside = np.logical_and.reduce([np.isin(numbers[:, at], left) for at, left in enumerate(kept)])
        return hypervolume_lost(inside, ms, draws)

    subsets = [np.asarray(s) for size in (1, 2, 3) for s in itertools.combinations(range(3), size)]
    every = [list(kept) for kept in itertools.product(subsets, repeat=3) if math.prod(map(len, kept)) <= target]
    near = [kept for kept in every if max(exchanged(found, kept)) <= 1]
    assert lost(found) <= min(map(lost, near)) + 1e-4
    assert lost(found) <= np.quantile([lost(kept) for kept in every], 0.25)


def exchanged(one: list[np.ndarray], other: list[np.ndarray]) -> tuple[int, int]:
    """How many candidates are gone, and how many are new."""
    gone, new = (
        sum(len(np.setdiff1d(left, right)) for left, right in zip(*pair, strict=True))
        for pair in ((one, other), (other, one))
    )
    return gone, new


def test_what_must_stay_stays_or_is_too_much() -> None:
    space = kernels(2)
    model = model_of(space, random_costs(0))
    some, accuracy = known(space, 9)
    process = AccuracyProcess(space, codes_of(space, some), accuracy)
    stays = [np.asarray([False, True, True])] * 2
    band = [Banded(model, (0.0, model.slowest()[0]))]
    found = listed_selection(band, process, [np.arange(3)] * 2, stays, 4)
    assert found is not None
    assert [numbers.tolist() for numbers in found] == [[1, 2], [1, 2]]
    assert listed_selection(band, process, [np.arange(3)] * 2, stays, 3) is None


def test_a_cut_keeps_candidates_that_are_good_only_together() -> None:
    """Of four choices the best architectures take one candidate throughout, and each is as fast as any other."""
    space = kernels(4)

    def cost(operator: Operator) -> float:
        return 1.0 + 0.01 * operator.kernel

    some, accuracy = known(space, 70)
    table = from_accuracies(space, some, accuracy)
    reduction = cut(space, GivenProfile(space, cost), target_size=1, quality=table)
    assert len({choice.candidates for choice in reduction.space.choices}) == 1
    with pytest.raises(InputError, match="target size must be at least 1"):
        cut(space, GivenProfile(space, cost), target_size=0, quality=table)
