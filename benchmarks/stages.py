"""What cuts of SpaceEvo's stages keep of the front of loss and latency.

    make bench-stages DATA=path/to/the/data

The folder holds ``spaceevo/blocks.csv.gz``: per stage of a super-network for INT8 ONNX Runtime, a thousand random
configurations of each block with each window of widths, with the distillation loss that was measured for them and a
latency that SpaceEvo's authors predicted (Wang et al., SpaceEvo, ICCV 2023). What a stage decides on is its block, its
window of widths, its depth and its resolution; kernels and expansions within are theirs at random. Half the rows are
for the cuts, and the other half judges them. Writes ``benchmarks/results/stages-DATE.md``; takes a few minutes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from devices import RESULTS, front, hypervolume, inside_of

import spacecut
from spacecut.latency import RecordedPlatform
from spacecut.latency.recorded import CostTable
from spacecut.quality import from_accuracies
from spacecut.space.document import SpaceDocument

CHOICES = ("block", "window", "layers", "size")
LOSSES = {100: 5, 2000: 1}
"""How many losses a cut knows, and in how many draws."""
DRAWS = 20
"""Of blocks at random."""


@dataclass(frozen=True)
class Stage:
    """Rows of a stage.

    Attributes:
        space: Block, window, layers and resolution.
        numbers: Candidate numbers, ``[rows, choices]``.
        loss: Of distillation, ``[rows]``.
        ms: As predicted by SpaceEvo's authors, ``[rows]``.
    """

    space: spacecut.SearchSpace
    numbers: np.ndarray
    loss: np.ndarray
    ms: np.ndarray

    def half(self, odd: bool) -> Stage:
        """The rows that decide, or those that judge."""
        chosen = np.random.default_rng(0).permutation(len(self.ms)) % 2 == odd
        return Stage(self.space, self.numbers[chosen], self.loss[chosen], self.ms[chosen])

    def cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows' combinations as numbers, and the mean and the standard error of the ms of all combinations."""
        cell = np.ravel_multi_index(self.numbers.T, self.space.lengths)
        count = np.bincount(cell, minlength=self.space.size)
        mean = np.bincount(cell, self.ms, self.space.size) / count
        spread = np.bincount(cell, np.square(self.ms - mean[cell]), self.space.size) / np.maximum(count - 1, 1)
        return cell, mean, np.sqrt(spread / count)


class Left(NamedTuple):
    """What a cut leaves of a stage: shares of 1, and the candidates by name."""

    size: float
    front: float
    hypervolume: float
    candidates: str


