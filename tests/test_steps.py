"""Adaptive step search on SIMULATED staircases, whose edges are known."""

from __future__ import annotations

import numpy as np
import pytest

from spacecut.errors import InputError
from spacecut.latency.steps import find_steps

WIDTHS = np.arange(1025)


def regular(step):
    return 50 + 0.625 * step * np.ceil(WIDTHS / step)


def irregular():
    edges = np.sort(np.random.default_rng(3).choice(np.arange(2, 1025), 30, replace=False))
    return 50 + 12.0 * np.searchsorted(edges, WIDTHS, "right")


def edges_of(curve):
    return [width for width in range(2, len(curve)) if curve[width] != curve[width - 1]]


def search(curve, noise=0.0, seed=0, last=1024):
    generator = np.random.default_rng(seed)
    return find_steps(lambda width: float(curve[width] * (1 + noise * generator.standard_normal())), 1, last)


@pytest.mark.parametrize(("step", "share"), [(16, 0.15), (64, 0.05), (128, 0.04)])
@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_regular_steps_take_two_probes_an_edge_and_a_few_to_begin(step, share, noise):
    curve = regular(step)
    found = search(curve, noise)
    assert list(found.edges) == edges_of(curve)
    assert found.probes <= share * 1024
    assert found.tops == (*[edge - 1 for edge in found.edges], 1024)


def test_irregular_steps_are_all_found():
    curve = irregular()
    found = search(curve, 0.003)
    assert list(found.edges) == edges_of(curve)
    assert found.probes < 512


def test_a_dip_is_a_stair_of_its_own():
    # Recorded: LiteRT, 3x3 convolution, 64 channels in, 28x28, microseconds; 32 is faster than 17-31.
    curve = np.repeat([83.0, 83.0, 166.0, 124.0, 248.0, 373.0], [1, 16, 15, 1, 32, 32])
    found = search(curve, 0.003, last=96)
    assert found.edges == (17, 32, 33, 65)
    assert found.tops == (16, 31, 32, 64, 96)


@pytest.mark.parametrize("seed", range(3))
def test_stairs_far_lower_than_most_are_found_where_little_is_noise(seed):
    # Read off a sweep: OpenVINO, 3x3 convolution, 64 channels in, 28x28, microseconds; full blocks are a bit faster.
    stairs = {
        1: 145,
        17: 270,
        33: 440,
        48: 402,
        49: 573,
        64: 520,
        65: 640,
        81: 808,
        96: 760,
        97: 890,
        113: 1065,
        128: 1010,
    }
    starts = [*stairs, 129]
    curve = np.repeat([0.0, *map(float, stairs.values())], [1, *np.diff(starts)])
    assert search(curve, 0.003, seed, last=128).edges == tuple(stairs)[1:]


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.01])
def test_a_smooth_curve_has_no_edges(noise):
    found = search(50 + 0.6 * WIDTHS, noise)
    assert not found.edges
    assert found.tops == (1024,)


def test_a_flat_curve_takes_few_probes():
    found = search(np.full(1025, 7.0), 0.01)
    assert not found.edges
    assert found.probes < 40


def test_an_axis_of_one_width_has_one_stair():
    assert search(regular(16), last=1).tops == (1,)


def test_an_empty_axis_is_an_error():
    with pytest.raises(InputError, match="no widths"):
        find_steps(float, 5, 4)
