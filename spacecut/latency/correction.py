"""From the costs of operators to the latency of whole networks.

What operators were seen to cost, one by one, misses what only whole networks show: overhead, what a call or the timing
of a node takes, caches that serve small networks better. So the costs are corrected by what whole networks took, in a
Bayesian linear regression (Rasmussen & Williams, Gaussian Processes for Machine Learning, ch. 2): corrections common
to all operators, to a kind, to a family, to those that differ from it only in what is around them, and to the larger
ones of a family, and each operator's own, as far as it is uncertain. Operators that were measured alone had their
inputs and outputs laid out for them and for the caller, which within a network they have not, so that each may be
corrected by how many values it reads and gives. How large all of these may be is decided by the marginal likelihood.

What is to be predicted are networks of operators that were not measured. So each network is compared with what its
operators cost by the other networks (cross-fitting, in folds), unless networks are but operators measured alone or a
platform takes the same at every run, where the sum of all that was measured is what is to be corrected.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh, qr, solve_triangular
from scipy.optimize import minimize, root

from spacecut.latency.estimator import Costs, estimate_without, summed_as_measured
from spacecut.latency.evidence import Evidence
from spacecut.latency.features import ALIGNMENTS
from spacecut.latency.robust import MOST, standard_deviation
from spacecut.operators import Network
from spacecut.operators.operator import COLUMNS, encode, family_numbers, values, without

__all__ = ["Correction", "corrected_costs", "held_out_error"]

_IN, _OUT, _CONVERSIONS = (COLUMNS.index(name) for name in ("in_channels", "out_channels", "conversions"))
_FEWEST = 8  # networks that tell an error
_FOLDS = 5
_LEAST_SHARE = 0.1
"""No correction takes an operator below this share of what it was seen to cost."""
_SCALES = {
    "overhead": 0.05, "call": 0.02, "all": 0.1, "kind": 0.05, "family": 0.03, "growth": 0.03, "layout": 0.05,
    "noise": 0.02,
}  # fmt: skip
"""Where the search for the prior standard deviations starts; of the median network for ``overhead`` and, divided by
its operators, ``call``; of what operators take for a value in the median for ``layout``; else relative."""
_FLOOR_MS, _FLOOR = 1e-3, 4e-4  # no network is timed better than to a microsecond, nor than to so much of itself
_NOTHING_MS = 1e-4  # what takes no longer was done together with another operator, and is no call of its own
_SETTLED = 1e-12
"""How closely those scales are found, relatively; by the likelihood alone, which is flat about its peak, they would be
known to some thousandths, and a model that is fitted again elsewhere would differ by as much."""
_SPREAD = 1.5  # the logarithms of those scales are themselves normal about the start, with this standard deviation


@dataclass(frozen=True)
class Correction:
    """What whole networks told beyond their operators.

    Attributes:
        overhead_ms: What every inference takes besides its operators.
        error: Relative standard error on networks left out, from the one that 90 % of them stay within; NaN where
            there were too few to tell. They are left out of the correction one by one, and of the costs of operators
            in folds, unless every operator that is asked for was measured itself.
        networks: How many whole networks were compared.
        repeat_error: That of one run of a network about all of its runs, told in the same way.
    """

    overhead_ms: float
    error: float
    networks: int
    repeat_error: float = 0.0

    def whole_error(self, latency: np.ndarray | float) -> np.ndarray:
        """Standard errors in ms of what is measured of whole networks that are predicted to take so many ms."""
        return np.asarray(np.hypot(np.nan_to_num(self.error), self.repeat_error) * latency)


def corrected_costs(evidence: Evidence, wanted: np.ndarray) -> tuple[Costs, Correction]:
    """Costs of the operators in the rows ``wanted``, as whole networks have it, and the rest of their latency.

    Raises:
        InputError: An operator is unlike any that was measured; it is named.
    """
    return _corrected(evidence, wanted, held_out=False)


def held_out_error(evidence: Evidence) -> float:
    """Relative standard error of predictions of networks left out; infinite while that cannot be told."""
    error = _corrected(evidence, evidence.rows, held_out=True)[1].error
    return math.inf if math.isnan(error) else error


def _corrected(evidence: Evidence, wanted: np.ndarray, held_out: bool) -> tuple[Costs, Correction]:
    networks = _whole_networks(evidence)
    theirs, counts = _operator_counts(evidence, networks)
    rows = np.concatenate([theirs, summed_as_measured(evidence.rows, wanted)])
    positions = {key: number for number, key in enumerate(evidence.totals)}
    place = np.asarray([positions[network.key] for network, _ in networks], dtype=np.int64)
    fold = np.random.default_rng(0).permutation(len(networks)) % _FOLDS
    parts = [np.isin(evidence.network, place[fold == number]) for number in range(_FOLDS)]
    costs, *without = estimate_without(evidence, rows, parts)
    if not networks:
        return costs, Correction(0.0, float("nan"), 0, evidence.repeat_error)
    seen = slice(len(theirs))
    _, first, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    ours = first[number.ravel()][len(theirs) :]  # what networks have is asked for as theirs, with what they told of it
    by_all = _of_networks([costs], seen)
    by_others = _of_networks([without[number] for number in fold], seen)
    single = all(len(network.nodes) == 1 for network, _ in networks)
    told = by_all if evidence.exact or single else by_others
    judged = by_others if held_out or not costs.measured[ours].all() else by_all
    counted = _Counted(counts, np.asarray([ms for _, ms in networks]), evidence.alone and not single)
    mean, error, overhead, wrong = _correct(rows, costs, counted, told, judged)
    correction = Correction(overhead, wrong, len(networks), evidence.repeat_error)
    return Costs(mean[ours], error[ours], costs.measured[ours]), correction


@dataclass(frozen=True)
class _Counted:
    """How often each network has each of the first operators, ``[networks, operators]``, and its milliseconds.

    What the operators cost was seen in the networks, or ``alone``.
    """

    counts: np.ndarray
    measured: np.ndarray
    alone: bool


def _operator_counts(evidence: Evidence, networks: Sequence[tuple[Network, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct operators of networks as rows, and how often each network has each, ``[networks, operators]``."""
    operators = list(dict.fromkeys(operator for network, _ in networks for operator in network.operators))
    rows, place = np.unique(summed_as_measured(evidence.rows, encode(operators)), axis=0, return_inverse=True)
    number = dict(zip(operators, place.ravel(), strict=True))
    counts = np.zeros((len(networks), len(rows)))
    for row, (network, _) in zip(counts, networks, strict=True):
        for operator, count in Counter(network.operators).items():
            row[number[operator]] += count
    return rows, counts


