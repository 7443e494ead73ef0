"""What a cut leaves: the smaller space, every decision with its numbers, and what it means on each platform."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from spacecut.cut.certificate import Certificate
from spacecut.cut.inflation import Inflation
from spacecut.errors import InputError
from spacecut.latency import AnyProfile, LatencyModel, Profile, RecordedPlatform, load_profile
from spacecut.space import Candidate, SearchSpace, load_space, save_space

__all__ = [
    "AGAINST_A_RULE",
    "DOMINATED",
    "KEPT",
    "OFF_THE_FRONT",
    "TOO_SLOW",
    "Decision",
    "Outcome",
    "Reduction",
    "load_reduction",
    "saved",
]

KEPT, DOMINATED, OFF_THE_FRONT, TOO_SLOW = "kept", "dominated", "off the front", "too slow"
AGAINST_A_RULE = "against a rule"
_FULL, _REDUCED, _DECISIONS, _CERTIFICATE = "space.yaml", "reduced.yaml", "decisions.csv", "certificate.json"
_PROFILES = (Profile.file_name, RecordedPlatform.file_name)
_STALE = ("report.html", "verification.csv")
"""What others write beside a reduction, which is of no other one."""


@dataclass(frozen=True)
class Decision:
    """What became of a candidate, and the numbers behind it.

    Attributes:
        choice, candidate: Which.
        shown: The candidate with its attributes, for a person.
        verdict: ``kept``, ``dominated`` (a better one is not slower), ``off the front`` (the best networks do without
            it), ``against a rule`` (of a behaviour study) or ``too slow`` (in no architecture within the bounds).
        latency_ms: Mean over the contexts of the layers that the choice touches.
        least_ms: The fastest architecture with this candidate, end to end.
        dominator: The better candidate that takes its place; None where it is kept, or none is known to be better.
        slowdown_ms: What that one costs more, mean over the contexts; negative where it is faster.
        noise_ms: Standard error of ``slowdown_ms``.
        worst_ms: What it costs more in the worst context.
        platform: Where the numbers are from.
        differs_in: What tells the candidate from that one: channels, operators, activations, kernels,
            precisions.
        rule: The rule of a behaviour study that it falls by, or that says the same as the measurement; else empty.
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
    platform: str = ""
    differs_in: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a cut means on one platform.

    Attributes:
        profile: The measurements, or the recorded platform.
        model: The latency model over the full space.
        max_latency: The bound in ms that the cut was made with, if any.
        decisions: One for every candidate of the full space, in order.
        certificate: What rounding up to the reduced space can cost at the worst.
        inflation: What the cut does to the fronts of quality functions, where it was made for a size.
    """

    profile: AnyProfile
    model: LatencyModel
    max_latency: float | None
    decisions: tuple[Decision, ...]
    certificate: Certificate
    inflation: Inflation | None


@dataclass(frozen=True)
class Reduction:
    """A smaller space and why it is smaller.

    Attributes:
        full: The space as it was.
        space: What is left of it.
        outcomes: What that means on each platform, in the order in which they were given.
        tolerance: The tolerance it was made with; None where it was made for a size.
        target_size: The size that it was made for, if any.
    """

    full: SearchSpace
    space: SearchSpace
    outcomes: tuple[Outcome, ...]
    tolerance: float | None
    target_size: int | None

    def __repr__(self) -> str:
        return f"Reduction({self.full.name!r}, {self.full.size:.3g} -> {self.space.size:.3g} architectures)"

    @property
    def profile(self) -> AnyProfile:
        """The profile of the first platform."""
        return self.outcomes[0].profile

    @property
    def model(self) -> LatencyModel:
        """The latency model over the full space, on the first platform."""
        return self.outcomes[0].model

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One for every candidate of the full space, in order, with the numbers of the first platform."""
        return self.outcomes[0].decisions

    @property
    def certificate(self) -> Certificate:
        """What rounding up can cost at the worst on the first platform."""
        return self.outcomes[0].certificate

    @property
    def inflation(self) -> Inflation | None:
        """What the cut does to fronts on the first platform, where it was made for a size."""
        return self.outcomes[0].inflation

    @property
    def max_latency(self) -> float | None:
        """The bound in ms on the first platform, if any."""
        return self.outcomes[0].max_latency

    def save(self, directory: str | Path) -> list[Path]:
        """Write ``reduced.yaml``, ``space.yaml``, ``decisions.csv``, ``certificate.json`` and the profile.

        With several platforms, certificates and profiles from the second on have its number in their names:
        ``certificate-2.json``.

        Raises:
            InputError: The directory cannot be written.
        """
        folder = Path(directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in _STALE:
                (folder / name).unlink(missing_ok=True)  # of an earlier cut
            for number in itertools.count():
                if not (folder / _numbered(_CERTIFICATE, number)).is_file():
                    break
                for name in (_CERTIFICATE, *_PROFILES):
                    (folder / _numbered(name, number)).unlink(missing_ok=True)
            written = [folder / name for name in (_FULL, _REDUCED, _DECISIONS)]
            save_space(self.full, folder / _FULL)
            save_space(self.space, folder / _REDUCED)
            with (folder / _DECISIONS).open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Decision)])
                writer.writeheader()
                for outcome in self.outcomes:
                    writer.writerows(asdict(decision) for decision in outcome.decisions)
            for number, outcome in enumerate(self.outcomes):
                profile = folder / _numbered(outcome.profile.file_name, number)
                certificate = folder / _numbered(_CERTIFICATE, number)
                outcome.profile.save(profile)
                certificate.write_text(json.dumps(self._content(outcome), indent=1) + "\n")
                written += [profile, certificate]
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}; give another -o") from None
        return sorted(written)

    def _content(self, outcome: Outcome) -> dict[str, Any]:
        """A certificate file."""
        return {
            "spacecut_certificate": 1,
            "tolerance": self.tolerance,
            "target_size": None if self.target_size is None else str(self.target_size),
            "max_latency_ms": outcome.max_latency,
            "front_inflation": None if outcome.inflation is None else outcome.inflation.as_json(),
            **outcome.certificate.as_json(),
        }


