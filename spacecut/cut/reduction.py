"""The cut: from a space and a profile to a smaller space, with a decision for every candidate and a certificate."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from spacecut.cut.certificate import Certificate, certify
from spacecut.cut.dominance import Drop
from spacecut.cut.inflation import Inflation
from spacecut.cut.selection import Question, by_dominance, jointly
from spacecut.errors import InputError
from spacecut.latency import AnyProfile, LatencyModel, Profile, RecordedPlatform, load_profile
from spacecut.space import Candidate, SearchSpace, load_space, save_space

__all__ = ["TOLERANCE", "Decision", "Reduction", "cut", "load_reduction"]

KEPT, DOMINATED, OFF_THE_FRONT, TOO_SLOW = "kept", "dominated", "off the front", "too slow"
TOLERANCE = 0.02
"""What a better candidate may cost more of the layers it touches, unless another tolerance is asked for."""
_FILES = {"full": "space.yaml", "reduced": "reduced.yaml"}
_PROFILES = (Profile.file_name, RecordedPlatform.file_name)


@dataclass(frozen=True)
class Decision:
    """What became of a candidate, and the numbers behind it.

    Attributes:
        choice, candidate: Which.
        shown: The candidate with its attributes, for a person.
        verdict: ``kept``, ``dominated`` (a better one is not slower), ``off the front`` (the best networks do without
            it) or ``too slow`` (in no architecture within the latency bound).
        latency_ms: Mean over the contexts of the layers that the choice touches.
        dominator: The better candidate that takes its place; None where it is kept, or none is known to be better.
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
        tolerance: The tolerance it was made with; None where it was made for a size.
        max_latency: The bound in ms that it was made with, if any.
        target_size: The size that it was made for, if any.
        inflation: What it does to the fronts of quality functions, where it was made for a size.
        profile: The measurements, or the recorded platform.
        model: The latency model over the full space.
    """

    full: SearchSpace
    space: SearchSpace
    decisions: tuple[Decision, ...]
    certificate: Certificate
    tolerance: float | None
    max_latency: float | None
    target_size: int | None
    inflation: Inflation | None
    profile: AnyProfile
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
            for name in _PROFILES:  # of an earlier cut
                (folder / name).unlink(missing_ok=True)
            self.profile.save(folder / self.profile.file_name)
            with (folder / "decisions.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Decision)])
                writer.writeheader()
                writer.writerows(asdict(decision) for decision in self.decisions)
            content = {
                "spacecut_certificate": 1,
                "tolerance": self.tolerance,
                "target_size": None if self.target_size is None else str(self.target_size),
                "max_latency_ms": self.max_latency,
                "front_inflation": None if self.inflation is None else self.inflation.as_json(),
                **self.certificate.as_json(),
            }
            (folder / "certificate.json").write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}; give another -o") from None
        return sorted(
            folder / name for name in (*_FILES.values(), self.profile.file_name, "decisions.csv", "certificate.json")
        )


def load_reduction(directory: str | Path) -> tuple[SearchSpace, SearchSpace, AnyProfile, Certificate]:
    """The full space, the reduced one, the profile and the certificate that ``cut -o DIR`` wrote.

    Raises:
        InputError: The directory is missing or holds something else.
    """
    folder = Path(directory)
    profile = next((name for name in _PROFILES if (folder / name).is_file()), Profile.file_name)
    if missing := [name for name in (*_FILES.values(), profile, "certificate.json") if not (folder / name).is_file()]:
        raise InputError(f"{folder}: {missing[0]} is missing; make it with `spacecut cut ... -o {folder}`")
    try:
        certificate = Certificate.from_json(json.loads((folder / "certificate.json").read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'certificate.json'}: no certificate ({error}); cut again") from None
    full, reduced = load_space(folder / _FILES["full"]), load_space(folder / _FILES["reduced"])
    return full, reduced, load_profile(folder / profile), certificate


def cut(
    space: SearchSpace,
    profile: AnyProfile,
    *,
    tolerance: float = TOLERANCE,
    target_size: int | None = None,
    max_latency: float | None = None,
) -> Reduction:
    """Cut a search space by what was measured.

    With a tolerance, each candidate falls that a better one dominates. With a target size, candidates are chosen
    jointly over all choices, so that the fronts of many quality functions move least.

    Args:
        space: The space.
        profile: Measurements of its operators, or a platform recorded on it.
        tolerance: Share of the touched layers' latency that a better candidate may cost more; 0: only within noise.
        target_size: Instead, leave at most so many architectures.
        max_latency: Also drop candidates that no architecture within so many ms contains. Predictions must stay below
            it by the model's error, so that what is promised holds in the world.

    Raises:
        InputError: A bad argument, an operator that was not measured, a bound that nothing meets, or a size that
            cannot be reached.
    """
    if not 0 <= tolerance < float("inf"):
        raise InputError(f"the tolerance must be a share such as 0.02, not {tolerance}")
    if target_size is not None and target_size < 1:
        raise InputError(f"the target size must be at least 1, not {target_size}")
    model = profile.latency_model(space)
    question = Question.of(model, max_latency)
    if target_size is None:
        fallen, inflation, verdict = by_dominance(question, tolerance), None, DOMINATED
    else:
        (fallen, inflation), verdict = jointly(question, target_size), OFF_THE_FRONT
    maps = [np.arange(length) for length in space.lengths]
    for rounded, drops in zip(maps, fallen, strict=True):
        for drop in drops:
            rounded[drop.candidate] = -1 if drop.dominator is None else drop.dominator
    covered = [
        np.flatnonzero(possible & (rounded >= 0)) for possible, rounded in zip(question.feasible, maps, strict=True)
    ]
    decisions = [
        decision for position, drops in enumerate(fallen) for decision in _decisions(question, position, drops, verdict)
    ]
    kept: dict[str, list[Candidate]] = {choice.name: [] for choice in space.choices}
    for decision in decisions:
        if decision.verdict == KEPT:
            kept[decision.choice].append(decision.candidate)
    return Reduction(
        space,
        space.restrict(kept),
        tuple(decisions),
        certify(model, maps, covered, str(profile.platform)),
        tolerance if target_size is None else None,
        max_latency,
        target_size,
        inflation,
        profile,
        model,
    )


def _decisions(question: Question, position: int, drops: Sequence[Drop], why: str) -> list[Decision]:
    """What became of each candidate of a choice; ``why`` is the verdict on those in ``drops``."""
    choice, comparison = question.model.space.choices[position], question.comparisons[position]
    feasible, least = question.feasible[position], question.least[position]
    fallen = {drop.candidate: drop.dominator for drop in drops}
    decisions = []
    for number, candidate in enumerate(choice.candidates):
        verdict = why if number in fallen else KEPT if feasible[number] else TOO_SLOW
        decision = Decision(
            choice.name,
            candidate,
            choice.describe(number),
            verdict,
            latency_ms=float(comparison.own[number]),
            least_ms=float(least[number]),
        )
        if (other := fallen.get(number)) is not None:
            decision = replace(
                decision,
                dominator=choice.candidates[other],
                slowdown_ms=float(comparison.mean[number, other]),
                noise_ms=float(comparison.mean_noise[number, other]),
                worst_ms=float(comparison.worst[number, other]),
            )
        decisions.append(decision)
    return decisions
