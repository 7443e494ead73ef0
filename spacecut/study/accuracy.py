"""Finding 6: what INT8 keeps of the values that blocks compute, by the platform's own quantiser, without training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spacecut.cut import Rule
from spacecut.errors import InputError
from spacecut.operators import Network
from spacecut.operators.onnx_reader import read_onnx
from spacecut.operators.operator import WEIGHTED
from spacecut.platforms import get_platform
from spacecut.quality import block_errors, quantisation_error
from spacecut.study.finding import HOLDS, MIXED, NOT, UNKNOWN, Finding
from spacecut.study.thresholds import BIT, LOSSY, SOUND

__all__ = ["Kept", "Trained", "accuracy", "blocks_kept", "network_kept", "read_trained"]

_QUESTION = "Does INT8 keep accuracy?"
_CLAIM = "For many models it loses a lot: some platforms quantise some operators badly."
_INPUTS, _CALIBRATION = 4, 8


@dataclass(frozen=True)
class Trained:
    """A trained network with inputs as it is meant for.

    Attributes:
        name: For a person.
        network: With its weights.
        inputs: Half of them to calibrate with and half to judge by, ``[inputs, channels, height, width]``.
    """

    name: str
    network: Network
    inputs: np.ndarray


@dataclass(frozen=True)
class Kept:
    """What INT8 keeps of one block.

    Attributes:
        block: Which.
        decibels: Power of the exact output over that of what quantising changed.
        gate: Whether it has a squeeze-and-excitation.
        activations: Those behind its layers.
    """

    block: str
    decibels: float
    gate: bool
    activations: frozenset[str]

    @classmethod
    def of(cls, block: str, decibels: float, network: Network) -> Kept:
        """What is kept of a block given as a network."""
        operators = [node.operator for node in network.nodes]
        words = {o.activation for o in operators if o.kind != "squeeze_excite"} - {"none"}
        return cls(block, decibels, any(o.kind == "squeeze_excite" for o in operators), frozenset(words))


def read_trained(model: Path, inputs: Path) -> Trained:
    """A trained network from an ONNX file, with inputs from a ``.npy`` file.

    Raises:
        InputError: One of them is missing or something else, or the two do not fit.
    """
    network = read_onnx(model)
    if lacking := [str(n.operator) for n in network.nodes if n.operator.kind in WEIGHTED and not n.weights]:
        raise InputError(f"{model}: the weights of {lacking[0]} are not known")
    try:
        values = np.load(inputs)
    except (OSError, ValueError) as error:
        raise InputError(f"{inputs}: no array of inputs ({error}); write one with numpy.save") from None
    if values.ndim != 4 or values.shape[1:] != network.input_shape or len(values) < 2:
        wanted = ", ".join(map(str, network.input_shape))
        raise InputError(f"{inputs}: an array {list(values.shape)}; {model} takes [at least 2, {wanted}]")
    return Trained(model.name, network, values.astype(np.float32))


def blocks_kept(platform: str, networks: Sequence[tuple[str, Network]]) -> list[Kept]:
    """What INT8 keeps of blocks with made-up weights, on random inputs: the least that it costs."""
    target, found = get_platform(platform), []
    for name, network in networks:
        drawn = np.random.default_rng(0).standard_normal((_INPUTS + _CALIBRATION, *network.input_shape))
        values = drawn.astype(np.float32)
        kept = quantisation_error(network, target, values[:_INPUTS], values[_INPUTS:])
        found.append(Kept.of(name, kept, network))
    return found


def network_kept(platform: str, trained: Trained) -> list[Kept]:
    """What INT8 keeps of each block of a trained network, and of the whole: the last."""
    half = len(trained.inputs) // 2
    inputs, calibration = trained.inputs[:half], trained.inputs[half:]
    found = [
        Kept.of(f"{number}: {part.name}", value, part.network)
        for number, (part, value) in enumerate(block_errors(trained.network, platform, inputs, calibration), 1)
    ]
    whole = quantisation_error(trained.network, get_platform(platform), inputs, calibration)
    return [*found, Kept.of("the whole network", whole, trained.network)]


def accuracy(platform: str, kept: Sequence[Kept], weights: str) -> Finding:
    """Judge what INT8 keeps.

    Args:
        platform: By name.
        kept: Block by block; none where the platform computes in float.
        weights: Whose weights they have, for a person.
    """
    if not kept:
        return Finding(6, _QUESTION, _CLAIM, UNKNOWN, "it was not walked in INT8")
    figures = {entry.block: entry.decibels for entry in kept}
    worst, best = min(kept, key=lambda entry: entry.decibels), max(kept, key=lambda entry: entry.decibels)
    lossy = [entry.block for entry in kept if entry.decibels < LOSSY]
    verdict = HOLDS if lossy else NOT if worst.decibels >= SOUND else MIXED
    middle = float(np.median(list(figures.values())))
    said = f"{weights}: {middle:.0f} dB in the middle, {worst.decibels:.0f} dB for {worst.block}, "
    said += f"{best.decibels:.0f} dB for {best.block}"
    rule = f"Drop blocks below {LOSSY:g} dB: {'; '.join(lossy)}." if lossy else ""
    return Finding(6, _QUESTION, _CLAIM, verdict, said, figures, rule, tuple(_rules(platform, kept)))


def _rules(platform: str, kept: Sequence[Kept]) -> Iterator[Rule]:
    """What blocks have that are lossy, while those without it keep a bit more at least."""
    told = _worse([entry.decibels for entry in kept if entry.gate], [e.decibels for e in kept if not e.gate])
    if told:
        yield Rule(platform=platform, finding=6, dimension="squeeze_excite", evidence=told)
    words = sorted({word for entry in kept for word in entry.activations})
    lossy = {}
    for word in words:
        those = [entry.decibels for entry in kept if word in entry.activations]
        if told := _worse(those, [entry.decibels for entry in kept if word not in entry.activations]):
            lossy[word] = told
    prefer = tuple(word for word in words if word not in lossy)
    for word, told in lossy.items():
        if prefer:
            yield Rule(platform=platform, finding=6, dimension="activation", avoid=word, prefer=prefer, evidence=told)


def _worse(those: Sequence[float], others: Sequence[float]) -> str:
    """How blocks with something are worse than the others; empty where they are not, or not lossy."""
    if not those or not others:
        return ""
    one, other = float(np.median(those)), float(np.median(others))
    if one >= LOSSY or other - one < BIT:
        return ""
    return f"blocks with it keep {one:.0f} dB in the median, those without it {other:.0f} dB"