def _of_networks(costs: Sequence[Costs], seen: slice) -> Costs:
    """What some operators cost as seen without each of the networks in turn, ``[networks, operators]``."""
    return Costs(*(np.stack([getattr(one, name)[seen] for one in costs]) for name in ("mean", "error", "measured")))


def _whole_networks(evidence: Evidence) -> list[tuple[Network, float]]:
    """Networks timed end to end, with their ms; operators timed alone only where there is nothing else."""
    networks = [(Network.parse(key), measured) for key, measured in evidence.totals.items()]
    return [entry for entry in networks if len(entry[0].nodes) > 1] or networks


def _correct(
    rows: np.ndarray, costs: Costs, networks: _Counted, told: Costs, judged: Costs
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Means and errors of all operators, the overhead in ms and the relative standard error on networks left out.

    Args:
        rows: The operators.
        costs: What they were seen to cost.
        networks: What was measured of the first of them together.
        told: What each network's operators are taken to cost when it is told from that how costs are to be corrected,
            ``[networks, operators]`` or the same for all networks.
        judged: The same when it is judged.
    """
    counts, measured = networks.counts, networks.measured
    features, groups = _features(rows, costs.mean, counts.shape[1], networks.alone)
    relative = counts / measured[:, None]
    size = np.median(measured)
    unit = {"overhead": size, "call": size / np.median(counts.sum(axis=1))}
    units = np.asarray([unit.get(group, 1.0) for group in ["overhead", *groups]])
    which = np.asarray([list(_SCALES).index(group) for group in ["overhead", *groups]])
    start = np.asarray(list(_SCALES.values()))
    regression = _Regression(costs, told, features, relative, 1 / measured)

    def unlikelihood(steps: np.ndarray) -> tuple[float, np.ndarray]:
        scales = start * np.exp(steps)
        value, slopes, by_noise = regression.unlikelihood(np.square(scales[which] * units), scales[-1])
        slope = np.append(np.bincount(which, slopes, minlength=len(start) - 1), by_noise)
        return value + float(np.square(steps / _SPREAD).sum()) / 2, slope + steps / _SPREAD**2

    near = minimize(unlikelihood, np.zeros(len(start)), jac=True, method="L-BFGS-B").x
    scales = start * np.exp(root(lambda steps: unlikelihood(steps)[1], near, tol=_SETTLED).x)
    prior = np.square(scales[which] * units)
    least = _LEAST_SHARE * costs.mean
    low = np.zeros(len(rows), dtype=bool)
    while True:
        overhead, mean, error, _ = regression.solve(prior, scales[-1])
        if overhead < 0:
            prior[0] = 0.0
        elif (mean < least).any():
            low |= mean < least
            costs, told, judged = (_held(each, low, least) for each in (costs, told, judged))
            features = features * ~low[:, None]
            regression = _Regression(costs, told, features, relative, 1 / measured)
        else:
            break
    left_out = _Regression(costs, judged, features, relative, 1 / measured).solve(prior, scales[-1])[3]
    wrong = standard_deviation(left_out, MOST) if len(measured) >= _FEWEST else float("nan")
    return mean, error, overhead, wrong


def _held(costs: Costs, low: np.ndarray, least: np.ndarray) -> Costs:
    """The costs with some of them held at the least that they may be; of the first operators, or of all."""
    some = slice(costs.mean.shape[-1])
    return Costs(np.where(low[some], least[some], costs.mean), np.where(low[some], 0.0, costs.error), costs.measured)


class _Regression:
    """Networks' relative latency, linear in the overhead, the corrections and the operators' own deviations.

    Args:
        costs: Of all operators, before correction.
        theirs: Of the first operators as each network is taken to have them, ``[networks or 1, operators]``.
        features: Milliseconds by which each correction moves each operator.
        relative: How often each network has each of the first operators, divided by its latency.
        inverse: One over the networks' latencies.
    """

    def __init__(
        self, costs: Costs, theirs: Costs, features: np.ndarray, relative: np.ndarray, inverse: np.ndarray
    ) -> None:
        self.seen = relative.shape[1]
        self.costs, self.features = costs, features
        self.deviations = relative * theirs.error
        self.design = np.column_stack([inverse, relative @ features[: self.seen]])
        self.residual = 1 - (relative * theirs.mean).sum(axis=1)
        self._own = self.deviations @ self.deviations.T
        self._clock = np.square(_FLOOR_MS * inverse) + _FLOOR**2

    @cached_property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Eigenvalues of what does not depend on any scale, and the design and the residuals by its eigenvectors."""
        values, vectors = eigh(self._own + np.diag(self._clock))
        return np.maximum(values, 0.0), vectors.T @ self.design, vectors.T @ self.residual

    def unlikelihood(self, prior: np.ndarray, noise: float) -> tuple[float, np.ndarray, float]:
        """The negative logarithm of the marginal likelihood, up to a constant, and its slopes.

        The few corrections are a matrix of low rank beside one that is diagonal here. They are told by least squares
        with a triangular factor, as normal equations would round too much of the likelihood away. The slopes are by
        the logarithms of the corrections' standard deviations, and of the noise's (Rasmussen & Williams, 5.4.1).
        """
        values, design, residual = self._spectrum
        variance = values + noise**2
        deviation = np.sqrt(variance)
        scaled = design * np.sqrt(prior) / deviation[:, None]
        target = residual / deviation
        basis, factor = qr(np.concatenate([scaled, np.eye(len(prior))]), mode="economic")
        inverse = solve_triangular(factor, np.eye(len(prior)))
        common = inverse @ (basis[: len(target)].T @ target)
        left = target - scaled @ common
        value = left @ left / 2 + common @ common / 2 + np.log(variance).sum() / 2
        value += np.log(np.abs(np.diag(factor))).sum()
        by_prior = 1 - np.square(inverse).sum(axis=1) - np.square(common)
        explained = np.square(basis[: len(target)]).sum(axis=1)
        by_noise = noise**2 * ((1 - explained - np.square(left)) / variance).sum()
        return float(value), by_prior, float(by_noise)

    def covariance(self, prior: np.ndarray, noise: float) -> np.ndarray:
        """Of the residuals."""
        return np.asarray((self.design * prior) @ self.design.T + self._own + np.diag(noise**2 + self._clock))

    def solve(self, prior: np.ndarray, noise: float) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Overhead, means and errors of all operators, and the relative errors on networks left out one by one."""
        inverse = np.linalg.inv(self.covariance(prior, noise))
        weights = inverse @ self.residual
        common = prior * (self.design.T @ weights)
        mean = self.costs.mean + self.features @ common[1:]
        error, seen = self.costs.error, slice(self.seen)
        mean[seen] += error[seen] * (self.deviations.T @ weights)
        variance = np.square(error)
        variance[seen] *= 1 - np.einsum("no,no->o", self.deviations, inverse @ self.deviations)
        return float(common[0]) + 0.0, mean, np.sqrt(np.maximum(variance, 0.0)), weights / np.diag(inverse)


def _features(rows: np.ndarray, mean: np.ndarray, seen: int, alone: bool) -> tuple[np.ndarray, list[str]]:
    """Milliseconds by which each correction moves each operator, shape ``[operators, corrections]``, and their groups.

    Families that no network has are corrected like their kind. What was measured ``alone`` is corrected by its values
    too, and by those whose channels fill blocks of each size, as they are laid out in others than the caller's order.
    """
    kinds = rows[:, 0]
    family = family_numbers(rows)
    logarithm = np.log(np.maximum(mean, 1e-6))
    typical = np.bincount(family[:seen], logarithm[:seen], minlength=family.max() + 1)
    typical = typical / np.maximum(np.bincount(family[:seen], minlength=family.max() + 1), 1)
    known = np.isin(family, family[:seen])
    growth = np.where(known, logarithm - typical[family], 0.0)
    calls = (mean > _NOTHING_MS) * 1.0
    columns, groups = [calls, mean, mean * growth], ["call", "all", "growth"]
    if rows[:seen, _CONVERSIONS].any():  # each is a call of its own
        columns.append(rows[:, _CONVERSIONS] * 1.0)
        groups.append("call")
    for kind in np.unique(kinds[:seen]):
        columns += [calls * (kinds == kind), mean * (kinds == kind)]
        groups += ["call", "kind"]
    for alike in _families(rows, seen):
        columns.append(mean * alike)
        groups.append("family")
    if alone:
        read, given = values(rows)
        each = float(np.median(mean[:seen] / (read + given)[:seen]))
        for count, channels in ((read, rows[:, _IN]), (given, rows[:, _OUT])):
            filled = [np.ones(len(rows)), *(channels % alignment == 0 for alignment in ALIGNMENTS)]
            columns += [each * count * some for some in filled]
            groups += ["layout"] * len(filled)
    return np.stack(columns, axis=1), groups


def _families(rows: np.ndarray, seen: int) -> Iterator[np.ndarray]:
    """Which operators are in each family that networks have, and in each that is several but for what is around."""
    family, anywhere = family_numbers(rows), family_numbers(without(rows))
    for number in np.unique(family[:seen]):
        yield family == number
    for number in np.unique(anywhere[:seen]):
        alike = anywhere == number
        if np.ptp(family[:seen][alike[:seen]]) > 0:
            yield alike
