"""From the costs of operators to the latency of whole networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacecut.latency.estimator import Costs, estimate
from spacecut.latency.evidence import Evidence
from spacecut.operators import Network
from spacecut.operators.operator import encode

__all__ = ["Calibration", "calibrated_costs"]

_FEWEST_TOTALS = 8
_LEAST_VARIATION = 0.1


@dataclass(frozen=True)
class Calibration:
    """From the sum of operator costs to the latency of the whole network: ``overhead_ms + scale * sum``.

    Attributes:
        overhead_ms: What every inference takes besides its operators.
        scale: How much longer operators take in the whole network than they were seen to.
        error: Root mean square relative error over the networks that it was fitted on; NaN where it was not fitted.
        networks: How many those were.
    """

    overhead_ms: float
    scale: float
    error: float
    networks: int


def calibrated_costs(evidence: Evidence, wanted: np.ndarray) -> tuple[Costs, Calibration]:
    """Costs of the operators in the rows ``wanted``, before calibration, and the calibration.

    Raises:
        InputError: An operator is unlike any that was measured; it is named.
    """
    networks = _whole_networks(evidence)
    theirs = list(dict.fromkeys(node.operator for network, _ in networks for node in network.nodes))
    costs = estimate(evidence, np.concatenate([wanted, encode(theirs)]))
    ours = len(wanted)
    cost = dict(zip(theirs, costs.mean[ours:], strict=True))
    summed = np.asarray([sum(cost[node.operator] for node in network.nodes) for network, _ in networks])
    calibration = _calibrate(summed, np.asarray([measured for _, measured in networks]))
    return Costs(costs.mean[:ours], costs.error[:ours], costs.measured[:ours]), calibration


def _whole_networks(evidence: Evidence) -> list[tuple[Network, float]]:
    """Networks timed end to end, with their ms; operators timed alone only where there is nothing else."""
    networks = [(Network.parse(key), measured) for key, measured in evidence.totals.items()]
    return [entry for entry in networks if len(entry[0].nodes) > 1] or networks


def _calibrate(summed: np.ndarray, measured: np.ndarray) -> Calibration:
    if not len(measured):
        return Calibration(0.0, 1.0, float("nan"), 0)
    overhead, scale = _line(summed, measured)
    error = float(np.sqrt(np.mean(np.square((overhead + scale * summed) / measured - 1))))
    return Calibration(overhead, scale, error, len(measured))


def _line(summed: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """Overhead and scale by least squares on the relative error; only one of them where the data tell no more."""
    if len(summed) >= _FEWEST_TOTALS and summed.std() > _LEAST_VARIATION * summed.mean():
        design = np.stack([1 / measured, summed / measured], axis=1)
        overhead, scale = np.linalg.lstsq(design, np.ones(len(measured)), rcond=None)[0]
        if scale > 0:
            return (float(overhead), float(scale)) if overhead >= 0 else (0.0, float(np.median(measured / summed)))
    extra = float(np.median(measured - summed))
    return (extra, 1.0) if extra >= 0 else (0.0, float(np.median(measured / summed)))
