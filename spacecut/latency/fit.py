"""Costs of candidates from latencies of whole networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np

from spacecut.errors import InputError, MeasurementError
from spacecut.latency.explanations import Explanation, by_choices, by_interactions, by_live_choices, by_operators
from spacecut.latency.latencies import Latencies
from spacecut.latency.recorded import Accuracy, CostTable, RecordedPlatform
from spacecut.latency.regression import Posterior, regress
from spacecut.latency.robust import MOST, standard_deviation
from spacecut.latency.trellis import Scope
from spacecut.operators import expand
from spacecut.space import SearchSpace

__all__ = ["FEWEST", "LEAST_CORRELATION", "accuracy_of", "fit"]

FEWEST = 20
"""Networks without which nothing is fitted."""
_FOLDS = 5
_ROUNDS = 5
_NOTHING = 1e-6  # of the median latency
_EARNED = 0.97  # a richer explanation must bring the error down to this share
_FINE = 0.005  # where it is not below this already
_ASKS = 0.03  # mean error on networks held out above which interactions between choices are looked for
_WRONG = 1.0  # larger errors count no more: they are of networks that hardly take any time
LEAST_CORRELATION = 0.7  # Spearman's, on networks held out; below it a fit cannot tell fast from slow

_Explain = Callable[[Latencies], Explanation]
"""What networks are to be explained by, which may depend on them."""


def fit(space: SearchSpace, latencies: Latencies, rows: int | None = None, seed: int = 0) -> RecordedPlatform:
    """Fit the costs of a space's candidates to whole-network latencies.

    Costs are those of a Bayesian regression whose scales are decided by the evidence (see
    :mod:`spacecut.latency.regression`). Whether networks are explained by their candidates alone, by those whose output
    leads somewhere or by the operators that choices share, and whether candidates cost more or less with those of other
    choices, is decided by cross-validation.

    Args:
        space: The space.
        latencies: Architectures of the space with their ms.
        rows: Take so many of them at random; all unless given.
        seed: Of that.

    Raises:
        InputError: Too few networks, or a candidate that none of them has.
        MeasurementError: The costs do not tell which of the networks left out are faster.
    """
    drawn = np.arange(len(latencies))
    if rows is not None:
        if not FEWEST <= rows <= len(latencies):
            raise InputError(
                f"-n must be between {FEWEST} and the {len(latencies)} rows of {latencies.source}, not {rows}"
            )
        drawn = np.sort(np.random.default_rng(seed).permutation(len(latencies))[:rows])
    seen = latencies.some(drawn)
    if len(seen) < FEWEST:
        raise InputError(f"{latencies.source} has {len(seen)} rows; a fit needs at least {FEWEST}")
    _check_seen(space, seen)
    workload = expand(space)
    choices, live, operators = by_choices(workload), by_live_choices(workload), by_operators(workload)
    # Where no later choice can leave a candidate's output unread, live choices are just the choices.
    fixed = [choices, live, operators] if live.tables.keys() != choices.tables.keys() else [choices, operators]

    def interactions(networks: Latencies) -> Explanation:
        return by_interactions(workload, _fitted(choices, networks).costs)

    explains: list[_Explain] = [*(partial(_always, explanation) for explanation in fixed), interactions]
    best: tuple[_Explain, np.ndarray, float] | None = None
    for explain in explains:
        if best is not None and explain is interactions and best[2] < _ASKS:
            break
        predicted = _held_out(explain, seen)
        error = float(np.minimum(np.abs(predicted / seen.ms - 1), _WRONG).mean())
        if best is None or max(error, _FINE) < _EARNED * best[2]:
            best = explain, predicted, error
    assert best is not None
    explanation, held_out = best[0](seen), accuracy_of(best[1], seen.ms)
    if held_out.rank_correlation < LEAST_CORRELATION:
        raise MeasurementError(
            f"no good fit to {latencies.column} of {latencies.source}: on networks left out the rank correlation is "
            f"{held_out.rank_correlation:.2f} (at least {LEAST_CORRELATION}) and the mean error "
            f"{held_out.mean_error:.0%}; give more rows, or latencies measured with less noise"
        )
    fitted = _fitted(explanation, seen)
    rest = latencies.some(np.setdiff1d(np.arange(len(latencies)), drawn))
    return RecordedPlatform(
        space.name,
        latencies.source,
        latencies.column,
        len(seen),
        None if rows is None else seed,
        datetime.now(UTC).isoformat(timespec="seconds"),
        explanation.name,
        fitted.overhead,
        held_out,
        accuracy_of(fitted.predict(rest.numbers), rest.ms) if len(rest) else None,
        tuple(_table(space, scope, ms, fitted.errors(scope)) for scope, ms in fitted.costs.items()),
    )


def _always(explanation: Explanation, networks: Latencies) -> Explanation:
    """An explanation that does not depend on the networks."""
    return explanation


@dataclass(frozen=True)
class _Fitted:
    """Overhead in ms, the cost of each combination of each scope, and what they come of."""

    explanation: Explanation
    posterior: Posterior
    overhead: float
    costs: dict[Scope, np.ndarray]

    def predict(self, numbers: np.ndarray) -> np.ndarray:
        """Milliseconds of networks given as candidate numbers ``[networks, choices]``."""
        total = np.full(len(numbers), self.overhead)
        for scope, ms in self.costs.items():
            total += ms[self.explanation.places(scope, numbers)]
        return total

    def errors(self, scope: Scope) -> np.ndarray:
        """Standard errors of what tells a scope's combinations from their mean, ms."""
        told_apart = self.explanation.tables[scope] @ self.posterior.directions
        centred = told_apart - told_apart.mean(axis=0)
        variance = np.einsum("cd,dk,ck->c", centred, self.posterior.covariance[1:, 1:], centred, optimize=True)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _fitted(explanation: Explanation, seen: Latencies) -> _Fitted:
    posterior = regress(explanation.of(seen.numbers), seen.ms, explanation.group)
    posterior = _not_below(posterior, explanation, -_NOTHING * float(np.median(seen.ms)))
    overhead = float(posterior.mean[0])
    costs = {}
    for scope, table in explanation.tables.items():
        ms = table @ posterior.of_columns
        overhead += float(ms.min())
        costs[scope] = ms - ms.min()
    return _Fitted(explanation, posterior, max(overhead, 0.0), costs)


