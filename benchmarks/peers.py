"""Other ways to predict latency, for the comparison in ``predictor.py``: each gets networks and gives milliseconds."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spacecut.operators import Network, Operator
from spacecut.operators.operator import encode, macs

__all__ = ["by_flops", "by_forests", "by_look_up", "measured_alone"]

_FORESTS = Path(__file__).with_name("nn_meter_forests.py")


def _size(network: Network) -> float:
    return float(macs(encode([node.operator for node in network.nodes])).sum())


def by_flops(seen: Mapping[str, float], networks: Sequence[Network]) -> np.ndarray:
    """A straight line over the multiply-accumulates of whole networks, least squares on the relative error."""
    size = np.asarray([_size(Network.parse(key)) for key in seen])
    measured = np.asarray(list(seen.values()))
    design = np.stack([1 / measured, size / measured], axis=1)
    weights, *_ = np.linalg.lstsq(design, np.ones(len(measured)), rcond=None)
    return np.asarray([weights[0] + weights[1] * _size(network) for network in networks])


def by_look_up(alone: Mapping[Operator, float], networks: Sequence[Network]) -> np.ndarray:
    """The sum of every operator's latency alone, as Once-for-All's and FBNet's tables have it."""
    return np.asarray([sum(alone[node.operator] for node in network.nodes) for network in networks])


def by_forests(alone: Mapping[Operator, float], networks: Sequence[Network], python: Path) -> np.ndarray:
    """The sum of what nn-Meter's random forests say of every operator, trained on operators measured alone.

    Args:
        alone: Milliseconds of the training operators.
        networks: What to predict.
        python: The interpreter of an environment with nn-meter.
    """
    wanted = list(dict.fromkeys(node.operator for network in networks for node in network.nodes))
    train: dict[str, list[tuple[dict[str, int], float]]] = defaultdict(list)
    ask: dict[str, list[dict[str, int]]] = defaultdict(list)
    for operator, latency in alone.items():
        train[_kernel(operator)].append((_configuration(operator), latency))
    for operator in wanted:
        ask[_kernel(operator)].append(_configuration(operator))
    done = subprocess.run(
        [python, _FORESTS], input=json.dumps({"train": train, "ask": ask}), capture_output=True, text=True, check=True
    )
    answers = {kernel: iter(values) for kernel, values in json.loads(done.stdout.splitlines()[-1]).items()}
    predicted = {operator: next(answers[_kernel(operator)]) for operator in wanted}
    return np.asarray([sum(predicted[node.operator] for node in network.nodes) for network in networks])


def measured_alone(runs: Mapping[str, Sequence[float]]) -> dict[Operator, float]:
    """Milliseconds of single-operator networks, by operator."""
    return {Network.parse(key).nodes[0].operator: float(np.median(values)) for key, values in runs.items()}


_KERNELS = {
    "conv2d": "conv-bn-relu",
    "depthwise_conv2d": "dwconv-bn-relu",
    "linear": "fc",
    "max_pool2d": "maxpool",
    "avg_pool2d": "avgpool",
    "global_avg_pool": "global-avgpool",
    "activation": "hswish",
    "squeeze_excite": "se",
    "add": "add",
}


def _kernel(operator: Operator) -> str:
    """nn-Meter's kernel type, with the activation behind a bar: it trains one forest for each."""
    return f"{_KERNELS[operator.kind]}|{operator.activation}"


def _configuration(operator: Operator) -> dict[str, int]:
    return {
        "HW": operator.height,
        "CIN": operator.in_channels,
        "COUT": operator.out_channels,
        "KERNEL_SIZE": operator.kernel,
        "STRIDES": operator.stride,
        "POOL_STRIDES": operator.stride,
    }
