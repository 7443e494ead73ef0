"""The latency of one network, operator by operator."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from spacecut.errors import InputError
from spacecut.latency.correction import corrected_costs
from spacecut.latency.loading import AnyProfile
from spacecut.latency.recorded import RecordedPlatform
from spacecut.operators import Network, Operator
from spacecut.operators.operator import encode, macs

__all__ = ["OperatorShare", "Prediction", "predict_network"]


@dataclass(frozen=True)
class OperatorShare:
    """What all occurrences of one operator take.

    Attributes:
        operator: The operator.
        count: How often it stands in the network.
        latency_ms: Of all of them together.
        error_ms: Standard error of that.
        macs: Multiply-accumulates of all of them.
    """

    operator: Operator
    count: int
    latency_ms: float
    error_ms: float
    macs: int


@dataclass(frozen=True)
class Prediction:
    """A network's latency.

    Attributes:
        latency_ms: Of the whole network.
        error_ms: Standard error of that, from the operators, the model's error on whole networks and how far runs of
            one network lie apart.
        overhead_ms: What is no operator's.
        shares: The operators, dearest first.
    """

    latency_ms: float
    error_ms: float
    overhead_ms: float
    shares: tuple[OperatorShare, ...]


def predict_network(network: Network, profile: AnyProfile) -> Prediction:
    """Predict a network's latency from a profile.

    Raises:
        InputError: An operator is unlike any that was measured; it is named. Or the platform was recorded from whole
            networks, which tell of a space's candidates only.
    """
    if isinstance(profile, RecordedPlatform):
        raise InputError(
            f"{profile.platform} knows the candidates of {profile.space} only, not the operators of other networks; "
            "predict with a platform that runs here or a profile"
        )
    counts = Counter(network.operators)
    operators = list(counts)
    rows = encode(operators)
    costs, correction = corrected_costs(profile.evidence, rows)
    times = np.asarray([counts[operator] for operator in operators])
    latency = costs.mean * times
    error = costs.error * times
    total = correction.overhead_ms + float(latency.sum())
    shares = [
        OperatorShare(operator, counts[operator], float(ms), float(se), int(size))
        for operator, ms, se, size in zip(operators, latency, error, macs(rows) * times, strict=True)
    ]
    shares.sort(key=lambda share: -share.latency_ms)
    spread = float(np.hypot(np.linalg.norm(error), correction.whole_error(total)))
    return Prediction(total, spread, correction.overhead_ms, tuple(shares))
