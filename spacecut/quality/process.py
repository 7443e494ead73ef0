"""What accuracies of some architectures say of all others, interactions included: a Gaussian process over the space.

Accuracy is no sum over the choices: a skip is worth another thing beside a convolution than beside another skip. So
architectures are alike by the candidates that they share choice by choice, by how often they have equal candidates
anywhere, and by all of these at once, a product over the choices (Rasmussen & Williams, Gaussian Processes for Machine
Learning, ch. 4; for interactions Duvenaud, Nickisch, Rasmussen, Additive Gaussian Processes, NeurIPS 2011). How much
each counts is decided by the marginal likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.stats import norm, rankdata

from spacecut.operators import expand
from spacecut.quality.gaussian import unlikelihood
from spacecut.space import SearchSpace

__all__ = ["AccuracyProcess", "alike", "codes_of", "design_of", "normal_scores"]

_FITTED = 400
"""So many architectures decide what counts how much."""
_STARTS = (-3.0, 0.0)
"""Logarithms of the variance of interactions where the search for it starts."""
_SPREAD = 3.0  # the parameters searched for are themselves normal, with this standard deviation
_TOP = 10
"""Architectures that tell how accuracy goes on above the best one known."""


def normal_scores(accuracy: np.ndarray) -> np.ndarray:
    """Ranks as normal scores: any growing function of quality has the same fronts."""
    return np.asarray(norm.ppf((rankdata(accuracy) - 0.5) / len(accuracy)))


def codes_of(space: SearchSpace, numbers: np.ndarray) -> np.ndarray:
    """Candidate numbers ``[architectures, choices]``, and for a choice without effect the number after the last."""
    columns = [
        np.where(np.reshape(effect.at(numbers.T), -1), numbers[:, place], length)
        for place, (length, effect) in enumerate(zip(space.lengths, expand(space).effects, strict=True))
    ]
    return np.asarray(np.stack(columns, axis=1), dtype=np.int64)


def design_of(codes: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Which candidates have an effect, ``[architectures, candidates]``, by :func:`codes_of`."""
    columns = [codes[:, [place]] == np.arange(length) for place, length in enumerate(lengths)]
    return np.asarray(np.concatenate(columns, axis=1), dtype=float)


def alike(space: SearchSpace) -> np.ndarray:
    """Which candidates are equal, of choices among the same ones in the same order, ``[candidates, candidates]``."""
    named = [
        (choice.candidates, str(choice.order), number) for choice in space.choices for number in range(len(choice))
    ]
    return np.asarray([[one == other for other in named] for one in named], dtype=float)


@dataclass(frozen=True)
class _Scales:
    """Variances of the parts of a score, how alike architectures are that differ in one choice, and the noise."""

    own: float
    common: float
    together: float
    other: float
    noise: float

    @classmethod
    def of(cls, steps: np.ndarray) -> _Scales:
        own, common, together, noise = np.exp(steps[[0, 1, 2, 4]]).tolist()
        return cls(own, common, together, float(1 / (1 + np.exp(-steps[3]))), noise)


@dataclass(frozen=True)
class _Shared:
    """What architectures have in common with others, each ``[architectures, others]``.

    Attributes:
        own: Share of the choices with the same candidate.
        common: Share of pairs of choices with equal candidates.
        differ: In how many choices they differ.
    """

    own: np.ndarray
    common: np.ndarray
    differ: np.ndarray

    def covariance(self, scales: _Scales) -> np.ndarray:
        """Prior covariance of their scores, ``[architectures, others]``."""
        together = scales.together * scales.other**self.differ
        return np.asarray(1.0 + scales.own * self.own + scales.common * self.common + together)


