"""From the costs of operators to the latency of whole networks.

What operators were seen to cost, one by one, misses what only whole networks show: overhead, what a call or the timing
of a node takes, caches that serve small networks better. So the costs are corrected by what whole networks took, in a
Bayesian linear regression (Rasmussen & Williams, Gaussian Processes for Machine Learning, ch. 2): corrections common
to all operators, to a kind, to a family and to the larger ones of a family, and each operator's own, as far as it is
uncertain. How large each of these may be is decided by the marginal likelihood.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.optimize import minimize

from spacecut.errors import InputError
from spacecut.latency.estimator import Costs, estimate
from spacecut.latency.evidence import Evidence
from spacecut.operators import Network
from spacecut.operators.operator import COLUMNS, encode, family_numbers

__all__ = ["Correction", "corrected_costs", "held_out_error"]

_CONVERSIONS = COLUMNS.index("conversions")
_FEWEST = 8  # networks that tell an error
_FOLDS = 4
_LEAST_SHARE = 0.1
"""No correction takes an operator below this share of what it was seen to cost."""
_SCALES = {"overhead": 0.05, "call": 0.02, "all": 0.1, "kind": 0.05, "family": 0.03, "growth": 0.03, "noise": 0.02}
"""Where the search for the prior standard deviations starts; of the median network for ``overhead`` and, divided by
its operators, ``call``; else relative."""
_FLOOR_MS = 1e-3  # no network is timed better than to a microsecond
_LEVEL, _DEVIATIONS = 0.9, 1.645  # so many of normal errors are within so many standard deviations
_SPREAD = 1.5  # the logarithms of those scales are themselves normal about the start, with this standard deviation


@dataclass(frozen=True)
class Correction:
    """What whole networks told beyond their operators.

    Attributes:
        overhead_ms: What every inference takes besides its operators.
        error: Relative standard error on networks left out, from the one that 90 % of them stay within; NaN where
            there were too few to tell. They are left out of the correction one by one; on a deterministic platform,
            where the operators' costs in a network would give it away, they are left out of everything, in folds.
        networks: How many whole networks were compared.
    """

    overhead_ms: float
    error: float
    networks: int


def corrected_costs(evidence: Evidence, wanted: np.ndarray) -> tuple[Costs, Correction]:
    """Costs of the operators in the rows ``wanted``, as whole networks have it, and the rest of their latency.

    Raises:
        InputError: An operator is unlike any that was measured; it is named.
    """
    costs, correction = _corrected(evidence, wanted)
    if evidence.exact and not costs.measured.all():
        correction = replace(correction, error=_cross_validated(evidence))
    return costs, correction


def _corrected(evidence: Evidence, wanted: np.ndarray) -> tuple[Costs, Correction]:
    networks = _whole_networks(evidence)
    theirs = list(dict.fromkeys(operator for network, _ in networks for operator in network.operators))
    position = {operator: number for number, operator in enumerate(theirs)}
    rows = np.concatenate([encode(theirs), wanted])
    costs = estimate(evidence, rows)
    if not networks:
        return costs, Correction(0.0, float("nan"), 0)
    counts = np.zeros((len(networks), len(theirs)))
    for number, (network, _) in enumerate(networks):
        for operator, count in Counter(network.operators).items():
            counts[number, position[operator]] = count
    measured = np.asarray([ms for _, ms in networks])
    mean, error, correction = _correct(rows, costs, counts, measured)
    ours = slice(len(theirs), None)
    return Costs(mean[ours], error[ours], costs.measured[ours]), correction


def held_out_error(evidence: Evidence) -> float:
    """Relative standard error of predictions of networks left out one by one; infinite while that cannot be told."""
    error = _cross_validated(evidence) if evidence.exact else _corrected(evidence, evidence.rows)[1].error
    return math.inf if math.isnan(error) else error


def _cross_validated(evidence: Evidence) -> float:
    """Relative standard error on networks of which neither the latency nor an operator's cost was told."""
    networks = _whole_networks(evidence)
    if len(networks) < _FEWEST:
        return math.nan
    fold = np.random.default_rng(0).permutation(len(networks)) % _FOLDS
    errors = []
    for number in range(_FOLDS):
        held = [network for network, out in zip(networks, fold == number, strict=True) if out]
        operators = list(dict.fromkeys(operator for network, _ in held for operator in network.operators))
        try:
            costs, correction = _corrected(evidence.without({network.key for network, _ in held}), encode(operators))
        except InputError:  # an operator of some network is like no other's
            return math.nan
        cost = dict(zip(operators, costs.mean, strict=True))
        for network, measured in held:
            predicted = correction.overhead_ms + sum(cost[operator] for operator in network.operators)
            errors.append(abs(predicted / measured - 1))
    return float(np.quantile(errors, _LEVEL)) / _DEVIATIONS


def _whole_networks(evidence: Evidence) -> list[tuple[Network, float]]:
    """Networks timed end to end, with their ms; operators timed alone only where there is nothing else."""
    networks = [(Network.parse(key), measured) for key, measured in evidence.totals.items()]
    return [entry for entry in networks if len(entry[0].nodes) > 1] or networks


