"""The inputs that every platform is measured on, and that quantisers calibrate with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacecut.operators import Network

__all__ = ["as_images", "calibration_arrays", "input_array"]

_CALIBRATION = 2


def input_array(network: Network, batch: int) -> np.ndarray:
    """Standard normal float32 values of shape ``[batch, channels, height, width]``, the same at every call."""
    return _drawn(network, batch, 0)


def calibration_arrays(network: Network, batch: int) -> list[np.ndarray]:
    """A few more like it, likewise the same at every call.

    Few kernels take longer for some values than for others (``benchmarks/values.py``), so the ranges that come of them
    hardly matter, as long as nothing overflows or vanishes.
    """
    return [_drawn(network, batch, seed) for seed in range(1, 1 + _CALIBRATION)]


def as_images(network: Network, outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Batches of a network's outputs, flat or not, as ``[outputs, channels, height, width]``."""
    joined = np.concatenate(outputs)
    shape = network.nodes[network.output].operator.output_shape
    return np.asarray(joined.reshape(len(joined), *shape), dtype=np.float32)


def _drawn(network: Network, batch: int, seed: int) -> np.ndarray:
    shape = (batch, *network.input_shape)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
