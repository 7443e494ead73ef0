"""Which widths of a convolution are worth having on a GPU that is not here, by precision and batch.

    make bench-operator-tables DATA=path/to/the/data

The folder holds ``v100_tensorrt/conv_ms.csv.gz``: convolutions measured one by one on a V100 by TensorRT. Every plain
3x3 convolution of stride 1 for which it has all widths from 32 to 256 channels is a space of one choice, a recorded
platform is made of its rows, and the space is cut. Writes ``benchmarks/results/operator-tables-DATE.md``; takes some
minutes.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import spacecut
from spacecut.latency.operator_table import OperatorTable, fit_operators, read_operators
from spacecut.space import SearchSpace
from spacecut.space.document import SpaceDocument

RESULTS = Path(__file__).parent / "results"
WIDTHS = (32, 48, 64, 96, 128, 160, 192, 256)
PRECISIONS, BATCHES = ("fp32", "fp16"), ("1", "32", "128")
SHAPES = 12
"""So many convolutions of each precision and batch, at random."""

Shape = tuple[int, int, int]


def space_of(channels: int, height: int, width: int) -> SearchSpace:
    """One convolution whose width is to choose."""
    content = {
        "spacecut": 1,
        "name": f"conv3x3/{channels}x{height}x{width}",
        "input": [channels, height, width],
        "choices": {"width": {"candidates": list(WIDTHS), "order": "larger"}},
        "network": [{"conv2d": {"out_channels": "width", "kernel": 3}}],
    }
    return SearchSpace(SpaceDocument.model_validate(content))


def shapes_of(table: OperatorTable) -> dict[Shape, OperatorTable]:
    """The inputs on which the table has every width, each with all that it has on inputs of that height and width."""
    widths: dict[Shape, set[int]] = defaultdict(set)
    places: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, one in enumerate(table.operators):
        if (one.kind, one.kernel, one.stride) == ("conv2d", 3, 1):
            widths[one.in_channels, one.height, one.width].add(one.out_channels)
            places[one.height, one.width].append(place)
    parts = {
        size: replace(table, operators=[table.operators[n] for n in numbers], ms=table.ms[numbers])
        for size, numbers in places.items()
    }
    return {shape: parts[shape[1:]] for shape, found in widths.items() if found.issuperset(WIDTHS)}


def kept(shape: Shape, part: OperatorTable, tolerance: float) -> list[int]:
    """The widths that a cut leaves on one input."""
    space = space_of(*shape)
    reduction = spacecut.cut(space, fit_operators(space, part), tolerance=tolerance)
    return [int(width) for width in reduction.space.choices[0].candidates]


def line(what: str, parts: Mapping[Shape, OperatorTable], tolerance: float) -> str:
    """A row of the table."""
    chosen = [list(parts)[n] for n in np.random.default_rng(0).permutation(len(parts))[:SHAPES]]
    found: Sequence[list[int]] = [kept(shape, parts[shape], tolerance) for shape in chosen]
    often = Counter(width for widths in found for width in widths)
    shares = " | ".join(f"{often[width] / len(found):.0%}" for width in WIDTHS)
    return f"| {what} | {len(parts)} | {np.mean([len(widths) for widths in found]):.1f} | {shares} |"


def main() -> None:
    """Cut everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with v100_tensorrt/")
    parser.add_argument("--tolerance", type=float, default=0.05)
    chosen = parser.parse_args()
    lines = []
    for precision in PRECISIONS:
        for batch in BATCHES:
            where = {"library": precision, "batch": batch, "elmt_fused": "0"}
            parts = shapes_of(read_operators(chosen.data / "v100_tensorrt" / "conv_ms.csv.gz", where))
            lines.append(line(f"{precision} | {batch}", parts, chosen.tolerance))
            print(lines[-1], flush=True)
    today = datetime.now(UTC).date().isoformat()
    text = f"""# Widths of a convolution on a V100 with TensorRT, {today}

Repeat with `make bench-operator-tables DATA=FOLDER`. 3x3 convolutions of stride 1 on inputs for which the file has all
the widths; {SHAPES} inputs of each precision and batch, drawn at random, each cut at a tolerance of
{chosen.tolerance:.0%}: how many of the {len(WIDTHS)} widths are left on average, and on what share of the inputs.

| precision | batch | inputs in the file | widths left | {" | ".join(map(str, WIDTHS))} |
|---|---|---|---|{"---|" * len(WIDTHS)}
{chr(10).join(lines)}
"""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"operator-tables-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
