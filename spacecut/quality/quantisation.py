"""What a platform's own quantiser does to a network and to its parts, told without training (finding 6).

The measure is the signal-to-quantisation-noise ratio, as in Nagel et al., A White Paper on Neural Network Quantization,
2021: the power of the exact output over that of what quantising changed, in decibels. A bit is worth 6 dB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from spacecut.operators import INPUT, Network
from spacecut.platforms import Platform, get_platform

__all__ = ["Part", "block_errors", "blocks", "decibels", "quantisation_error"]

_MOST = 99.0  # decibels of what is the same to the last digit


@dataclass(frozen=True)
class Part:
    """A part of a network that one value flows into and one out of.

    Attributes:
        name: The kinds of its operators with their activations.
        source: The node of the whole network that it reads, or ``INPUT``.
        network: The part.
    """

    name: str
    source: int
    network: Network


def decibels(exact: np.ndarray, other: np.ndarray) -> float:
    """How far one array is from an exact one of the same shape: power of the signal over that of the difference."""
    signal, noise = float(np.square(exact).mean()), float(np.square(exact - other).mean())
    if signal <= 0:
        return 0.0 if noise > 0 else _MOST
    return min(10 * float(np.log10(signal / noise)), _MOST) if noise > 0 else _MOST


def quantisation_error(network: Network, platform: Platform, inputs: np.ndarray, calibration: np.ndarray) -> float:
    """Decibels that a network's output keeps on a platform, beside the same network in float32.

    Args:
        network: With its weights.
        platform: At the precision in question.
        inputs: ``[inputs, channels, height, width]``, a multiple of the platform's batch.
        calibration: More like them, that the quantiser takes ranges from.
    """
    return decibels(_exact(network, inputs), platform.compute(network, inputs, calibration))


def blocks(network: Network) -> list[Part]:
    """A network taken apart into its blocks.

    A block ends where only one value flows on and no activation follows: at a linear bottleneck or a sum. In a network
    that has none of these it ends wherever only one value flows on.
    """
    last_reader = [max((n for n, node in enumerate(network.nodes) if s in node.inputs), default=s)
                   for s in range(INPUT, len(network.nodes))]  # fmt: skip
    single = [
        position
        for position in range(len(network.nodes))
        if all(last_reader[source + 1] <= position for source in range(INPUT, position))
    ]
    linear = [
        position
        for position in single
        if (operator := network.nodes[position].operator).activation == "none" and operator.kind in ("conv2d", "add")
    ]
    found, before = [], INPUT
    for end in dict.fromkeys([*(linear or single), network.output]):
        found.append(Part(_named(network, before, end), before, _between(network, before, end)))
        before = end
    return found


def block_errors(
    network: Network, platform: str, inputs: np.ndarray, calibration: np.ndarray
) -> Iterator[tuple[Part, float]]:
    """Each block of a network by itself, on the values that flow into it in float32, with the decibels it keeps.

    Args:
        network: With its weights.
        platform: Name of the platform at the precision in question.
        inputs: Of the network, ``[inputs, channels, height, width]``.
        calibration: More like them, that the quantiser takes ranges from.
    """
    target = get_platform(platform)
    for part in blocks(network):
        given, ranges = (
            values if part.source == INPUT else _exact(replace(network, output=part.source), values)
            for values in (inputs, calibration)
        )
        yield part, quantisation_error(part.network, target, given, ranges)


def _exact(network: Network, inputs: np.ndarray) -> np.ndarray:
    return get_platform("onnxruntime", batch=1).compute(network, inputs, inputs)


def _named(network: Network, before: int, end: int) -> str:
    told = []
    for node in network.nodes[before + 1 : end + 1]:
        operator = node.operator
        kernel = f" {operator.kernel}x{operator.kernel}" if operator.kernel > 1 else ""
        told.append(operator.kind + kernel + (f" {operator.activation}" if operator.activation != "none" else ""))
    return ", ".join(told)


def _between(network: Network, before: int, end: int) -> Network:
    """The nodes behind one up to another, as a network that reads the former."""
    shape = network.input_shape if before == INPUT else network.nodes[before].operator.output_shape
    nodes = tuple(
        replace(node, inputs=tuple(source - before - 1 for source in node.inputs))
        for node in network.nodes[before + 1 : end + 1]
    )
    return Network(shape, nodes, end - before - 1)
