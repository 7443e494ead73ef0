"""Does latency depend on the values that run through a network? The same operators on noise and on flat images.

    make bench-values

A latency model takes every operator to cost the same whatever it reads. Here one network, a chain of ReLUs and 1x1
convolutions, runs with the weights that spacecut makes up, so that its input is noise, and with a first convolution
whose kernel is next to nothing beside its bias, so that every channel is flat. Both take turns. Writes
``benchmarks/results/values-DATE.md``. Nothing else should run meanwhile; it takes a minute.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from spacecut.measure import platform_record
from spacecut.measure.protocol import timed_run
from spacecut.operators import Network, Operator
from spacecut.operators.network import Node
from spacecut.operators.weights import node_weights
from spacecut.platforms import get_platform

RESULTS = Path(__file__).parent / "results"
RUNTIMES = ("onnxruntime", "openvino", "litert", "litert-builtin")
PLATFORMS = (*RUNTIMES, *(f"{runtime}:int8" for runtime in RUNTIMES))
CHANNELS, SIZE = 16, 32
LENGTHS = (1, 6)
"""ReLUs in a chain. What one of them does to the same noise again and again, a processor may learn by heart."""
TURNS, INFERENCES = 25, 20
FLAT = 1e-4


def chain(relus: int) -> Network:
    """A convolution, and so many times a ReLU and another convolution."""
    convolution = Operator("conv2d", CHANNELS, SIZE, SIZE, CHANNELS)
    relu = Operator("activation", CHANNELS, SIZE, SIZE, CHANNELS, activation="relu")
    operators = [convolution, *[relu, convolution] * relus]
    nodes = [Node(operator, (number - 1,)) for number, operator in enumerate(operators)]
    return Network((CHANNELS, SIZE, SIZE), tuple(nodes), len(nodes) - 1)


def flat(network: Network) -> Network:
    """The same network where hardly anything but the bias is left of the first convolution."""
    first = network.nodes[0]
    ((kernel, bias),) = node_weights(first)
    weights = ((kernel * np.float32(FLAT), bias),)
    return replace(network, nodes=(replace(first, weights=weights), *network.nodes[1:]))


def row(platform: str, relus: int) -> str:
    """Microseconds of both networks and their ratio with its spread, as Markdown."""
    noisy = chain(relus)
    # A platform keeps models by what they cost, so each of the two has one to itself.
    programs = [get_platform(platform).load(network) for network in (noisy, flat(noisy))]
    taken = np.asarray(
        [[min(timed_run(program) for _ in range(INFERENCES)) for program in programs] for _ in range(TURNS)]
    )
    for program in programs:
        program.close()
    noise, even = np.median(1e3 * taken, axis=0)
    low, ratio, high = np.percentile(taken[:, 1] / taken[:, 0], [5, 50, 95])
    return f"| {platform} | {relus} | {noise:.1f} | {even:.1f} | {ratio:.2f} ({low:.2f} to {high:.2f}) |"


def main() -> None:
    """Measure all platforms and write the results."""
    rows = []
    for platform in PLATFORMS:
        for relus in LENGTHS:
            rows.append(row(platform, relus))
            print(rows[-1], flush=True)
    today = datetime.now(UTC).date().isoformat()
    text = f"""# Latency and values, {today}

{platform_record(get_platform(PLATFORMS[0])).machine}; one thread, batch 1.
Repeat with `make bench-values`. A 1x1 convolution and so many times a ReLU and a 1x1 convolution, {CHANNELS} channels
at {SIZE}x{SIZE}, where values are noise and where each channel is flat. Microseconds, the median of {TURNS} turns of
{INFERENCES} inferences each, of which the fastest counts; the ratio with its 5th and 95th percentile.

| platform | ReLUs | noise | flat | flat / noise |
|---|---|---|---|---|
{chr(10).join(rows)}
"""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"values-{today}.md").write_text(text)


if __name__ == "__main__":
    main()
