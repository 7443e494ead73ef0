"""What every operator of a family costs, from what some of them were seen to cost.

A family is all operators that differ only in width. Its cost is fitted as a non-negative mixture of step features
(non-negative least squares on the relative error; Lawson & Hanson, Solving Least Squares Problems, ch. 23); which
features and alignment classes is decided by cross-validation. An operator that was measured itself gets its own mean,
drawn towards the fit by as much as the noise deserves (precision weighting).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from spacecut.errors import InputError
from spacecut.latency.evidence import Evidence
from spacecut.latency.features import (
    ALIGNMENTS,
    alignment_classes,
    beyond,
    half_full,
    jumps,
    smooth,
    stepped,
    with_classes,
)
from spacecut.latency.robust import standard_deviation
from spacecut.operators.operator import COLUMNS, CONTEXT, KIND_NAMES, decode, family_columns, family_numbers, without

__all__ = ["Costs", "estimate", "estimate_without", "summed_as_measured"]

_FOLDS = 4
_FEWEST = 8  # distinct operators for a choice of features by cross-validation
_LEAST = 4  # distinct operators that tell, left out one by one, how well the plainest features fit
_UNFITTED = 0.5  # relative error of a fit that could not be checked
_FLOOR_MS = 1e-3  # below a microsecond, errors count in microseconds
_PRICE = 1e-3
"""So much of what all weights cost together counts as an error while features are chosen: it decides between mixtures
that fit alike, which the rounding of a processor would decide otherwise. Plain features are cheap; prices are square
roots, of which no two sums are alike."""
_ROUNDING = 1e-9  # relative errors of so little are no errors
_FAR = 4.0  # so many standard errors from what was measured, a fit is wrong there

_KIND, _IN, _OUT, _REDUCED = (COLUMNS.index(name) for name in ("kind", "in_channels", "out_channels", "reduced"))
_CONTEXT = [COLUMNS.index(name) for name in CONTEXT]
_SUMMED = ("summed", "beside", "twofold")
_FUSABLE = CONTEXT.index("fusable")
_TWO_WIDTHS = ("conv2d", "linear")  # kinds whose output may be of another width than the input


@dataclass(frozen=True)
class Costs:
    """Costs of operators.

    Attributes:
        mean: Milliseconds, shape ``[operators]``.
        error: Standard error in milliseconds, same shape.
        measured: How many observations each one has of its own.
    """

    mean: np.ndarray
    error: np.ndarray
    measured: np.ndarray


def estimate(evidence: Evidence, wanted: np.ndarray) -> Costs:
    """Costs of the operators in the rows ``wanted``.

    What may be fused with its neighbour, and was only ever measured alone, costs anything up to what it costs alone.
    What has to be converted for more readers, or for fewer, than was ever measured, costs about the same. A convolution
    that is summed with other values than any like it was costs the same, and so does what is wanted twofold only there.

    Raises:
        InputError: An operator belongs to a family of which nothing was measured; it is named.
    """
    return estimate_without(evidence, wanted, ())[0]


def estimate_without(evidence: Evidence, wanted: np.ndarray, left_out: Sequence[np.ndarray]) -> list[Costs]:
    """Costs by all observations, and then by what is left of them without each of some parts.

    Args:
        evidence: What was measured.
        wanted: The operators, as rows.
        left_out: For each part, which observations are in it. The form of a family's costs is still the one that all
            observations decided on; so are its costs where none would be left.

    Raises:
        InputError: An operator belongs to a family of which nothing was measured; it is named.
    """
    known_families = family_columns(evidence.rows)
    wanted = summed_as_measured(evidence.rows, wanted)
    family = family_numbers(wanted)
    mean, error = np.empty((2, 1 + len(left_out), len(wanted)))
    measured = np.zeros((1 + len(left_out), len(wanted)), dtype=np.int64)
    for number in range(family.max(initial=-1) + 1):
        asked = np.flatnonzero(family == number)
        rows = wanted[asked]
        chosen = (known_families == family_columns(rows[:1])).all(axis=1)[evidence.number]
        if elsewhere := not chosen.any():
            rows = _as_measured(evidence.rows, rows)
            chosen = (known_families == family_columns(rows[:1])).all(axis=1)[evidence.number]
        mean[:, asked], error[:, asked], measured[:, asked] = _family(
            evidence.rows[evidence.number[chosen]],
            evidence.cost[chosen],
            evidence.pass_error[chosen],
            rows,
            [part[chosen] for part in left_out],
        )
        if elsewhere:
            error[:, asked] = np.maximum(error[:, asked], _UNFITTED * mean[:, asked])
            measured[:, asked] = 0
    return [Costs(*columns) for columns in zip(mean, error, measured, strict=True)]


def _as_measured(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Operators of one family in the context nearest to theirs in which any of it was measured.

    Raises:
        InputError: None was measured.
    """
    alike = (family_columns(without(known)) == family_columns(without(rows[:1]))).all(axis=1)
    context, found = rows[0, _CONTEXT], known[alike][:, _CONTEXT]
    found = found[np.isin(found[:, _FUSABLE], (0, context[_FUSABLE]))]
    if not len(found):
        raise InputError(f"nothing was measured of the operator {decode(rows[0])} or any like it")
    result = rows.copy()
    result[:, _CONTEXT] = _nearest(found, context)
    return result


