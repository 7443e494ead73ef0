"""Linear regression on whole networks whose groups of columns each have a prior of its own.

How large the coefficients of a group may be, and how large the noise is, is decided by the evidence (MacKay, Bayesian
Interpolation, Neural Computation 4, 1992, section 4). Errors are relative. Their distribution is Student's rather than
normal, so that outliers count for less (iterative reweighting; Lange, Little & Taylor, JASA 84, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spacecut.latency.robust import standard_deviation

__all__ = ["Posterior", "regress"]

_ROUNDS = 60
_SETTLED = 1e-4  # largest change of a prediction in the last round, in median latencies
_LEAST = 0.05  # errors of networks faster than this share of the median count as a share of that
_FREEDOM = 4.0  # degrees of freedom of Student's distribution
_OVERHEAD = 10.0  # prior standard deviation of the intercept, in median latencies: as good as none
_WIDEST = 300  # directions of a group that are told apart


@dataclass(frozen=True)
class Posterior:
    """What the networks say of the coefficients.

    Attributes:
        directions: Combinations of columns that were told apart, ``[columns, directions]``.
        mean: Milliseconds: the intercept, then the directions' coefficients.
        covariance: Of these, ms squared.
    """

    directions: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    @cached_property
    def of_columns(self) -> np.ndarray:
        """Milliseconds of each column, shape ``[columns]``."""
        return np.asarray(self.directions @ self.mean[1:])

    def given(self, combination: np.ndarray, ms: float) -> Posterior:
        """What is known once a combination of intercept and coefficients is known to be so many ms."""
        along = self.covariance @ combination
        gain = along / float(combination @ along)
        mean = self.mean + gain * (ms - float(combination @ self.mean))
        return Posterior(self.directions, mean, self.covariance - np.outer(gain, along))


def regress(columns: np.ndarray, ms: np.ndarray, group: np.ndarray) -> Posterior:
    """Regress latencies on columns.

    Args:
        columns: Shape ``[networks, columns]``.
        ms: Milliseconds, shape ``[networks]``.
        group: Of each column; columns of a group have coefficients of like size.
    """
    median = float(np.median(ms))
    directions, which = _directions(columns, group)
    design = np.column_stack([np.ones(len(ms)), columns @ directions])
    which = np.append(-1, which)
    target = ms / median
    groups = [np.flatnonzero(which == number) for number in np.unique(group)]
    prior = np.full(len(which), _OVERHEAD**2)
    for members in groups:
        prior[members] = 0.1 / max(float(np.square(design[:, members]).sum(axis=1).mean()), 1e-12)
    size, trust, noise = np.maximum(target, _LEAST), np.ones(len(ms)), 0.05
    before: np.ndarray | None = None
    for _ in range(_ROUNDS):
        precision = trust / np.square(noise * size)
        weighted = design * precision[:, None]
        covariance = np.linalg.inv(np.diag(1 / prior) + design.T @ weighted)
        mean = covariance @ (weighted.T @ target)
        predicted = design @ mean
        spread = np.einsum("nd,dk,nk->n", design, covariance, design, optimize=True)
        known = 1 - np.diag(covariance) / prior
        for members in groups:
            used = max(float(known[members].sum()), 1e-6)
            prior[members] = np.clip(np.square(mean[members]).sum() / used, 1e-12, 1e4)
        size = np.maximum(predicted, _LEAST)
        error = (target - predicted) / size
        freedom = max(len(ms) - float(known.sum()), 1.0)
        noise = float(np.sqrt(max((trust * np.square(error)).sum() / freedom, 1e-10)))
        left_out = error / np.maximum(1 - precision * spread, 0.05)
        scale = max(standard_deviation(left_out), 1e-6)
        trust = (_FREEDOM + 1) / (_FREEDOM + np.square(left_out / scale))
        if before is not None and np.abs(predicted - before).max() < _SETTLED:
            break
        before = predicted
    return Posterior(directions, mean * median, covariance * median**2)


def _directions(columns: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal combinations of each group's columns that the networks differ in, and their groups."""
    blocks, which = [], []
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        _, values, axes = np.linalg.svd(columns[:, members], full_matrices=False)
        kept = axes[: min(int((values > 1e-9 * max(values.max(), 1e-300)).sum()), _WIDEST)]
        block = np.zeros((columns.shape[1], len(kept)))
        block[members] = kept.T
        blocks.append(block)
        which.append(np.full(len(kept), number))
    return np.concatenate(blocks, axis=1), np.concatenate(which)
