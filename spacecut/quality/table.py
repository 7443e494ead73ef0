"""What was measured of accuracy: losses of candidates, or accuracies of whole architectures.

Of accuracies only the ranks count, since any growing function of quality has the same fronts: they are turned into
normal scores and explained by a sum over the choices that have an effect. Equal candidates of choices among the same
ones have something in common, and the marginal likelihood decides how much (Bayesian linear regression; Rasmussen &
Williams, Gaussian Processes for Machine Learning, ch. 2). What remains uncertain is kept: quality functions are drawn
from the posterior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm, spearmanr

from spacecut.errors import InputError
from spacecut.quality.family import LEVELS, Quality, levelled, quality_family
from spacecut.quality.gaussian import unlikelihood
from spacecut.quality.process import AccuracyProcess, alike, codes_of, design_of, normal_scores
from spacecut.space import Candidate, Choice, SearchSpace
from spacecut.space.architectures import Rows, architecture_of, read_rows, written_as
from spacecut.space.place import hint

__all__ = ["QualityTable", "from_accuracies", "from_losses", "read_quality"]

HIGHER = ("accuracy", "acc", "quality")
LOWER = ("loss", "error")
"""Last words of the names of columns of which larger, or smaller, values are better: ``val_acc``, ``nsr_loss``."""
FEWEST = 10
"""Architectures that can say something of the candidates."""
SURE = norm.ppf(0.95)
"""Standard errors by which a candidate must be ahead of another to be taken for the better one."""

_FOLDS = 5
_DOUBTED = 4


@dataclass(frozen=True)
class QualityTable:
    """Worths of candidates, additive over the choices, as far as they were measured.

    Attributes:
        space: What they are of.
        worth: For each choice, the worth of each candidate in an arbitrary unit; None where nothing was measured. A
            choice without effect is worth 0 by accuracies, and as much as its worst candidate by losses.
        covariance: Of all worths that there are, one after another; zero where they were given.
        source: Name of the file.
        architectures: How many whole architectures it comes of; 0 where candidates' losses were given.
        rank_correlation: Spearman's, between the accuracies of architectures left out in turn and what the others say
            of them (cross-validation); NaN where losses were given.
        process: What the same accuracies say of whole architectures; None where losses were given.
    """

    space: SearchSpace
    worth: tuple[np.ndarray | None, ...]
    covariance: np.ndarray
    source: str
    architectures: int
    rank_correlation: float
    process: AccuracyProcess | None = None

    def family(self, count: int, seed: int = 0) -> list[Quality]:
        """Draw quality functions that agree with what was measured and with the declared orders.

        Choices of which nothing was measured are drawn like :func:`quality_family` draws them. What accuracies of
        architectures say holds only as far as accuracy is a sum over the choices, so every fourth function knows
        nothing of them (a contaminated prior; Berger, Statistical Decision Theory and Bayesian Analysis, 4.7).
        """
        guessed = quality_family(self.space, count, seed)
        known = [values for values in self.worth if values is not None]
        mean = np.concatenate(known) if known else np.zeros(0)
        drawn = np.zeros((count, 0))
        if known:
            drawn = np.random.default_rng(seed).multivariate_normal(mean, self.covariance, count, method="eigh")
        spread = max((float(np.ptp(values)) for values in known), default=1.0) or 1.0
        orders = [choice.not_worse() for choice in self.space.choices]
        result = []
        for number, (guess, row) in enumerate(zip(guessed, drawn, strict=True)):
            if self.architectures and number % _DOUBTED == _DOUBTED - 1:
                result.append(guess)
                continue
            unit = spread / max(1, *(int(values.max()) for values in guess.worth))
            worth, begin = [], 0
            for values, other, order in zip(self.worth, guess.entries, orders, strict=True):
                if values is None:
                    worth.append(other * unit)
                    continue
                known_worth = _monotone(row[begin : begin + len(values)], order)
                worth.append(np.append(known_worth, 0.0 if self.architectures else known_worth.min()))
                begin += len(values)
            result.append(levelled(worth, LEVELS))
        return result

    def refined(self) -> SearchSpace:
        """The space with its quality orders extended by what was measured beyond doubt.

        A choice whose larger candidates are better stays as it is; what a declared order says is not turned round.
        """
        orders: dict[str, list[tuple[Candidate, ...]]] = {}
        begin = 0
        for choice, values in zip(self.space.choices, self.worth, strict=True):
            if values is None:
                continue
            part = slice(begin, begin + len(values))
            begin += len(values)
            if choice.order == "larger":
                continue
            covariance = self.covariance[part, part]
            variance = np.diag(covariance)[:, None] + np.diag(covariance)[None, :] - 2 * covariance
            ahead = values[None, :] - values[:, None] - SURE * np.sqrt(np.maximum(variance, 0.0))
            declared = choice.not_worse()
            better = (ahead >= 0) & ~declared & ~declared.T
            chains = [] if isinstance(choice.order, str) else list(choice.order)
            pairs = [(choice.candidates[i], choice.candidates[j]) for i, j in np.argwhere(better)]
            orders[choice.name] = [*chains, *pairs]
        return self.space.reordered(orders)


def from_losses(space: SearchSpace, losses: Sequence[np.ndarray | None], source: str = "given") -> QualityTable:
    """A table of candidates' losses: for each choice an array, or None where nothing is known."""
    worth = tuple(None if values is None else values.max() - values for values in losses)
    size = sum(len(values) for values in worth if values is not None)
    return QualityTable(space, worth, np.zeros((size, size)), source, 0, math.nan)


