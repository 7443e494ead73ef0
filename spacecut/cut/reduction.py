"""The cut: from a space and a profile to a smaller space, with a decision for every candidate and a certificate."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from spacecut.cut.certificate import Certificate, certify
from spacecut.cut.dominance import Comparison, Drop, compare, dominated
from spacecut.errors import InputError
from spacecut.latency import LatencyModel, Profile, load_profile
from spacecut.latency.elimination import SUM_ERROR, min_marginals
from spacecut.space import Candidate, Choice, SearchSpace, load_space, save_space

__all__ = ["TOLERANCE", "Decision", "Reduction", "cut", "load_reduction"]

KEPT, DOMINATED, TOO_SLOW = "kept", "dominated", "too slow"
TOLERANCE = 0.02
"""What a better candidate may cost more of the layers it touches, unless another tolerance is asked for."""
_HALVINGS = 30
_FILES = {"full": "space.yaml", "reduced": "reduced.yaml", "profile": "profile.jsonl.gz"}


@dataclass(frozen=True)
class Decision:
    """What became of a candidate, and the numbers behind it.

    Attributes:
        choice, candidate: Which.
        shown: The candidate with its attributes, for a person.
        verdict: ``kept``, ``dominated`` (a better one is not slower) or ``too slow`` (in no architecture within the
            latency bound).
        latency_ms: Mean over the contexts of the layers that the choice touches.
        dominator: The better candidate that takes its place, where it is dominated.
        slowdown_ms: What that one costs more, mean over the contexts; negative where it is faster.
        noise_ms: Standard error of ``slowdown_ms``.
        worst_ms: What it costs more in the worst context.
        least_ms: The fastest architecture with this candidate, end to end.
    """

    choice: str
    candidate: Candidate
    shown: str
    verdict: str
    latency_ms: float
    least_ms: float
    dominator: Candidate | None = None
    slowdown_ms: float | None = None
    noise_ms: float | None = None
    worst_ms: float | None = None


@dataclass(frozen=True)
class Reduction:
    """A smaller space and why it is smaller.

    Attributes:
        full: The space as it was.
        space: What is left of it.
        decisions: One for every candidate of the full space, in order.
        certificate: What rounding up to the reduced space can cost at the worst.
        tolerance: The tolerance it was made with.
        max_latency: The bound in ms that it was made with, if any.
        profile: The measurements.
        model: The latency model over the full space.
    """

    full: SearchSpace
    space: SearchSpace
    decisions: tuple[Decision, ...]
    certificate: Certificate
    tolerance: float
    max_latency: float | None
    profile: Profile
    model: LatencyModel

    def __repr__(self) -> str:
        return f"Reduction({self.full.name!r}, {self.full.size:.3g} -> {self.space.size:.3g} architectures)"

    def save(self, directory: str | Path) -> list[Path]:
        """Write ``reduced.yaml``, ``space.yaml``, ``decisions.csv``, ``certificate.json`` and the profile.

        Raises:
            InputError: The directory cannot be written.
        """
        folder = Path(directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_space(self.space, folder / _FILES["reduced"])
            save_space(self.full, folder / _FILES["full"])
            self.profile.save(folder / _FILES["profile"])
            with (folder / "decisions.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Decision)])
                writer.writeheader()
                writer.writerows(asdict(decision) for decision in self.decisions)
            content = {
                "spacecut_certificate": 1,
                "tolerance": self.tolerance,
                "max_latency_ms": self.max_latency,
                **self.certificate.as_json(),
            }
            (folder / "certificate.json").write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}; give another -o") from None
        return sorted(folder / name for name in (*_FILES.values(), "decisions.csv", "certificate.json"))


def load_reduction(directory: str | Path) -> tuple[SearchSpace, SearchSpace, Profile, Certificate]:
    """The full space, the reduced one, the profile and the certificate that ``cut -o DIR`` wrote.

    Raises:
        InputError: The directory is missing or holds something else.
    """
    folder = Path(directory)
    if missing := [name for name in (*_FILES.values(), "certificate.json") if not (folder / name).is_file()]:
        raise InputError(f"{folder}: {missing[0]} is missing; make it with `spacecut cut ... -o {folder}`")
    try:
        certificate = Certificate.from_json(json.loads((folder / "certificate.json").read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'certificate.json'}: no certificate ({error}); cut again") from None
    full, reduced = load_space(folder / _FILES["full"]), load_space(folder / _FILES["reduced"])
    return full, reduced, load_profile(folder / _FILES["profile"]), certificate


def cut(
    space: SearchSpace,
    profile: Profile,
    *,
    tolerance: float = TOLERANCE,
    target_size: int | None = None,
    max_latency: float | None = None,
) -> Reduction:
    """Cut a search space by what was measured.

    Args:
        space: The space.
        profile: Measurements of its operators.
        tolerance: Share of the touched layers' latency that a better candidate may cost more; 0: only within noise.
        target_size: Instead, leave at most so many architectures, at a tolerance as small as halving finds.
        max_latency: Also drop candidates that no architecture within so many predicted ms contains.

    Raises:
        InputError: A bad argument, an operator that was not measured, a bound that nothing meets, or a size that
            dominance cannot reach.
    """
    if not 0 <= tolerance < float("inf"):
        raise InputError(f"the tolerance must be a share such as 0.02, not {tolerance}")
    if target_size is not None and target_size < 1:
        raise InputError(f"the target size must be at least 1, not {target_size}")
    model = profile.latency_model(space)
    least = min_marginals(model.trellis)
    feasible = [np.ones(length, dtype=bool) for length in space.lengths]
    if max_latency is not None:
        within = max_latency * (1 + SUM_ERROR)
        fastest = model.fastest()[0]
        if not fastest <= within:
            raise InputError(
                f"no architecture of {space.name} takes at most {max_latency:g} ms; the fastest takes {fastest:.6g} ms:"
                " raise --max-latency"
            )
        feasible = [values <= within for values in least]
    comparisons = [compare(model, position) for position in range(len(space.choices))]

    def drops_at(share: float) -> list[list[Drop]]:
        return [
            _within(feasible[position], comparisons[position], choice.not_worse(), share)
            for position, choice in enumerate(space.choices)
        ]

    def size_at(share: float) -> int:
        size = 1
        for candidates, drops in zip(feasible, drops_at(share), strict=True):
            size *= int(candidates.sum()) - len(drops)
        return size

    if target_size is not None:
        tolerance = _tolerance_for(target_size, size_at)
    drops = drops_at(tolerance)
    maps = [np.arange(length) for length in space.lengths]
    for position, found in enumerate(drops):
        for drop in found:
            maps[position][drop.candidate] = drop.dominator
    decisions = [
        decision
        for position, choice in enumerate(space.choices)
        for decision in _decisions(choice, comparisons[position], drops[position], feasible[position], least[position])
    ]
    kept: dict[str, list[Candidate]] = {choice.name: [] for choice in space.choices}
    for decision in decisions:
        if decision.verdict == KEPT:
            kept[decision.choice].append(decision.candidate)
    possible = [np.flatnonzero(candidates) for candidates in feasible]
    certificate = certify(model, maps, possible, str(profile.platform))
    reduced = space.restrict(kept)
    return Reduction(space, reduced, tuple(decisions), certificate, tolerance, max_latency, profile, model)


def _within(feasible: np.ndarray, comparison: Comparison, not_worse: np.ndarray, tolerance: float) -> list[Drop]:
    """Dominance among the feasible candidates only."""
    order = not_worse & feasible[None, :] & feasible[:, None]
    return [drop for drop in dominated(comparison, order, tolerance) if feasible[drop.candidate]]


def _tolerance_for(target_size: int, size_at: Callable[[float], int]) -> float:
    """A tolerance that leaves at most ``target_size`` architectures, as small as halving finds."""
    if size_at(0.0) <= target_size:
        return 0.0
    high = 0.01
    while size_at(high) > target_size:
        high *= 2
        if high > 1e6:
            raise InputError(
                f"the target size {target_size} is out of reach: the quality order lets dominance go down to "
                f"{size_at(high)}; raise --target-size or declare more of the order in the space"
            )
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if size_at(middle) <= target_size:
            high = middle
        else:
            low = middle
    return high


def _decisions(
    choice: Choice, comparison: Comparison, drops: Sequence[Drop], feasible: np.ndarray, least: np.ndarray
) -> list[Decision]:
    fallen = {drop.candidate: drop.dominator for drop in drops}
    decisions = []
    for number, candidate in enumerate(choice.candidates):
        verdict = DOMINATED if number in fallen else KEPT if feasible[number] else TOO_SLOW
        decision = Decision(
            choice.name,
            candidate,
            choice.describe(number),
            verdict,
            latency_ms=float(comparison.own[number]),
            least_ms=float(least[number]),
        )
        if number in fallen:
            other = fallen[number]
            decision = replace(
                decision,
                dominator=choice.candidates[other],
                slowdown_ms=float(comparison.mean[number, other]),
                noise_ms=float(comparison.mean_noise[number, other]),
                worst_ms=float(comparison.worst[number, other]),
            )
        decisions.append(decision)
    return decisions
