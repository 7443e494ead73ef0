"""How unlikely what was observed is, where it is normally distributed."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

__all__ = ["unlikelihood"]


def unlikelihood(covariance: np.ndarray, observed: np.ndarray) -> float:
    """The negative logarithm of the density, of zero mean, up to a constant.

    The factor's diagonal is copied: of one that is spread over a matrix NumPy takes another logarithm, other in the
    last bit, whenever the result happens to lie right behind that matrix in memory.
    """
    factor, lower = cho_factor(covariance, lower=True)
    spread = np.diag(factor).copy()
    return float(observed @ cho_solve((factor, lower), observed) / 2 + np.log(spread).sum())