def from_accuracies(
    space: SearchSpace, numbers: np.ndarray, accuracy: np.ndarray, source: str = "given"
) -> QualityTable:
    """What accuracies of whole architectures say of the candidates.

    Args:
        space: The space.
        numbers: Candidate numbers, ``[architectures, choices]``.
        accuracy: Larger is better, ``[architectures]``.
        source: Name of the file.

    Raises:
        InputError: There are fewer than 10, or all are equally good.
    """
    if len(accuracy) < FEWEST:
        raise InputError(f"{source}: {len(accuracy)} accuracies say too little; give at least {FEWEST}")
    if np.ptp(accuracy) == 0:
        raise InputError(f"{source}: all architectures are equally good; give some that differ")
    score = normal_scores(accuracy)
    codes = codes_of(space, numbers)
    design, equal = design_of(codes, space.lengths), alike(space)
    own, common, outer = design @ design.T, design @ equal @ design.T, np.ones((len(score), len(score)))

    def covariance(logs: np.ndarray) -> np.ndarray:
        """Of the scores: of the candidates, of what equal ones have in common, of the mean, of the noise."""
        each, shared, noise = np.exp(2 * logs)
        return np.asarray(each * own + shared * common + outer + noise * np.eye(len(score)))

    start = np.log([0.3, 0.3, 0.5])
    found = minimize(lambda logs: unlikelihood(covariance(logs), score), start, method="L-BFGS-B", bounds=[(-5, 2)] * 3)
    inverse = np.linalg.inv(covariance(found.x))
    each, shared, _ = np.exp(2 * found.x)
    prior = each * np.eye(len(equal)) + shared * equal
    told = prior @ design.T
    mean = told @ inverse @ score
    spread = prior - told @ inverse @ told.T
    worth = tuple(np.split(mean, np.cumsum(space.lengths)[:-1]))
    fold = np.random.default_rng(0).permutation(len(score)) % _FOLDS
    whole, predicted = covariance(found.x), np.empty(len(score))
    for out in (fold == number for number in range(_FOLDS)):
        predicted[out] = (whole[out][:, ~out]) @ np.linalg.solve(whole[~out][:, ~out], score[~out])
    rank = float(spearmanr(predicted, score).statistic)
    process = AccuracyProcess(space, codes, np.asarray(accuracy, dtype=float))
    return QualityTable(space, worth, (spread + spread.T) / 2, source, len(score), rank, process)


