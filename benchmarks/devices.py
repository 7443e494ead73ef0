"""Does cutting work on devices that nobody here can tune? Judged by all their true latencies and accuracies.

    make bench-devices DATA=path/to/the/data

The folder holds ``nasbench201/latency_ms.csv.gz`` (``arch`` and one column of ms a device) with accuracies of the same
architectures in ``nasbench201/accuracy_*.csv.gz``, and ``fbnet/latency_ms.csv.gz`` (``op0`` to ``op21`` and the
devices). From some hundred rows of a device a recorded platform is fitted, and the space is cut by it: first without
any accuracy, then with those of 100 random architectures. What the cut keeps is judged by everything else in the
files, beside cuts that know nothing of the device. Writes ``benchmarks/results/devices-DATE.md`` and
``devices-DATE.png``; takes some half an hour.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import spacecut
from spacecut.latency import RecordedPlatform, fit, read_latencies
from spacecut.latency.latencies import Latencies
from spacecut.operators import expand
from spacecut.operators.operator import macs
from spacecut.quality import from_accuracies
from spacecut.space.architectures import architecture_of, read_rows

RESULTS = Path(__file__).parent / "results"
CELL, FBNET = "nasbench201/cell", "fbnet/fbnet"
ROWS = (50, 100, 200, 500)
SEEDS = (0, 1, 2)
JUDGED_ROWS = 200
FOUR_OF_FIVE = 4**6
"""Architectures that are left where one of the five operators falls on every edge: 26 % of the space."""
ACCURACIES = 100
WITH_ACCURACIES = 781
"""5 % of the space."""
BOUNDS = 10


@dataclass(frozen=True)
class Truth:
    """What is known of every architecture of NAS-Bench-201.

    Attributes:
        numbers: Candidate numbers, ``[architectures, choices]``.
        ms: By device, ``[architectures]``.
        accuracy: By data set, %, ``[architectures]``.
    """

    numbers: np.ndarray
    ms: Mapping[str, np.ndarray]
    accuracy: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Judged:
    """What a cut keeps; shares of 1, the worst over the data sets.

    Attributes:
        size: Share of the space.
        hypervolume: Share of the volume that the accuracy-latency front dominates, from the slowest latency and the
            lowest accuracy.
        inflation: How much slower on average an architecture of the front becomes at equal accuracy.
        lost: Percentage points of the best accuracy lost under the worst of ten latency bounds.
    """

    size: float
    hypervolume: float
    inflation: float
    lost: float


def devices_of(path: Path, space: spacecut.SearchSpace) -> list[str]:
    """The columns of a file of latencies."""
    with gzip.open(path, "rt") as file:
        return [name for name in next(csv.reader(file)) if name != "arch" and not name.startswith("op")]


def true_cell(folder: Path) -> Truth:
    """Everything in the files of NAS-Bench-201, in the order of the latencies."""
    space = spacecut.load_space(CELL)
    file = folder / "latency_ms.csv.gz"
    tables = {device: read_latencies(file, space, device) for device in devices_of(file, space)}
    numbers = next(iter(tables.values())).numbers
    accuracy = {}
    for path in sorted(folder.glob("accuracy_*.csv.gz")):
        rows = read_rows(path, "CSV file of accuracies")
        architecture, place = architecture_of(space, rows), rows.names.index("val_acc")
        known = {tuple(architecture(row)): float(row[place]) for _, row in rows}
        accuracy[path.name.removeprefix("accuracy_").partition(".")[0]] = np.asarray(
            [known[tuple(row)] for row in numbers.tolist()]
        )
    return Truth(numbers, {device: table.ms for device, table in tables.items()}, accuracy)


def front(ms: np.ndarray, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latencies and accuracies of the architectures that none is faster and better than, fastest first."""
    order = np.lexsort((-accuracy, ms))
    best = np.maximum.accumulate(accuracy[order])
    first = np.append(True, best[1:] > best[:-1])
    return ms[order][first], accuracy[order][first]


def hypervolume(ms: np.ndarray, accuracy: np.ndarray, slowest: float, lowest: float) -> float:
    """Area between the front and the corner of the slowest latency and the lowest accuracy."""
    latency, best = front(ms, accuracy)
    return float((np.diff(np.append(latency, slowest)) * (best - lowest)).sum())