@dataclass(frozen=True)
class AccuracyProcess:
    """A Gaussian process over a space's architectures.

    Attributes:
        space: The space.
        codes: Architectures whose accuracy is known, by :func:`codes_of`, ``[architectures, choices]``.
        accuracy: Larger is better, ``[architectures]``.
    """

    space: SearchSpace
    codes: np.ndarray
    accuracy: np.ndarray

    def draws(self, numbers: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
        """Accuracies that architectures may have, for all that is known, ``[count, architectures]``.

        Drawn by Matheron's rule: a draw from the prior, corrected by how far it misses what is known (Wilson et al.,
        Efficiently Sampling Functions from Gaussian Process Posteriors, ICML 2020).

        Args:
            numbers: Candidate numbers of architectures, ``[architectures, choices]``.
            count: How many draws.
            seed: Of the draws.
        """
        generator = np.random.default_rng(seed)
        scales, asked = self._scales, codes_of(self.space, numbers)
        known, every = len(self.codes), np.concatenate([self.codes, asked])
        score = normal_scores(self.accuracy)
        among = self._shared(self.codes, self.codes).covariance(scales)
        factor = cho_factor(among + scales.noise * np.eye(known), lower=True)
        toward = self._shared(asked, self.codes).covariance(scales)
        design = design_of(every, self.space.lengths)
        # Where no architecture leaves a choice without effect there is no such code, and the grid is smaller.
        sizes = tuple((every.max(axis=0) + 1).tolist())
        cell = np.ravel_multi_index(tuple(every.T), sizes)
        groups = np.unique(alike(self.space), axis=0)
        drawn = []
        for _ in range(count):
            prior = generator.standard_normal()
            prior = prior + np.sqrt(scales.together) * self._interactions(generator, sizes, scales.other)[cell]
            prior += design @ generator.standard_normal(design.shape[1]) * np.sqrt(scales.own / len(sizes))
            prior += design @ groups.T @ generator.standard_normal(len(groups)) * (np.sqrt(scales.common) / len(sizes))
            missed = score - prior[:known] - np.sqrt(scales.noise) * generator.standard_normal(known)
            drawn.append(prior[known:] + toward @ cho_solve(factor, missed))
        return self._accuracies(np.stack(drawn), score)

    @cached_property
    def _scales(self) -> _Scales:
        some = np.random.default_rng(0).permutation(len(self.codes))[:_FITTED]
        shared, score = self._shared(self.codes[some], self.codes[some]), normal_scores(self.accuracy[some])

        def unlikely(steps: np.ndarray) -> float:
            scales = _Scales.of(steps)
            covariance = shared.covariance(scales) + (scales.noise + 1e-6) * np.eye(len(score))
            return unlikelihood(covariance, score) + float(np.square(steps / _SPREAD).sum()) / 2

        found = [
            minimize(unlikely, np.asarray([0, 0, start, 1, -2.0]), method="L-BFGS-B", bounds=[(-9, 5)] * 5)
            for start in _STARTS
        ]
        return _Scales.of(min(found, key=lambda one: float(one.fun)).x)

    def _shared(self, one: np.ndarray, other: np.ndarray) -> _Shared:
        """What architectures have in common with others, by their codes."""
        first, second = (design_of(codes, self.space.lengths) for codes in (one, other))
        differ = sum(left[:, None] != right for left, right in zip(one.T, other.T, strict=True))
        count = len(self.space.lengths)
        return _Shared(first @ second.T / count, first @ alike(self.space) @ second.T / count**2, np.asarray(differ))

    @staticmethod
    def _interactions(generator: np.random.Generator, sizes: Sequence[int], other: float) -> np.ndarray:
        """A draw of the product over the choices on the grid of all codes, a choice at a time."""
        drawn = generator.standard_normal(tuple(sizes))
        for axis, size in enumerate(sizes):
            root = np.linalg.cholesky(other * np.ones((size, size)) + (1 - other) * np.eye(size))
            drawn = np.moveaxis(np.tensordot(root, drawn, axes=(1, axis)), 0, axis)
        return drawn.ravel()

    def _accuracies(self, scores: np.ndarray, known: np.ndarray) -> np.ndarray:
        """From scores back to accuracies, between those known, and above them as among the best."""
        order = np.argsort(known)
        known, accuracy = known[order], self.accuracy[order]
        top = max(len(known) - _TOP - 1, 0)
        rise = (accuracy[-1] - accuracy[top]) / max(known[-1] - known[top], np.finfo(float).tiny)
        inside = np.interp(scores, known, accuracy)
        return np.asarray(inside + rise * np.maximum(scores - known[-1], 0.0))
