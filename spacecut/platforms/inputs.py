"""The input that every platform is measured on."""

from __future__ import annotations

import numpy as np

from spacecut.operators import Network

__all__ = ["input_array"]


def input_array(network: Network, batch: int) -> np.ndarray:
    """Standard normal float32 values of shape ``[batch, channels, height, width]``, the same at every call."""
    shape = (batch, *network.input_shape)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