def judge(inside: np.ndarray, ms: np.ndarray, accuracies: Mapping[str, np.ndarray]) -> Judged:
    """What those architectures that are ``inside`` keep of all of them."""
    volumes, inflations, losses = [], [], []
    for accuracy in accuracies.values():
        corner = float(ms.max()), float(accuracy.min())
        volumes.append(hypervolume(ms[inside], accuracy[inside], *corner) / hypervolume(ms, accuracy, *corner))
        latency, best = front(ms, accuracy)
        left, kept = front(ms[inside], accuracy[inside])
        place = np.searchsorted(kept, best)
        reached = place < len(kept)
        inflations.append(float((left[place[reached]] / latency[reached] - 1).mean()))
        bounds = np.quantile(ms, np.linspace(0.1, 1.0, BOUNDS))
        whole, part = (_under(bounds, *pair) for pair in ((latency, best), (left, kept)))
        losses.append(float(np.nan_to_num(whole - part, nan=accuracy.max()).max()))
    return Judged(float(inside.mean()), min(volumes), max(inflations), max(losses))


def _under(bounds: np.ndarray, latency: np.ndarray, best: np.ndarray) -> np.ndarray:
    place = np.searchsorted(latency, bounds, side="right") - 1
    return np.where(place >= 0, best[np.maximum(place, 0)], np.nan)


def inside_of(space: spacecut.SearchSpace, reduced: spacecut.SearchSpace, numbers: np.ndarray) -> np.ndarray:
    """Which architectures a reduced space still has."""
    inside = np.ones(len(numbers), dtype=bool)
    for position, (choice, left) in enumerate(zip(space.choices, reduced.choices, strict=True)):
        kept = [choice.index(candidate) for candidate in left.candidates]
        inside &= np.isin(numbers[:, position], kept)
    return inside


def fitted(space: spacecut.SearchSpace, numbers: np.ndarray, ms: np.ndarray, rows: int, seed: int) -> RecordedPlatform:
    """A recorded platform from some of the rows."""
    return fit(space, Latencies(numbers, ms, "latency_ms.csv.gz", "ms"), rows, seed)


def without_accuracies(space: spacecut.SearchSpace, recorded: RecordedPlatform) -> dict[str, spacecut.SearchSpace]:
    """The cuts that a device's latencies alone allow."""
    return {
        "dominance, tolerance 2 %": spacecut.cut(space, recorded).space,
        "joint, 26 %": spacecut.cut(space, recorded, target_size=FOUR_OF_FIVE).space,
        "joint, 5 %": spacecut.cut(space, recorded, target_size=WITH_ACCURACIES).space,
    }


def with_accuracies(
    space: spacecut.SearchSpace, recorded: RecordedPlatform, numbers: np.ndarray, accuracy: np.ndarray, seed: int
) -> dict[str, spacecut.SearchSpace]:
    """The cut that some architectures' accuracies allow besides."""
    chosen = np.random.default_rng(seed).permutation(len(accuracy))[:ACCURACIES]
    table = from_accuracies(space, numbers[chosen], accuracy[chosen])
    reduced = spacecut.cut(space, recorded, target_size=WITH_ACCURACIES, quality=table).space
    return {f"joint with {ACCURACIES} accuracies, 5 %": reduced}


def blind(space: spacecut.SearchSpace, truth: Truth) -> dict[str, list[np.ndarray]]:
    """Cuts that know nothing of the device: the same operators everywhere, by FLOPs, at random."""
    names = [choice.name for choice in space.choices]
    candidates = space.choices[0].candidates

    def without(*words: str) -> np.ndarray:
        left = [candidate for candidate in candidates if candidate not in words]
        return inside_of(space, space.restrict(dict.fromkeys(names, left)), truth.numbers)

    workload = expand(space)
    size = macs(workload.rows)
    used = workload.used(truth.numbers)
    flops = np.where(used >= 0, size[used], 0).sum(axis=1).astype(float)
    by_flops = fitted(space, truth.numbers, flops / flops.max() + 1.0, JUDGED_ROWS, 0)
    cuts = without_accuracies(space, by_flops)
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(10):
        left = {name: [candidates[n] for n in np.sort(generator.permutation(len(candidates))[:4])] for name in names}
        drawn.append(inside_of(space, space.restrict(left), truth.numbers))
    return {
        "no average pooling, on any device": [without("avg_pool_3x3")],
        "no 1x1 convolution, on any device": [without("nor_conv_1x1")],
        "neither, on any device": [without("avg_pool_3x3", "nor_conv_1x1")],
        "joint by FLOPs, 26 %": [inside_of(space, cuts["joint, 26 %"], truth.numbers)],
        "random, 26 %": drawn,
    }


def mean_of(found: Sequence[Judged]) -> str:
    """Columns of a table: means, and the worst hypervolume."""
    volumes = [one.hypervolume for one in found]
    return (
        f"{np.mean([one.size for one in found]):.1%} | {np.mean(volumes):.2%} | {min(volumes):.2%} | "
        f"{np.mean([one.inflation for one in found]):.1%} | {np.mean([one.lost for one in found]):.2f}"
    )