def _not_below(posterior: Posterior, explanation: Explanation, least: float) -> Posterior:
    """What is known once no network takes less than nothing; the cheapest combinations may come to change by it."""
    for _ in range(_ROUNDS):
        cheapest = [table[int((table @ posterior.of_columns).argmin())] for table in explanation.tables.values()]
        columns = np.sum([combination.toarray().ravel() for combination in cheapest], axis=0)
        combination = np.append(1.0, columns @ posterior.directions)
        if combination @ posterior.mean >= least:
            break
        posterior = posterior.given(combination, 0.0)
    return posterior


def _held_out(explain: _Explain, seen: Latencies) -> np.ndarray:
    """Predictions of each network by a fit to the others, a fold at a time."""
    fold = np.random.default_rng(0).permutation(len(seen)) % _FOLDS
    predicted = np.empty(len(seen))
    for number in range(_FOLDS):
        out = fold == number
        known = seen.some(~out)
        predicted[out] = _fitted(explain(known), known).predict(seen.numbers[out])
    return predicted


def accuracy_of(predicted: np.ndarray, measured: np.ndarray) -> Accuracy:
    """How well latencies in ms were predicted."""
    from scipy.stats import spearmanr  # slow to import, and needed only here

    error = np.abs(predicted / measured - 1)
    varies = min(len(np.unique(predicted)), len(np.unique(measured))) > 1
    return Accuracy(
        len(measured),
        float((error <= 0.05).mean()),
        float((error <= 0.10).mean()),
        float(spearmanr(predicted, measured).statistic) if varies else 0.0,
        float(error.mean()),
        standard_deviation(error, MOST),
    )


def _check_seen(space: SearchSpace, seen: Latencies) -> None:
    """Whether each candidate is in some network, or an equal one of a like choice."""
    met: dict[tuple[object, ...], np.ndarray] = {}
    for choice, column in zip(space.choices, seen.numbers.T, strict=True):
        counts = np.bincount(column, minlength=len(choice))
        met[choice.candidates] = met.get(choice.candidates, np.zeros(len(choice))) + counts
    for choice in space.choices:
        if len(missing := np.flatnonzero(met[choice.candidates] == 0)):
            raise InputError(
                f"none of the {len(seen)} networks has {choice.name} = {choice.candidates[int(missing[0])]}; give more "
                "rows, or cut it out of the space"
            )


def _table(space: SearchSpace, scope: Scope, ms: np.ndarray, error: np.ndarray) -> CostTable:
    choices = [space.choices[position] for position in scope]
    return CostTable(
        tuple(choice.name for choice in choices),
        tuple(choice.candidates for choice in choices),
        tuple(ms.tolist()),
        tuple(error.tolist()),
    )
