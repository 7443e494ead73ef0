"""The size of errors of which a few are far off."""

from __future__ import annotations

import numpy as np

__all__ = ["standard_deviation"]

_MAD = 1.4826  # median absolute deviation to standard deviation, of normal errors


def standard_deviation(errors: np.ndarray) -> float:
    """Of errors about zero, by the median of their absolute values (Huber, Robust Statistics, ch. 5)."""
    return float(_MAD * np.median(np.abs(errors)))
