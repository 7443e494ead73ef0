"""The size of errors of which a few are far off."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

__all__ = ["MOST", "standard_deviation"]

MOST = 0.9
"""The share of errors that tells their size where an interval is to hold most of them."""


def standard_deviation(errors: np.ndarray, share: float = 0.5) -> float:
    """Of errors about zero, by the absolute value that a share of them stay within (Huber, Robust Statistics, ch. 5).

    The median is the least moved by errors that are far off. An interval that is to hold more than half of them needs
    to know how far off the others are.
    """
    return float(np.quantile(np.abs(errors), share)) / NormalDist().inv_cdf((1 + share) / 2)