def summed_as_measured(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The same operators, but what is summed or wanted twofold as nothing like it was when measured as the nearest is.

    What that takes is little, and where operators only ever run alone, nothing tells.
    """
    result = rows.copy()
    families, plain = family_columns(known), family_columns(without(known, _SUMMED))
    summed = [COLUMNS.index(name) for name in _SUMMED]
    family = family_numbers(rows)
    for number in range(family.max(initial=-1) + 1):
        asked = np.flatnonzero(family == number)
        first = rows[asked[:1]]
        found = known[(plain == family_columns(without(first, _SUMMED))).all(axis=1)][:, summed]
        if len(found) and not (families == family_columns(first)).all(axis=1).any():
            result[asked[:, None], summed] = _nearest(found, first[0, summed])
    return result


def _nearest(found: np.ndarray, context: np.ndarray) -> np.ndarray:
    """The one of the contexts ``[found, columns]`` that is nearest to another in its first column, then the next."""
    return np.asarray(found[np.lexsort(np.abs(found - context).T[::-1])[0]])


def _widths(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two widths that a family's cost may depend on; the inner one is 1 where there is only one."""
    inner, outer = rows[:, _IN].astype(float), rows[:, _OUT].astype(float)
    if rows[:, _REDUCED].any():
        return rows[:, _REDUCED].astype(float), inner
    return (inner if KIND_NAMES[rows[0, _KIND]] in _TWO_WIDTHS else np.ones_like(inner)), outer


def _family(
    rows: np.ndarray,
    cost: np.ndarray,
    pass_error: np.ndarray,
    wanted: np.ndarray,
    left_out: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, errors and numbers of observations, each of shape ``[1 + parts, operators]``."""
    everything = np.concatenate([rows, wanted])
    distinct, position = np.unique(everything, axis=0, return_inverse=True)
    position = position.ravel()
    seen, asked = position[: len(rows)], position[len(rows) :]
    own, count = _means(seen, cost, len(distinct))
    noise = _noise(seen, cost, own, count, pass_error)
    features, misfit = _form(distinct, own, count, noise)

    def by(used: np.ndarray) -> list[np.ndarray]:
        told = _told(seen[used], cost[used], pass_error[used], noise, len(distinct))
        return [values[asked] for values in _drawn_to_fit(features, told, misfit)]

    found = [by(np.ones(len(cost), dtype=bool))]
    found += [by(~part) if part.any() and not part.all() else found[0] for part in left_out]
    mean, error, measured = (np.stack(values) for values in zip(*found, strict=True))
    return mean, error, measured


def _means(seen: np.ndarray, cost: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean cost of each distinct operator and its number of observations."""
    count = np.bincount(seen, minlength=length)
    return np.bincount(seen, cost, minlength=length) / np.maximum(count, 1), count


@dataclass(frozen=True)
class _Told:
    """What observations tell of each distinct operator.

    Attributes:
        mean: Milliseconds.
        count: How many observations there are of it.
        error: Standard error of the mean in ms by the noise that all observations have.
        scatter: The same by its own observations and their passes alone.
    """

    mean: np.ndarray
    count: np.ndarray
    error: np.ndarray
    scatter: np.ndarray


def _told(seen: np.ndarray, cost: np.ndarray, pass_error: np.ndarray, noise: float, length: int) -> _Told:
    mean, count = _means(seen, cost, length)
    times = np.maximum(count, 1)
    passes = np.bincount(seen, np.square(np.nan_to_num(pass_error) * cost), minlength=length) / times**2
    between = np.bincount(seen, np.square(cost - mean[seen]), minlength=length) / (np.maximum(count - 1, 1) * times)
    error = noise * np.maximum(mean, _FLOOR_MS) / np.sqrt(times)
    return _Told(mean, count, error, np.sqrt(np.maximum(passes, between)))


def _drawn_to_fit(features: np.ndarray, told: _Told, misfit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, errors and numbers of observations of all distinct operators.

    A fit may be right but for a few operators of which it knows nothing: those at a dip of one width, say. Where it is
    far from what was measured exactly, it is wrong by at least as much as noise does not explain.
    """
    seen = told.count > 0
    fitted = _mixed(features, _solve(features[seen], told.mean[seen], np.sqrt(told.count[seen])))
    prior = np.square(misfit * np.maximum(fitted, _FLOOR_MS))
    missed = np.square(told.mean - fitted) - np.square(_FAR * np.maximum(told.error, told.scatter))
    wrong, noise = np.maximum(prior, missed), np.square(told.error)
    weight = np.where(seen, wrong / (wrong + noise), 0.0)
    variance = np.where(seen, weight * noise, prior)
    return weight * told.mean + (1 - weight) * fitted, np.sqrt(variance), told.count


def _noise(seen: np.ndarray, cost: np.ndarray, own: np.ndarray, count: np.ndarray, pass_error: np.ndarray) -> float:
    """Relative standard error of one observation: between networks where operators recur, else between passes."""
    deviation = np.abs(cost - own[seen]) / np.maximum(own[seen], _FLOOR_MS)
    again = count[seen] > 1
    if again.sum() >= _FEWEST:
        shrink = np.sqrt(1 - 1 / count[seen][again])  # deviations from a mean of n are too small by this
        return max(standard_deviation(deviation[again] / shrink), 1e-3)
    passes = pass_error[np.isfinite(pass_error)]
    return max(float(np.median(passes)), 1e-3) if len(passes) else 0.05


def _form(distinct: np.ndarray, own: np.ndarray, count: np.ndarray, noise: float) -> tuple[np.ndarray, float]:
    """The features of all distinct operators that fit best, and the fit's relative error without the noise.

    Only what was seen decides on the fit, so that an operator costs the same whatever else is asked for.
    """
    measured = np.flatnonzero(count)
    cost, weight = own[measured], np.sqrt(count[measured])
    designs = _designs(distinct, measured)
    if len(measured) < _LEAST:
        return next(designs), _UNFITTED
    few = len(measured) < _FEWEST
    fold = np.random.default_rng(0).permutation(len(measured)) % (len(measured) if few else _FOLDS)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for features in itertools.islice(designs, 1) if few else designs:
        known = features[measured]
        held = np.empty(len(cost))
        for number in range(fold.max() + 1):
            out = fold == number
            held[out] = _mixed(known[out], _solve(known[~out], cost[~out], weight[~out]))
        residual = (held - cost) / np.maximum(cost, _FLOOR_MS)
        score = float(np.average(np.minimum(np.abs(residual), 1.0), weights=count[measured]))
        if best is None or score < 0.97 * best[0] - _ROUNDING:  # a richer form must earn its place
            best = score, residual, features
    assert best is not None
    _, residual, features = best
    spread = float(np.sqrt(np.mean(np.square(residual)))) if few else standard_deviation(residual)
    averaged = noise**2 / float(np.median(count[measured]))
    misfit = np.sqrt(max(spread**2 - averaged, 0.01 * averaged, 1e-6))
    return features, float(misfit)


def _designs(distinct: np.ndarray, measured: np.ndarray) -> Iterator[np.ndarray]:
    """Feature arrays to choose from, the plainest first."""
    inner, outer = _widths(distinct)
    plain = _scaled(smooth(inner, outer), measured)
    yield plain
    steps = _scaled(np.column_stack([stepped(inner, outer), beyond(inner, outer, measured)]), measured)
    yield steps
    yield np.concatenate([steps, _scaled(jumps(inner, outer, measured), measured)], axis=1)
    if np.ptp(inner[measured]) > 0:  # of a single width, jumps tell all that there is
        yield np.concatenate([steps, _scaled(half_full(inner, outer), measured)], axis=1)
    fewest = plain.shape[1] + 1  # what so many features make of no more operators than that may be anything
    for alignment in ALIGNMENTS:
        classes = alignment_classes(inner, outer, alignment, measured, fewest)
        if len(np.unique(classes[measured])) > 1:
            yield with_classes(steps, plain, classes)


def _scaled(features: np.ndarray, measured: np.ndarray) -> np.ndarray:
    largest = features[measured].max(axis=0)
    return np.asarray(features / np.where(largest > 0, largest, 1.0))


def _mixed(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The costs that weights of the features make; to the last bit the same for an operator, whatever others there are.

    A product of matrices rounds by how many rows there are, and what is searched for behind it magnifies that.
    """
    return np.asarray((features * weights).sum(axis=1))


def _solve(features: np.ndarray, cost: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Non-negative weights of the features that minimise the squared relative error of the costs.

    Relative to what the fit itself says: relative to the costs, those that happen to be low would count for more, and
    the fit would lie below their mean.
    """
    first = _solve_relative_to(cost, features, cost, weight)
    return _solve_relative_to(_mixed(features, first), features, cost, weight)


def _solve_relative_to(size: np.ndarray, features: np.ndarray, cost: np.ndarray, weight: np.ndarray) -> np.ndarray:
    scale = weight / np.maximum(size, _FLOOR_MS)
    design, target, most = features * scale[:, None], cost * scale, 50 * features.shape[1]
    price = _PRICE * design.max(axis=0) * np.sqrt(np.linspace(1, 2, features.shape[1]))
    chosen = nnls(np.vstack([design, price]), np.append(target, 0.0), maxiter=most)[0] > 0
    weights = np.zeros(features.shape[1])
    if chosen.any():
        weights[chosen] = nnls(design[:, chosen], target, maxiter=most)[0]
    return weights