def _correct(
    rows: np.ndarray, costs: Costs, counts: np.ndarray, measured: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Correction]:
    """Means and errors of all operators, of which the first are those that the networks count."""
    features, groups = _features(rows, costs.mean, counts.shape[1])
    relative = counts / measured[:, None]
    size = np.median(measured)
    unit = {"overhead": size, "call": size / np.median(counts.sum(axis=1))}
    units = np.asarray([unit.get(group, 1.0) for group in ["overhead", *groups]])
    which = np.asarray([list(_SCALES).index(group) for group in ["overhead", *groups]])
    start = np.asarray(list(_SCALES.values()))
    regression = _Regression(costs, features, relative, 1 / measured)

    def unlikelihood(steps: np.ndarray) -> float:
        scales = start * np.exp(steps)
        told = regression.unlikelihood(np.square(scales[which] * units), scales[-1])
        return told + float(np.square(steps / _SPREAD).sum()) / 2

    found = minimize(unlikelihood, np.zeros(len(start)), method="L-BFGS-B", bounds=[(-4, 4)] * len(start))
    scales = start * np.exp(found.x)
    prior = np.square(scales[which] * units)
    least = _LEAST_SHARE * costs.mean
    low = np.zeros(len(rows), dtype=bool)
    while True:
        overhead, mean, error, left_out = regression.solve(prior, scales[-1])
        if overhead < 0:
            prior[0] = 0.0
        elif (mean < least).any():
            low |= mean < least
            regression = _Regression(_held(costs, low, least), features * ~low[:, None], relative, 1 / measured)
        else:
            break
    wrong = float(np.quantile(np.abs(left_out), _LEVEL)) / _DEVIATIONS if len(measured) >= _FEWEST else float("nan")
    return mean, error, Correction(overhead, wrong, len(measured))


def _held(costs: Costs, low: np.ndarray, least: np.ndarray) -> Costs:
    """The costs with some of them held at the least that they may be."""
    return Costs(np.where(low, least, costs.mean), np.where(low, 0.0, costs.error), costs.measured)


class _Regression:
    """Networks' relative latency, linear in the overhead, the corrections and the operators' own deviations.

    Args:
        costs: Of all operators, before correction.
        features: Milliseconds by which each correction moves each operator.
        relative: How often each network has each of the first operators, divided by its latency.
        inverse: One over the networks' latencies.
    """

    def __init__(self, costs: Costs, features: np.ndarray, relative: np.ndarray, inverse: np.ndarray) -> None:
        self.seen = relative.shape[1]
        self.costs, self.features, self.relative = costs, features, relative
        self.variance = np.square(costs.error)
        self.design = np.column_stack([inverse, relative @ features[: self.seen]])
        self.residual = 1 - relative @ costs.mean[: self.seen]
        self._own = (relative * self.variance[: self.seen]) @ relative.T
        self._clock = np.square(_FLOOR_MS * inverse)

    @cached_property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Eigenvalues of what does not depend on any scale, and the design and the residuals by its eigenvectors."""
        values, vectors = eigh(self._own + np.diag(self._clock))
        return np.maximum(values, 0.0), vectors.T @ self.design, vectors.T @ self.residual

    def unlikelihood(self, prior: np.ndarray, noise: float) -> float:
        """The negative logarithm of the marginal likelihood, up to a constant.

        By the Woodbury identity: the few corrections are a matrix of low rank beside one that is diagonal here.
        """
        values, design, residual = self._spectrum
        variance = values + noise**2
        scaled = design * np.sqrt(prior)
        factor, lower = cho_factor(np.eye(len(prior)) + (scaled.T / variance) @ scaled, lower=True)
        common = scaled.T @ (residual / variance)
        fit = residual @ (residual / variance) - common @ cho_solve((factor, lower), common)
        return float(fit / 2 + np.log(variance).sum() / 2 + np.log(np.diag(factor)).sum())

    def covariance(self, prior: np.ndarray, noise: float) -> np.ndarray:
        """Of the residuals."""
        return np.asarray((self.design * prior) @ self.design.T + self._own + np.diag(noise**2 + self._clock))

    def solve(self, prior: np.ndarray, noise: float) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Overhead, means and errors of all operators, and the relative errors on networks left out one by one."""
        inverse = np.linalg.inv(self.covariance(prior, noise))
        weights = inverse @ self.residual
        common = prior * (self.design.T @ weights)
        mean = self.costs.mean + self.features @ common[1:]
        variance, seen = self.variance.copy(), slice(self.seen)
        mean[seen] += variance[seen] * (self.relative.T @ weights)
        explained = np.einsum("no,no->o", self.relative, inverse @ self.relative)
        variance[seen] -= np.square(variance[seen]) * explained
        return float(common[0]) + 0.0, mean, np.sqrt(np.maximum(variance, 0.0)), weights / np.diag(inverse)


def _features(rows: np.ndarray, mean: np.ndarray, seen: int) -> tuple[np.ndarray, list[str]]:
    """Milliseconds by which each correction moves each operator, shape ``[operators, corrections]``, and their groups.

    Families that no network has are corrected like their kind.
    """
    kinds = rows[:, 0]
    family = family_numbers(rows)
    logarithm = np.log(np.maximum(mean, 1e-6))
    typical = np.bincount(family[:seen], logarithm[:seen], minlength=family.max() + 1)
    typical = typical / np.maximum(np.bincount(family[:seen], minlength=family.max() + 1), 1)
    known = np.isin(family, family[:seen])
    growth = np.where(known, logarithm - typical[family], 0.0)
    columns, groups = [np.ones(len(rows)), mean, mean * growth], ["call", "all", "growth"]
    if rows[:seen, _CONVERSIONS].any():  # each is a call of its own
        columns.append(rows[:, _CONVERSIONS] * 1.0)
        groups.append("call")
    for kind in np.unique(kinds[:seen]):
        columns += [(kinds == kind) * 1.0, mean * (kinds == kind)]
        groups += ["call", "kind"]
    for number in np.unique(family[:seen]):
        columns.append(mean * (family == number))
        groups.append("family")
    return np.stack(columns, axis=1), groups
