"""Does it hold in the world? Sampled architectures of both spaces, measured end to end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spacecut.cut import Certificate
from spacecut.errors import InputError
from spacecut.latency import AnyProfile, Profile, RecordedPlatform
from spacecut.latency.evidence import whole_latencies
from spacecut.measure import Progress, interleave, platform_record
from spacecut.operators import expand
from spacecut.platforms import get_platform
from spacecut.space import SearchSpace

__all__ = ["Checked", "Verification", "verify"]

PASSES = 7
REFERENCES = 8
"""So many networks of the profile are measured again, to tell how far the machine has drifted since."""
_SIGMAS = 2.0


@dataclass(frozen=True)
class Checked:
    """An architecture of the full space beside what it is rounded up to, both measured in turn.

    Attributes:
        full, rounded: Candidates, choice by choice.
        predicted_ms, measured_ms: Of the full space's one.
        rounded_predicted_ms, rounded_measured_ms: Of the reduced space's one.
        noise: Relative standard error of the measured slow-down, from the spread between passes.
    """

    full: dict[str, object]
    rounded: dict[str, object]
    predicted_ms: float
    measured_ms: float
    rounded_predicted_ms: float
    rounded_measured_ms: float
    noise: float

    @property
    def slowdown(self) -> float:
        """Measured slow-down by rounding up; 0.02 is 2 % slower."""
        return self.rounded_measured_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Verification:
    """Predicted against measured, and measured against the certificate.

    Attributes:
        pairs: What was checked.
        certified: The certificate's largest slow-down.
        same_platform: The runtime and machine are those that were profiled.
        drift: How much slower the machine runs the profile's own networks now: 0.05 is 5 %. It is part of the
            predictions' errors, and not taken out of them.
        estimated_by: What estimated the "measured" milliseconds, where nothing was really run; else empty.
    """

    pairs: tuple[Checked, ...]
    certified: float
    same_platform: bool
    drift: float
    estimated_by: str = ""

    def errors(self) -> np.ndarray:
        """Relative errors of the predictions of the full space's architectures; 0.05 is 5 % too high."""
        return np.asarray([pair.predicted_ms / pair.measured_ms - 1 for pair in self.pairs])

    def within(self, share: float) -> float:
        """Share of the full space's architectures predicted within ``share`` of what was measured."""
        return float(np.mean(np.abs(self.errors()) <= share))

    @property
    def rank_correlation(self) -> float:
        """Spearman's, between predicted and measured; NaN where it is not defined."""
        from scipy.stats import spearmanr  # slow to import, and needed only here

        predicted = [pair.predicted_ms for pair in self.pairs]
        measured = [pair.measured_ms for pair in self.pairs]
        if len(set(predicted)) < 2 or len(set(measured)) < 2:
            return float("nan")
        return float(spearmanr(predicted, measured).statistic)

    @property
    def violations(self) -> list[Checked]:
        """Pairs whose measured slow-down is above the certified one by more than the noise."""
        return [pair for pair in self.pairs if pair.slowdown > self.certified + _SIGMAS * np.nan_to_num(pair.noise)]


def verify(
    full: SearchSpace,
    profile: AnyProfile,
    certificate: Certificate,
    *,
    samples: int = 20,
    seed: int = 1,
    passes: int = PASSES,
    progress: Progress | None = None,
) -> Verification:
    """Measure sampled architectures of the full space and those that they are rounded up to, interleaved.

    Args:
        full: The full space.
        profile: What predictions are made from; its platform is measured on.
        certificate: The round-up map and what it promises.
        samples: Architectures of the full space, drawn uniformly.
        seed: Of the sample.
        passes: How often each is run, all once before any is run again; once on a deterministic platform.
        progress: Called with the runs done and to do.

    Raises:
        InputError: ``samples`` is below 1, or the platform was recorded elsewhere.
        PlatformUnavailable: The profile's platform cannot run here.
        MeasurementError: A network fails.
    """
    if samples < 1:
        raise InputError(f"the number of samples must be at least 1, not {samples}")
    if isinstance(profile, RecordedPlatform):
        raise InputError(f"{profile.platform} was recorded elsewhere and cannot be measured here; cut for a platform")
    record = profile.platform
    platform = get_platform(record.name, record.threads, record.batch)
    workload = expand(full)
    model = profile.latency_model(full)
    numbers = _distinct(full, samples, seed)
    rounded = np.stack([full.encode(_round_up(full, row, certificate))[0] for row in numbers])
    keys = [[workload.network(row).key for row in rows] for rows in (numbers, rounded)]
    references = _references(profile)
    networks = list(dict.fromkeys([*keys[0], *keys[1], *references]))
    passes = 1 if platform.deterministic else passes
    measured = whole_latencies(interleave(platform, networks, passes, seed, progress))
    spread = 0.0 if platform.deterministic else _spread(measured.values())
    ratios = [float(np.median(measured[network])) / before for network, before in references.items()]
    predictions = model.predict(numbers), model.predict(rounded)
    pairs = []
    for index, (row, up) in enumerate(zip(numbers, rounded, strict=True)):
        one, other = measured[keys[0][index]], measured[keys[1][index]]
        pairs.append(
            Checked(
                dict(full.decode(row)),
                dict(full.decode(up)),
                float(predictions[0][index]),
                float(np.median(one)),
                float(predictions[1][index]),
                float(np.median(other)),
                spread * float(np.sqrt(np.pi / 2 * (1 / len(one) + 1 / len(other)))),  # of two medians
            )
        )
    drift = float(np.median(ratios)) - 1 if ratios else float("nan")
    same = platform_record(platform) == record
    return Verification(tuple(pairs), certificate.slowdown, same, drift, platform.estimated_by)


def _spread(measured: Iterable[list[float]]) -> float:
    """Relative standard deviation of a run, the typical one over the networks; NaN if none was run twice."""
    deviations = [float(np.std(np.log(values), ddof=1)) for values in measured if len(values) > 1]
    return float(np.median(deviations)) if deviations else float("nan")


def _references(profile: Profile) -> dict[str, float]:
    """Networks of the profile from the fastest to the slowest, with what they took then."""
    totals = sorted(profile.evidence.totals.items(), key=lambda entry: entry[1])
    chosen = np.unique(np.linspace(0, len(totals) - 1, REFERENCES).round().astype(int)) if totals else []
    return {totals[index][0]: totals[index][1] for index in chosen}


def _distinct(space: SearchSpace, count: int, seed: int) -> np.ndarray:
    """Different architectures, all of them where there are no more than asked for."""
    if space.size <= count:
        return np.indices(space.lengths).reshape(len(space.lengths), -1).T
    rows: dict[tuple[int, ...], None] = {}
    while len(rows) < count:
        drawn = space.sample(count, seed)
        rows.update(dict.fromkeys(map(tuple, drawn.tolist())))
        seed += 1_000_003
    return np.asarray(list(rows)[:count])


def _round_up(space: SearchSpace, row: np.ndarray, certificate: Certificate) -> dict[str, object]:
    architecture = space.decode(row)
    for name, pairs in certificate.round_up.items():
        architecture[name] = dict(pairs).get(architecture[name], architecture[name])
    return dict(architecture)
