"""Quality that was measured: losses of candidates and accuracies of architectures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GivenProfile, space_of, spaces

from spacecut.cut import cut
from spacecut.errors import InputError
from spacecut.operators import Operator, expand
from spacecut.quality import from_accuracies, from_losses, read_quality
from spacecut.space import SearchSpace, load_space

WORDS = ["off", "one", "three"]


def kernels(count: int = 3, order: object = "none") -> SearchSpace:
    """Choices between nothing and two depthwise convolutions, of which nothing is known."""
    network = []
    for number in range(count):
        for kernel, word in ((1, "one"), (3, "three")):
            network.append({"depthwise_conv2d": {"kernel": kernel, "when": f"c{number} == '{word}'"}})
    choices = {f"c{number}": {"candidates": WORDS, "order": order} for number in range(count)}
    return space_of(choices, [*network, {"linear": {"out_channels": 3}}])


def kernel_cost(operator: Operator) -> float:
    return 1.0 if operator.kind != "depthwise_conv2d" else {1: 3.0, 3: 2.9}[operator.kernel]


def test_losses_are_an_order_to_cut_by() -> None:
    space = kernels()
    profile = GivenProfile(space, kernel_cost)
    assert cut(space, profile, tolerance=0.0).space.size == 27
    losses = [np.asarray([0.5, 0.2, 0.1]), np.asarray([0.5, 0.1, 0.2]), None]
    reduction = cut(space, profile, tolerance=0.0, quality=from_losses(space, losses))
    # Where the 3x3 is better it beats the 1x1; where it is worse, both are worth having; elsewhere nothing is known.
    assert [choice.candidates for choice in reduction.space.choices] == [
        ("off", "three"),
        ("off", "one", "three"),
        ("off", "one", "three"),
    ]
    assert reduction.full.choices[0].not_worse()[1, 2]


def test_losses_take_the_place_of_random_quality() -> None:
    space = kernels(6)
    profile = GivenProfile(space, kernel_cost)
    losses = [np.asarray([0.5, 0.2, 0.1])] * 3 + [np.asarray([0.5, 0.1, 0.49])] * 3
    reduction = cut(space, profile, target_size=2**6, quality=from_losses(space, losses))
    assert not any("one" in choice.candidates for choice in reduction.space.choices[:3])
    assert not any("three" in choice.candidates for choice in reduction.space.choices[3:])
    assert reduction.space.size > 1


@settings(deadline=None, max_examples=40)
@given(spaces(), st.integers(0, 100))
def test_drawn_functions_respect_declared_orders(space: SearchSpace, seed: int) -> None:
    generator = np.random.default_rng(seed)
    losses = [generator.random(length) if generator.random() < 0.7 else None for length in space.lengths]
    for quality in from_losses(space, losses).family(3, seed):
        assert all(entries.min() == 0 for entries in quality.entries)
        for choice, worth in zip(space.choices, quality.worth, strict=True):
            assert (worth[None, :] >= worth[:, None])[choice.not_worse()].all()


def test_accuracies_tell_the_worth_of_candidates() -> None:
    space = kernels(6)
    truth = [np.asarray([0.0, 1.0, 2.0]) * weight for weight in (1, 2, 1, 0.5, 3, 1)]
    numbers = space.sample(120, 0)
    quality = sum(values[numbers[:, position]] for position, values in enumerate(truth))
    accuracy = 90 + 5 * np.tanh(quality / 8) + 0.05 * np.random.default_rng(0).standard_normal(len(numbers))
    table = from_accuracies(space, numbers, accuracy)
    assert table.rank_correlation > 0.95
    refined = table.refined()
    for choice in refined.choices:
        assert choice.not_worse()[0, 2]
        assert not choice.not_worse()[2, 0]
    best = np.asarray([[int(np.argmax(worth)) for worth in function.worth] for function in table.family(20, 1)])
    doubted = np.arange(20) % 4 == 3
    assert np.mean(best[~doubted] == 2) > 0.9
    assert np.mean(best[doubted] == 2) < np.mean(best[~doubted] == 2)


def test_noise_alone_orders_little() -> None:
    space = kernels(6)
    numbers = space.sample(100, 0)
    table = from_accuracies(space, numbers, np.random.default_rng(1).random(100))
    known = sum(int(choice.not_worse().sum()) - len(choice) for choice in table.refined().choices)
    assert known <= 6  # of 36
    assert abs(table.rank_correlation) < 0.4


def test_a_declared_order_is_not_turned_round() -> None:
    space = kernels(1, [["one", "three"]])
    refined = from_losses(space, [np.asarray([0.3, 0.1, 0.2])]).refined()
    not_worse = refined.choices[0].not_worse()
    assert not_worse[1, 2]
    assert not not_worse[2, 1]
    assert not_worse[0, 1]


def test_files_of_losses_and_accuracies(tmp_path: Path) -> None:
    space = kernels(2)
    losses = tmp_path / "losses.csv"
    losses.write_text("choice,candidate,loss\nc0,off,0.5\nc0,one,0.2\nc0,three,0.1\n")
    table = read_quality(losses, space)
    assert table.worth[1] is None
    assert table.worth[0] == pytest.approx([0.0, 0.3, 0.4])
    accuracies = tmp_path / "accuracies.csv"
    rows = [f"{WORDS[n % 3]},{WORDS[n % 2]},{n % 3 + 0.01 * n}" for n in range(12)]
    accuracies.write_text("\n".join(["c0,c1,val_acc", *rows]))
    table = read_quality(accuracies, space)
    assert table.architectures == 12
    assert np.argmax(table.worth[0]) == 2
    errors = tmp_path / "errors.csv"
    errors.write_text(
        "\n".join(["arch,error", *(f"{WORDS[n % 3]} {WORDS[n % 2]},{n % 3 + 0.01 * n}" for n in range(12))])
    )
    assert np.argmin(read_quality(errors, space).worth[0]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("choice,candidate,loss\nc9,off,1\n", "2: unknown choice 'c9'"),
        ("choice,candidate,loss\nc0,of,1\n", "2: choice 'c0' has no candidate 'of'"),
        ("choice,candidate,loss\nc0,off,1\nc0,off,2\n", "3: 'off' of 'c0' was given before"),
        ("choice,candidate,loss\nc0,off,1\n", "no loss of 'one' of 'c0'"),
        ("choice,candidate,loss\nc0,off,little\n", "2: loss is 'little', which is no number"),
        ("choice,candidate,loss\nc0,off,nan\n", "no finite number"),
        ("choice,candidate,loss\n", "there is no row"),
        ("choice,candidate,price\nc0,off,1\n", "0 columns' names end in accuracy"),
        ("c0,c1,acc,loss\noff,off,1,2\n", "2 columns' names end in accuracy"),
        ("c0,acc\noff,1\n", "no column 'c1'"),
        ("c0,c1,acc\noff,off,1\n", "1 accuracies say too little"),
        ("c0,c1,acc\n" + "off,off,1\n" * 12, "all architectures are equally good"),
        ("c0,c1,acc\noff,of,1\n", "2: choice 'c1' has no candidate 'of'"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "quality.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_quality(file, kernels(2))
    assert "\n" not in str(caught.value)


def test_a_table_of_another_space_is_refused() -> None:
    with pytest.raises(InputError, match="quality table is of"):
        cut(
            kernels(2), GivenProfile(kernels(2), kernel_cost), quality=from_losses(kernels(3), [None, None, np.ones(3)])
        )


def test_accuracies_are_of_choices_that_have_an_effect() -> None:
    space = load_space("nasbench201/cell")
    truth = {"none": 0.0, "skip_connect": 1.0, "nor_conv_1x1": 2.0, "nor_conv_3x3": 4.0, "avg_pool_3x3": -1.0}
    worth = np.asarray([truth[str(candidate)] for candidate in space.choices[0].candidates])
    numbers = space.sample(150, 0)
    effects = np.stack([np.broadcast_to(one.at(numbers.T), len(numbers)) for one in expand(space).effects], axis=1)
    assert not effects.all()
    table = from_accuracies(space, numbers, np.where(effects, worth[numbers], 0.0).sum(axis=1))
    assert table.rank_correlation > 0.97
    for found in table.worth:
        assert found is not None
        assert np.argmax(found) == 3
        assert np.argmin(found) == 4
        assert abs(found[0]) < 0.2 * np.ptp(found)