def read_quality(path: str | Path, space: SearchSpace) -> QualityTable:
    """Read measured losses of candidates, or accuracies of architectures.

    Args:
        path: A CSV file. With the columns ``choice`` and ``candidate`` it is of candidates; else it has a column a
            choice, or one column ``arch``. The value is in the one column whose name ends in accuracy, acc, quality,
            loss or error.
        space: What it is about.

    Raises:
        InputError: The file is missing or broken, or a row holds something else; the row is named.
    """
    rows = read_rows(path, "CSV file of losses or accuracies")
    named = [name for name in rows.names if _kind(name) in (*HIGHER, *LOWER) and name not in space.positions]
    if len(named) != 1:
        words = ", ".join((*HIGHER, *LOWER))
        raise InputError(f"{rows.file}: {len(named)} columns' names end in {words}; let the one to use end so")
    place = rows.names.index(named[0])
    sign = 1.0 if _kind(named[0]) in HIGHER else -1.0
    if {"choice", "candidate"} <= set(rows.names) and not {"choice", "candidate"} & space.positions.keys():
        return from_losses(space, _losses(rows, space, place, -sign), rows.file.name)
    architecture = architecture_of(space, rows)
    numbers, values = [], []
    for line, row in rows:
        try:
            numbers.append(architecture(row))
            values.append(sign * _number(row[place], named[0]))
        except InputError as error:
            raise InputError(f"{rows.file}:{line}: {error}") from None
    listed = np.asarray(numbers, dtype=np.int64).reshape(len(values), len(space.choices))
    return from_accuracies(space, listed, np.asarray(values), rows.file.name)


def _kind(name: str) -> str:
    """The last word of a column's name."""
    return name.lower().rpartition("_")[2]


def _losses(rows: Rows, space: SearchSpace, place: int, sign: float) -> list[np.ndarray | None]:
    """Losses choice by choice; every candidate of a choice must be there, once."""
    which, what = rows.names.index("choice"), rows.names.index("candidate")
    known = {choice.name: written_as(choice) for choice in space.choices}
    found: dict[str, dict[int, float]] = {}
    for line, row in rows:
        name, word = row[which].strip(), row[what].strip()
        if name not in known:
            raise InputError(f"{rows.file}:{line}: unknown choice {name!r}; {hint(name, known)}")
        if word not in known[name]:
            raise InputError(
                f"{rows.file}:{line}: choice {name!r} has no candidate {word!r}; {hint(word, known[name])}"
            )
        number, losses = known[name][word], found.setdefault(name, {})
        if number in losses:
            raise InputError(f"{rows.file}:{line}: {word!r} of {name!r} was given before; remove one")
        try:
            losses[number] = sign * _number(row[place], rows.names[place])
        except InputError as error:
            raise InputError(f"{rows.file}:{line}: {error}") from None
    for name, losses in found.items():
        if missing := _missing(space.choice(name), losses):
            raise InputError(f"{rows.file}: no loss of {missing[0]!r} of {name!r}; give all candidates of a choice")
    if not found:
        raise InputError(f"{rows.file}: there is no row; give the losses of candidates")
    return [
        np.asarray([found[choice.name][number] for number in range(len(choice))]) if choice.name in found else None
        for choice in space.choices
    ]


def _missing(choice: Choice, losses: dict[int, float]) -> list[Candidate]:
    return [candidate for number, candidate in enumerate(choice.candidates) if number not in losses]


def _number(text: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{column} is {text!r}, which is no number") from None
    if not math.isfinite(value):
        raise InputError(f"{column} is {text}, which is no finite number")
    return value


def _monotone(values: np.ndarray, not_worse: np.ndarray) -> np.ndarray:
    """Worths that an order allows, halfway between lifting the better candidates and lowering the worse ones."""
    lifted = np.where(not_worse, values[:, None], -np.inf).max(axis=0)
    lowered = np.where(not_worse, values[None, :], np.inf).min(axis=1)
    return np.asarray((lifted + lowered) / 2)