def cell_rows(truth: Truth) -> tuple[list[str], dict[str, dict[str, list[Judged]]]]:
    """All cuts of NAS-Bench-201 on every device."""
    space = spacecut.load_space(CELL)
    unaware = blind(space, truth)
    lines, by_device = [], {}
    for device, ms in truth.ms.items():
        found: dict[str, list[Judged]] = {}
        for seed in SEEDS:
            recorded = fitted(space, truth.numbers, ms, JUDGED_ROWS, seed)
            accuracy = next(iter(truth.accuracy.values()))
            cuts = without_accuracies(space, recorded)
            cuts |= with_accuracies(space, recorded, truth.numbers, accuracy, seed)
            for how, reduced in cuts.items():
                inside = inside_of(space, reduced, truth.numbers)
                found.setdefault(how, []).append(judge(inside, ms, truth.accuracy))
        for how, insides in unaware.items():
            found[how] = [judge(inside, ms, truth.accuracy) for inside in insides]
        by_device[device] = found
        lines += [f"| {device} | {how} | {mean_of(judged)} |" for how, judged in found.items()]
        print("\n".join(lines[-len(found) :]), flush=True)
    return lines, by_device


def fits(name: str, numbers: np.ndarray, ms: Mapping[str, np.ndarray]) -> list[str]:
    """How well fits to some rows predict all others."""
    space = spacecut.load_space(name)
    lines = []
    for device, latency in ms.items():
        cells = []
        for rows in ROWS:
            accuracies = []
            for seed in SEEDS:
                try:
                    accuracies.append(fitted(space, numbers, latency, rows, seed).left_out)
                except spacecut.MeasurementError:  # a fit that is no good is refused
                    continue
            if not accuracies:
                cells.append("refused")
                continue
            within, rank = (
                [getattr(a, what) for a in accuracies] for what in ("within_10_percent", "rank_correlation")
            )
            cells.append(f"{np.mean(rank):.3f} ({np.mean(within):.0%})")
        lines.append(f"| {name} | {device} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def plot(by_device: Mapping[str, Mapping[str, Sequence[Judged]]], path: Path) -> None:
    """Hypervolume kept against the size, device by device."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(10, 5), layout="constrained")
    hows = list(next(iter(by_device.values())))
    for place, how in enumerate(hows):
        values = [100 * one.hypervolume for found in by_device.values() for one in found[how]]
        axis.plot(np.full(len(values), place) + np.linspace(-0.2, 0.2, len(values)), values, ".", markersize=5)
    axis.set_xticks(range(len(hows)), hows, rotation=25, ha="right", fontsize=8)
    axis.set_ylabel("hypervolume kept, %")
    axis.grid(alpha=0.25)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Judge all devices and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with nasbench201/ and fbnet/")
    chosen = parser.parse_args()
    truth = true_cell(chosen.data / "nasbench201")
    lines, by_device = cell_rows(truth)
    quality = fits(CELL, truth.numbers, truth.ms)
    fbnet = chosen.data / "fbnet" / "latency_ms.csv.gz"
    space = spacecut.load_space(FBNET)
    tables = {device: read_latencies(fbnet, space, device) for device in devices_of(fbnet, space)}
    quality += fits(FBNET, next(iter(tables.values())).numbers, {name: table.ms for name, table in tables.items()})
    today = datetime.now(UTC).date().isoformat()
    RESULTS.mkdir(exist_ok=True)
    plot(by_device, RESULTS / f"devices-{today}.png")
    text = f"""# Devices that are not here, {today}

Repeat with `make bench-devices DATA=FOLDER`. NAS-Bench-201 on {len(truth.ms)} devices, fitted to {JUDGED_ROWS} random
rows ({len(SEEDS)} draws), cut, and judged by all {len(truth.numbers):,} true latencies and the accuracies on
{" and ".join(truth.accuracy)} (the worse of the two). Hypervolume: from the slowest latency and the lowest accuracy.
Inflation: how much slower the front becomes at equal accuracy, on average. Lost: points of the best accuracy under the
worst of {BOUNDS} bounds.

| device | cut | of the space | hypervolume | worst draw | inflation | lost |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

![hypervolume](devices-{today}.png)

## Fits: Spearman's rank correlation with all rows left out (share within ±10 %), mean of {len(SEEDS)} draws

| space | device | {" | ".join(f"{rows} rows" for rows in ROWS)} |
|---|---|{"---|" * len(ROWS)}
{chr(10).join(quality)}
"""
    (RESULTS / f"devices-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