def stages(path: Path) -> dict[str, Stage]:
    """All stages of the file."""
    rows: dict[str, list[tuple[tuple[str, int, int, int], float, float]]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            layers, size = row["kwe"].count("_") + 1, int(row["input_shape"].rpartition("x")[2])
            key = f"b{row['block_choice']}", int(row["width_window"]), layers, size
            rows[row["stage"]].append((key, float(row["nsr_loss"]), float(row["latency_ms_predicted"])))
    return {name: _stage(name, found) for name, found in rows.items()}


def _stage(name: str, rows: list[tuple[tuple[str, int, int, int], float, float]]) -> Stage:
    candidates = [sorted({key[place] for key, _, _ in rows}) for place in range(len(CHOICES))]
    choices = {
        choice: {"candidates": found, "order": "larger"} for choice, found in zip(CHOICES, candidates, strict=True)
    }
    choices["block"] = {"candidates": {word: {"number": number} for number, word in enumerate(candidates[0], 1)}}
    widths = ["block.number", "window + 1", "layers", "size"]
    document = {
        "spacecut": 1,
        "name": f"spaceevo/stage{name}",
        "description": "What a stage decides on; its latencies are recorded, and nothing is built.",
        "input": [1, 1, 1],
        "choices": choices,
        "network": [{"conv2d": {"out_channels": width, "kernel": 1}} for width in widths],
    }
    space = spacecut.SearchSpace(SpaceDocument.model_validate(document))
    numbers = np.asarray(
        [[found.index(word) for found, word in zip(candidates, key, strict=True)] for key, _, _ in rows]
    )
    return Stage(space, numbers, np.asarray([loss for _, loss, _ in rows]), np.asarray([ms for _, _, ms in rows]))


def recorded(stage: Stage, file: str) -> RecordedPlatform:
    """The mean latency of every combination."""
    cell, mean, error = stage.cells()
    tables = (CostTable(CHOICES, tuple(c.candidates for c in stage.space.choices), tuple(mean), tuple(error)),)
    return RecordedPlatform(
        stage.space.name, file, "latency_ms_predicted", len(cell), 0, datetime.now(UTC).isoformat(timespec="seconds"),
        "interactions", 0.0, None, None, tables,
    )  # fmt: skip


def judged(stage: Stage, inside: np.ndarray) -> tuple[float, float]:
    """Share of the front's rows that are inside, and of the hypervolume that those do not lose."""
    corner = float(stage.ms.max()), float(-stage.loss.max())
    latency, best = front(stage.ms, -stage.loss)
    on_front = np.isin(stage.ms + 1j * stage.loss, latency - 1j * best)
    kept, whole = (hypervolume(stage.ms[some], -stage.loss[some], *corner) for some in (inside, slice(None)))
    return float(inside[on_front].mean()), kept / whole


def left_of(stage: Stage, file: str) -> dict[str, list[Left]]:
    """What each cut leaves, draw by draw."""
    known, truth = stage.half(False), stage.half(True)
    platform = recorded(known, file)
    found: dict[str, list[Left]] = defaultdict(list)

    def note(how: str, reduced: spacecut.SearchSpace) -> None:
        kept = judged(truth, inside_of(stage.space, reduced, truth.numbers))
        left = "; ".join(
            f"{choice.name} {' '.join(map(str, choice.candidates))}"
            for choice, whole in zip(reduced.choices, stage.space.choices, strict=True)
            if choice.name == "block" or len(choice) < len(whole)
        )
        found[how].append(Left(reduced.size / stage.space.size, *kept, left))

    note("latency alone", spacecut.cut(stage.space, platform).space)
    for losses, draws in LOSSES.items():
        for seed in range(draws):
            some = np.random.default_rng(seed).permutation(len(known.loss))[:losses]
            quality = from_accuracies(stage.space, known.numbers[some], -known.loss[some], file)
            note(f"with {losses:,} losses", spacecut.cut(stage.space, platform, quality=quality).space)
    blocks = stage.space.choices[0].candidates
    count = round(found[f"with {losses:,} losses"][0].size * len(blocks))
    generator = np.random.default_rng(0)
    for _ in range(DRAWS):
        some = np.sort(generator.permutation(len(blocks))[:count])
        note("as many blocks at random", stage.space.restrict({"block": [blocks[number] for number in some]}))
    return found


def main() -> None:
    """Cut every stage and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with spaceevo/")
    file = parser.parse_args().data / "spaceevo" / "blocks.csv.gz"
    lines, sizes = [], defaultdict(list)
    for name, stage in stages(file).items():
        for how, found in left_of(stage, file.name).items():
            size, kept, volume = (np.mean(column) for column in list(zip(*found, strict=True))[:3])
            sizes[how].append(size)
            [(usual, times)] = Counter(one.candidates for one in found).most_common(1)
            told = usual if times > len(found) / 2 else ""
            told += f" ({times} of {len(found)} draws)" if told and len(found) > 1 else ""
            worst = min(one.hypervolume for one in found)
            lines.append(f"| {name} | {how} | {size:.1%} | {kept:.0%} | {volume:.2%} | {worst:.2%} | {told} |")
    today = datetime.now(UTC).date().isoformat()
    whole = "\n".join(f"| {how} | {np.prod(found):.2%} |" for how, found in sizes.items())
    text = f"""# SpaceEvo's stages cut, {today}

Repeat with `make bench-stages DATA=FOLDER`. Six stages of a super-network for INT8 ONNX Runtime, each with six kinds of
block, windows of widths, depths and resolutions: 132,000 random configurations with measured distillation losses and
with latencies that SpaceEvo's authors **predicted**. One half is for the cuts: mean latencies of all combinations, and
as many losses as the table says. The other half judges: share of its front of loss and latency that is kept, and of the
front's hypervolume (from its slowest and its worst), which tells how near what is left comes to what is lost. Blocks
chosen at random, as many as the cut with most losses leaves, are the baseline ({DRAWS} draws). All cuts are at the
tolerance of 2 %.

| stage | cut | of the stage | of the front | of the hypervolume | worst draw | left |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

What all six stages together leave of their product:

| cut | of the space |
|---|---|
{whole}
"""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"stages-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
