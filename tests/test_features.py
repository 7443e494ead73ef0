"""What a family's costs may be made of, told from operators alone on a SIMULATED platform."""

from __future__ import annotations

import numpy as np

from spacecut.latency.estimator import estimate
from spacecut.latency.evidence import gather
from spacecut.latency.features import alignment_classes, beyond
from spacecut.measure import Run, Task
from spacecut.operators import Network, Operator
from spacecut.operators.operator import encode


def alone(operator: Operator, *total_ms: float) -> Run:
    """A run of one operator in a network of its own."""
    return Run(Task(Network.single(operator).key, False, 0), "", 1.0, total_ms)


def test_a_kernel_that_half_full_blocks_ask_for_is_learnt() -> None:
    """Where at most 16 of the last 32 channels are there, the whole operator takes a third longer."""

    def ms(inner: int, outer: int) -> float:
        return 1e-6 * inner * outer * (4 if (outer - 1) % 32 < 16 else 3)

    generator = np.random.default_rng(0)
    measured = generator.integers(51, 513, (80, 2)).tolist()
    runs = [alone(Operator("conv2d", inner, 14, 14, outer), ms(inner, outer)) for inner, outer in measured]
    asked = generator.integers(51, 513, (200, 2)).tolist()
    found = estimate(gather(runs), encode([Operator("conv2d", inner, 14, 14, outer) for inner, outer in asked])).mean
    error = np.abs(found / [ms(*widths) for widths in asked] - 1)
    assert np.quantile(error, 0.95) < 0.02


def test_what_outgrows_a_cache_is_not_taken_for_what_its_alignment_costs() -> None:
    """Only three operators are multiples of 8 in both widths; they are the largest, and dearer by the weight."""

    def ms(inner: int, outer: int) -> float:
        weights = inner * outer
        return 1e-6 * weights * (0.73 + 0.37 * min(max(weights - 480_000, 0) / 200_000, 1))

    measured = [(51 + 15 * number, 101 + 31 * (7 * number % 30)) for number in range(33)]
    measured += [(512, 1024), (808, 1024), (1024, 1024)]
    runs = [alone(Operator("conv2d", inner, 7, 7, outer), ms(inner, outer)) for inner, outer in measured]
    asked = [(128, 256), (312, 440), (512, 440), (440, 1024), (960, 992)]
    found = estimate(gather(runs), encode([Operator("conv2d", inner, 7, 7, outer) for inner, outer in asked])).mean
    np.testing.assert_allclose(found, [ms(*widths) for widths in asked], rtol=0.06)


def test_a_class_of_which_little_was_measured_is_like_the_one_of_which_most_was() -> None:
    inner = np.asarray([8, 16, 8, 7, 7, 7, 24])
    outer = np.asarray([8, 8, 16, 7, 7, 7, 24])
    measured = np.asarray([0, 1, 2, 3, 4, 5])
    assert alignment_classes(inner, outer, 8, measured, fewest=3).tolist() == [0, 0, 0, 3, 3, 3, 0]
    assert alignment_classes(inner, outer, 8, measured[1:], fewest=3).tolist() == [3] * 7


def test_operators_of_as_many_weights_tell_of_no_cache() -> None:
    """Not by what a processor rounds, either."""
    for weights in range(60, 6000, 60):
        inner = np.asarray([2.0, 3.0, 4.0, 5.0])
        assert not beyond(inner, weights / inner, np.arange(4)).any()


def test_irregular_steps_are_learnt() -> None:
    """At no block's multiples, as compilers for accelerators make them."""
    edges = np.asarray([13, 22, 45, 51, 77])

    def staircase(operator: Operator) -> float:
        return float(0.1 + 0.05 * np.searchsorted(edges, operator.out_channels) * (1 + operator.in_channels / 40))

    generator = np.random.default_rng(4)
    pairs = {
        (int(i), int(o)) for i, o in zip(generator.integers(8, 97, 220), generator.integers(8, 97, 220), strict=True)
    }
    operators = [Operator("conv2d", inner, 6, 6, outer) for inner, outer in sorted(pairs)]
    runs = []
    for operator in operators:
        runs.append(alone(operator, *(staircase(operator) * (1 + 0.01 * np.abs(generator.normal(size=20)))).tolist()))
    asked = [Operator("conv2d", i, 6, 6, o) for i in range(8, 97, 5) for o in range(8, 97) if (i, o) not in pairs]
    error = estimate(gather(runs), encode(asked)).mean / [staircase(operator) for operator in asked] - 1
    assert np.mean(np.abs(error) < 0.03) > 0.9


def test_a_jump_between_measured_widths_is_taken_to_be_after_a_block() -> None:
    """Heights that no regular step explains change after 16 and 32, which are not measured themselves."""

    def staircase(width: int) -> float:
        return 0.5 if width <= 16 else 1.0 if width <= 32 else 1.3

    measured = [6, 8, 10, 12, 14, *range(17, 31, 2), *range(33, 64, 2)]
    runs = [alone(Operator("conv2d", 3, 8, 8, width), staircase(width)) for width in measured]
    asked = [15, 16, 18, 31, 32, 34, 60]
    cost = estimate(gather(runs), encode([Operator("conv2d", 3, 8, 8, width) for width in asked])).mean
    np.testing.assert_allclose(cost, [staircase(width) for width in asked], rtol=0.02)
