"""Networks across platforms: how fast, whether at all, and what the time goes to (finding 7).

Less compute does not make a network faster everywhere: where it does not, the kinds of operators to blame are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from spacecut.errors import MeasurementError
from spacecut.latency import predict_network, profile
from spacecut.latency.evidence import whole_latencies
from spacecut.measure import DEFAULT_STORE, Budget, Progress
from spacecut.operators import Network, Operator
from spacecut.operators.operator import encode, macs

__all__ = ["Comparison", "ModelOnPlatform", "Upset", "compare"]

_SECONDS = 30.0
_BLAMED = 3
"""So many kinds of operators are blamed for an upset, those that add most."""
_PLAIN = ("none", "relu", "relu6")  # next to free nearly everywhere (finding 3)
_SURE = 2.0  # standard deviations that a difference must exceed


@dataclass(frozen=True)
class ModelOnPlatform:
    """One network on one platform.

    Attributes:
        model, platform: Which, as they were given.
        version: The platform with its version and machine.
        ms: Latency end to end; None where it did not run.
        noise: Relative standard deviation between quiet runs; NaN where there was one.
        by_kind: Milliseconds by kind of operator, the dearest first; a kind with another activation than ReLU and ReLU6
            is one of its own.
        problem: Why it did not run; empty where it did.
    """

    model: str
    platform: str
    version: str
    ms: float | None
    noise: float
    by_kind: Mapping[str, float]
    problem: str


@dataclass(frozen=True)
class Upset:
    """A network that is slower than another on a platform in spite of less compute.

    Attributes:
        model, other, platform: Which, as they were given.
        slower: Times what the other one takes.
        compute: Its multiply-accumulates over those of the other one.
        blamed: Milliseconds more by kind of operator, where it takes most more.
    """

    model: str
    other: str
    platform: str
    slower: float
    compute: float
    blamed: Mapping[str, float]

    def __str__(self) -> str:
        why = ", ".join(f"{ms:+.3g} ms in {kind}" for kind, ms in self.blamed.items())
        return (
            f"On {self.platform} {self.model} takes {self.slower:.2f} times what {self.other} takes, with "
            f"{self.compute:.2f} of its compute: {why}."
        )


@dataclass(frozen=True)
class Comparison:
    """Networks across platforms.

    Attributes:
        macs: Multiply-accumulates of each network.
        entries: Network by network, platform by platform.
    """

    macs: Mapping[str, int]
    entries: tuple[ModelOnPlatform, ...]

    def at(self, model: str, platform: str) -> ModelOnPlatform:
        """One of the entries."""
        return next(entry for entry in self.entries if (entry.model, entry.platform) == (model, platform))

    def upsets(self) -> list[Upset]:
        """Networks that are slower beyond the noise than others with more compute, platform by platform."""
        found = []
        for platform in dict.fromkeys(entry.platform for entry in self.entries):
            for model, other in permutations(self.macs, 2):
                one, two = self.at(model, platform), self.at(other, platform)
                if one.ms is None or two.ms is None or self.macs[model] >= self.macs[other]:
                    continue
                noise = _SURE * float(np.hypot(*np.nan_to_num([one.noise, two.noise])))
                if one.ms > two.ms * (1 + noise):
                    more = {kind: ms - two.by_kind.get(kind, 0.0) for kind, ms in one.by_kind.items()}
                    most = sorted(((ms, kind) for kind, ms in more.items() if ms > 0), reverse=True)[:_BLAMED]
                    blamed = {kind: ms for ms, kind in most}
                    compute = self.macs[model] / self.macs[other]
                    found.append(Upset(model, other, platform, one.ms / two.ms, compute, blamed))
        return found


def compare(
    models: Mapping[str, Network],
    platforms: Sequence[str],
    *,
    threads: int = 1,
    store: str = DEFAULT_STORE,
    progress: Progress | None = None,
) -> Comparison:
    """Measure networks on platforms; what does not run is told with the reason.

    Args:
        models: By name.
        platforms: ``RUNTIME[/DEVICE][:PRECISION]``.
        threads: Threads of one inference.
        store: Path or URL of the store of raw samples.
        progress: Called with the pairs done and to do.

    Raises:
        InputError: An unknown platform.
        PlatformUnavailable: A platform cannot run here.
    """
    entries: list[ModelOnPlatform] = []
    for platform in platforms:
        for name, network in models.items():  # one after the other on a platform, as a shared machine drifts
            if progress is not None:
                progress(len(entries), len(models) * len(platforms))
            entries.append(_measured(name, network, platform, threads, store))
    sizes = {name: int(macs(encode([node.operator for node in n.nodes])).sum()) for name, n in models.items()}
    return Comparison(sizes, tuple(entries))


def _measured(name: str, network: Network, platform: str, threads: int, store: str) -> ModelOnPlatform:
    try:
        found = profile(network, platform, threads=threads, store=store, budget=Budget(_SECONDS))
    except MeasurementError as error:
        return ModelOnPlatform(name, platform, platform, None, float("nan"), {}, str(error))
    values = whole_latencies(found.runs).get(network.key)
    if not values:
        reason = found.failures[0].error if found.failures else "not measured within the budget"
        return ModelOnPlatform(name, platform, str(found.platform), None, float("nan"), {}, str(reason))
    by_kind: dict[str, float] = {}
    for share in predict_network(network, found).shares:
        kind = _kind(share.operator)
        by_kind[kind] = by_kind.get(kind, 0.0) + share.latency_ms
    noise = float(np.std(np.log(values), ddof=1)) if len(values) > 1 else float("nan")
    ordered = dict(sorted(by_kind.items(), key=lambda entry: -entry[1]))
    return ModelOnPlatform(name, platform, str(found.platform), float(np.median(values)), noise, ordered, "")


def _kind(operator: Operator) -> str:
    """What an operator is called; a gate is part of every squeeze-and-excitation."""
    if operator.kind == "activation":
        return operator.activation
    if operator.activation in _PLAIN or operator.reduced:
        return operator.kind
    return f"{operator.kind} with {operator.activation}"