def load_reduction(
    directory: str | Path, platform: str | None = None
) -> tuple[SearchSpace, SearchSpace, AnyProfile, Certificate]:
    """The full space, the reduced one, the profile and the certificate that ``cut -o DIR`` wrote.

    Args:
        directory: Where.
        platform: Which of several platforms, by its name or by all that its certificate says of it; the first where
            not given.

    Raises:
        InputError: The directory is missing or holds something else, or was not cut for one such platform.
    """
    folder = Path(directory)
    found = list(saved(folder))
    known = [certificate.platform for _, certificate in found]
    if platform is None or platform in known:
        number = 0 if platform is None else known.index(platform)
    else:
        named = [number for number, told in enumerate(known) if told.startswith(f"{platform} ")]
        if len(named) > 1:
            raise InputError(f"{folder}: several are called {platform!r}; say which: {'; or '.join(known)}")
        if not named:
            raise InputError(f"{folder}: it was not cut for {platform!r}, but for {'; and '.join(known)}")
        (number,) = named
    profile, certificate = found[number]
    return load_space(folder / _FULL), load_space(folder / _REDUCED), load_profile(profile), certificate


def saved(directory: str | Path) -> Iterator[tuple[Path, Certificate]]:
    """The profile's file and the certificate of each platform that ``cut -o DIR`` was made for.

    Raises:
        InputError: The directory is missing or holds something else.
    """
    folder = Path(directory)
    number = 0
    while number == 0 or (folder / _numbered(_CERTIFICATE, number)).is_file():
        names = [_numbered(name, number) for name in _PROFILES]
        profile = next((name for name in names if (folder / name).is_file()), names[0])
        certificate = _numbered(_CERTIFICATE, number)
        if missing := [name for name in (_FULL, _REDUCED, profile, certificate) if not (folder / name).is_file()]:
            raise InputError(f"{folder}: {missing[0]} is missing; make it with `spacecut cut ... -o {folder}`")
        try:
            found = Certificate.from_json(json.loads((folder / certificate).read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / certificate}: no certificate ({error}); cut again") from None
        yield folder / profile, found
        number += 1


def _numbered(name: str, number: int) -> str:
    """``certificate.json``, ``certificate-2.json``, ..."""
    stem, dot, ending = name.partition(".")
    return name if number == 0 else f"{stem}-{number + 1}{dot}{ending}"
