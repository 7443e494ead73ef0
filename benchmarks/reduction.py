"""What cutting loses and gains: sizes, front inflation, certificates, baselines, measured fronts, timings.

    make bench-reduction

Writes ``benchmarks/results/reduction-DATE.md`` and ``reduction-DATE.png``. It takes about an hour and a half. Nothing
else should run until it says that all is measured, about halfway. What is measured is kept under
``.spacecut/reduction``: a run that was stopped goes on from there, and ``--fresh`` measures everything anew.
"""

from __future__ import annotations

import argparse
import itertools
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import spacecut
from spacecut.cut import TOLERANCE, gain, regrid
from spacecut.cut.certificate import certify
from spacecut.cut.inflation import Fronts, Inflation, best_at, latency_band
from spacecut.cut.joint import FUNCTIONS, SEED, Banded, drops
from spacecut.cut.selection import JUDGED_BY
from spacecut.latency import Trellis
from spacecut.latency.evidence import whole_latencies
from spacecut.latency.profile import read_profile
from spacecut.measure import interleave, platform_record
from spacecut.operators import expand
from spacecut.platforms import get_platform
from spacecut.quality import Quality, quality_family
from spacecut.space.ranges import shown_size

RESULTS = Path(__file__).parent / "results"
FOLDER = Path(".spacecut/reduction")
MAIN = "metapruning/mobilenet_v1"
FUNCTION_COUNTS = {MAIN: 500, "metapruning/mobilenet_v2": 48, "ofa/mobilenet_v3": 48, "metapruning/resnet50": 8}
"""How many quality functions judge each space: their fronts take from 0.1 to 6 s each."""
PLATFORMS = ("onnxruntime", "openvino", "litert")
SMALLEST = 0.005
"""Mean inflation that the smallest space may have."""
STEPS = (8, 16, 32, 64, 128, 256)
FRONT_NETWORKS = 20
PASSES = 6

Kept = list[np.ndarray]


@dataclass(frozen=True)
class Row:
    """One reduced space."""

    space: str
    platform: str
    how: str
    size: int
    inflation: Inflation
    certified: float

    def line(self) -> str:
        """The row as Markdown."""
        certified = f"{self.certified:.1%}" if math.isfinite(self.certified) else "-"
        return (
            f"| {self.space} | {self.platform} | {self.how} | {shown_size(self.size)} | {self.inflation.mean:.2%} | "
            f"{self.inflation.worst:.1%} | {self.inflation.functions} | {certified} |"
        )


def profiled(space: spacecut.SearchSpace, platform: str, what: str) -> spacecut.Profile:
    """A profile within two minutes of measurement."""
    stem = f"{space.name.replace('/', '-').replace(', ', '-').replace(' ', '_')}-{platform}{what}"
    return spacecut.profile(space, platform, store=str(FOLDER / f"{stem}.sqlite"))


def numbers_of(full: spacecut.SearchSpace, part: spacecut.SearchSpace) -> Kept:
    """Which candidates a space has of another."""
    return [
        np.asarray([one.index(c) for c in two.candidates]) for one, two in zip(full.choices, part.choices, strict=True)
    ]


def target_of(space: spacecut.SearchSpace) -> list[int]:
    """Candidates a slot: 4 of many, 2 of few."""
    return [4 if length > 8 else min(2, length) for length in space.lengths]


def evenly(space: spacecut.SearchSpace) -> Kept:
    """As many candidates of each choice, evenly spaced from the first to the last."""
    return [
        np.unique(np.linspace(0, length - 1, count).round().astype(int)) if count > 1 else np.asarray([length - 1])
        for length, count in zip(space.lengths, target_of(space), strict=True)
    ]


def multiples(space: spacecut.SearchSpace) -> tuple[int, Kept] | None:
    """The candidates nearest to the multiples of one step, the smallest that leaves no more than the target."""
    if any("width" not in choice.attributes for choice in space.choices):
        return None
    for step in STEPS:
        kept = []
        for choice in space.choices:
            widths = choice.attributes["width"]
            wanted = np.arange(step, widths.max() + 1, step)
            near = [int(np.abs(widths - width).argmin()) for width in wanted[wanted >= widths.min()]]
            kept.append(np.unique([*near, len(widths) - 1]))
        if math.prod(map(len, kept)) <= math.prod(target_of(space)):
            return step, kept
    return None


def smallest(model: spacecut.LatencyModel, fronts: Fronts) -> Kept:
    """The smallest joint selection with so little inflation, by bisection along the selection's steps."""
    space = model.space
    band = latency_band(model)
    start = [np.arange(length) for length in space.lengths]
    protected = [choice.not_worse().all(axis=0) for choice in space.choices]
    path = list(
        drops([Banded(model, (model.fastest()[0], band[1]))], quality_family(space, FUNCTIONS, SEED), start, protected)
    )
    low, high = 0, len(path) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if fronts.inflation(path[middle]).mean <= SMALLEST:
            low = middle
        else:
            high = middle - 1
    return path[low]


def table(name: str, platform: str) -> list[Row]:
    """All reduced spaces of a pair, judged by the same functions."""
    space = spacecut.load_space(name)
    profile = profiled(space, platform, "")
    model = profile.latency_model(space)
    band = latency_band(model)
    every = [np.arange(length) for length in space.lengths]
    family = quality_family(space, FUNCTION_COUNTS[name], JUDGED_BY)
    fronts = Fronts(model, family, band)
    rows = []

    def add(how: str, kept: Kept, certified: float) -> None:
        size = math.prod(map(len, kept))
        rows.append(Row(name, platform, how, size, fronts.inflation(kept), certified))
        print(rows[-1].line(), flush=True)

    target = math.prod(target_of(space))
    shown = f"4^{len(space.choices)}" if set(target_of(space)) == {4} else shown_size(target)
    for how, reduction in (
        ("lossless: dominance within noise", spacecut.cut(space, profile, tolerance=0.0)),
        ("dominance, tolerance 2 %", spacecut.cut(space, profile)),
        (f"joint, {shown}", spacecut.cut(space, profile, target_size=target)),
    ):
        add(how, numbers_of(space, reduction.space), reduction.certificate.slowdown)
    add(f"joint, smallest with mean ≤ {SMALLEST:.1%}", smallest(model, Fronts(model, family[:48], band)), math.nan)
    for how, kept in {"evenly spaced": evenly(space), **_fixed(space)}.items():
        maps = [
            numbers[np.searchsorted(numbers, one).clip(max=len(numbers) - 1)]
            for numbers, one in zip(kept, every, strict=True)
        ]
        certified = certify(model, maps, every, platform, band).slowdown
        add(how, kept, certified if _ordered(space) else math.nan)
    return rows


def _fixed(space: spacecut.SearchSpace) -> Mapping[str, Kept]:
    found = multiples(space)
    return {} if found is None else {f"multiples of {found[0]}": found[1]}


def _ordered(space: spacecut.SearchSpace) -> bool:
    return all(
        choice.order == "larger" and list(choice.candidates) == sorted(choice.candidates) for choice in space.choices
    )


def measured_fronts(platform: str) -> str:
    """The best networks of both spaces at equal quality, measured end to end and interleaved."""
    space = spacecut.load_space(MAIN)
    profile = profiled(space, platform, "")
    model = profile.latency_model(space)
    reduced = spacecut.cut(space, profile, target_size=4 ** len(space.choices)).space
    left = numbers_of(space, reduced)
    band = latency_band(model)
    every = [np.arange(length) for length in space.lengths]
    full_trellis, trellis = model.quality_trellis_over(every), model.quality_trellis_over(left)
    workload = expand(space)
    pairs = []
    for place, quality in enumerate(quality_family(space, FRONT_NETWORKS, JUDGED_BY + 1)):
        wanted = band[0] + (band[1] - band[0]) * (place + 0.5) / FRONT_NETWORKS
        numbers = _at_latency(model, full_trellis, quality, wanted)
        level = int(quality.of(numbers[None], workload.effects)[0])
        best = best_at(full_trellis, quality, level)
        other = best_at(trellis, quality.over(left), level)
        pairs.append((best, np.asarray([kept[number] for kept, number in zip(left, other, strict=True)])))
    keys = [[workload.network(numbers).key for numbers in pair] for pair in pairs]
    path = FOLDER / f"fronts-{platform}.gz"
    if not path.exists():
        target = get_platform(platform)
        runs = interleave(target, list(dict.fromkeys(key for pair in keys for key in pair)), PASSES, 0)
        spacecut.Profile(platform_record(target), MAIN, runs).save(path)
    taken = whole_latencies(read_profile(path).runs)
    predicted = np.asarray([float(np.divide(*model.predict(np.stack(pair))[::-1])) - 1 for pair in pairs])
    found = np.asarray([np.median(taken[other]) / np.median(taken[best]) - 1 for best, other in keys])
    error = np.std(found - predicted, ddof=1) / np.sqrt(len(found))
    noise = np.mean([np.std(np.log(values), ddof=1) for values in taken.values() if len(values) > 1])
    return (
        f"| {platform} | {2 * len(pairs)} | {predicted.mean():+.2%} | {found.mean():+.2%} ± {error:.2%} | "
        f"{np.abs(found - predicted).max():.1%} | {noise:.1%} |"
    )


def _at_latency(model: spacecut.LatencyModel, trellis: Trellis, quality: Quality, wanted: float) -> np.ndarray:
    """The best network of about so many ms."""
    low, high = 0, quality.best
    while low < high:
        middle = (low + high + 1) // 2
        if model.predict(best_at(trellis, quality, middle)[None])[0] <= wanted:
            low = middle
        else:
            high = middle - 1
    return best_at(trellis, quality, low)


def agreement(platform: str) -> str:
    """How far two profiling runs decide alike."""
    space = spacecut.load_space(MAIN)
    cuts = [spacecut.cut(space, profiled(space, platform, what), tolerance=0.0) for what in ("", "-again")]
    verdicts = np.asarray([[decision.verdict for decision in reduction.decisions] for reduction in cuts])
    differ = int((verdicts[0] != verdicts[1]).sum())
    sizes = " and ".join(shown_size(reduction.space.size) for reduction in cuts)
    return f"| {platform} | {sizes} | {differ} of {verdicts.shape[1]} ({differ / verdicts.shape[1]:.1%}) |"


def on_steps(platform: str) -> str:
    """What candidates on the steps gain."""
    space = spacecut.load_space(MAIN)
    profile = profiled(space, platform, "")
    finer = regrid(space, [profile], TOLERANCE)
    again = profiled(finer, platform, "")
    rows = []
    for how, asked in (("tolerance 2 %", {}), ("joint, 4^13", {"target_size": 4**13})):
        reduction = spacecut.cut(finer, again, **asked)
        (found,) = gain(reduction, spacecut.cut(space, again, **asked))
        sizes = f"{shown_size(found.grid_size)} | {shown_size(reduction.space.size)}"
        means = f"{found.grid.mean:.2%} | {found.steps.mean:.2%} | {found.faster:+.2%}"
        rows.append(f"| {platform} | {how} | {found.added} | {sizes} | {means} |")
    return "\n".join(rows)


def timings(platform: str) -> str:
    """Seconds of each exact answer, the median of five."""
    space = spacecut.load_space(MAIN)
    profile = profiled(space, platform, "")
    model = profile.latency_model(space)
    bound = model.fastest()[0] + 0.4 * (model.slowest()[0] - model.fastest()[0])
    reduction = spacecut.cut(space, profile)
    maps = [np.arange(length) for length in space.lengths]
    for decision in reduction.decisions:
        if decision.dominator is not None:
            position = space.positions[decision.choice]
            choice = space.choices[position]
            maps[position][choice.index(decision.candidate)] = choice.index(decision.dominator)
    every = [np.arange(length) for length in space.lengths]
    questions: dict[str, Callable[[], object]] = {
        "count": lambda: model.count(bound),
        "best": lambda: model.best(1000, bound),
        "sample": lambda: model.sample(10_000, bound),
        "certificate": lambda: certify(model, maps, every, platform, (0.0, 0.0)),
        "band": lambda: certify(model, maps, every, platform, latency_band(model)),
        "cut": lambda: spacecut.cut(space, profile, target_size=4**13),
    }
    seconds = []
    for name, answer in questions.items():
        taken = []
        for _ in range(1 if name == "cut" else 5):
            start = time.perf_counter()
            answer()
            taken.append(time.perf_counter() - start)
        seconds.append(float(np.median(taken)))
    return f"| {platform} | " + " | ".join(f"{value:.3g}" for value in seconds) + " |"


def checks() -> str:
    """What is measured besides the profiles of the tables, as Markdown."""
    fronts = [measured_fronts(platform) for platform in PLATFORMS]
    agreements = [agreement(platform) for platform in PLATFORMS]
    steps = [on_steps(platform) for platform in PLATFORMS]
    return f"""
## `{MAIN}`: best networks of the full space and of the joint 4^13 at equal quality, measured in turn

| platform | networks | predicted inflation | measured | largest difference of a pair | noise of a run |
|---|---|---|---|---|---|
{chr(10).join(fronts)}

## `{MAIN}`: two profiling runs, the lossless cut of each

| platform | architectures left | candidates decided otherwise |
|---|---|---|
{chr(10).join(agreements)}

## `{MAIN}`: candidates on the steps that the grid misses (`--regrid`)

Inflation against the fronts of the enlarged space; both cuts from the same measurements.

| platform | cut | candidates added | left of the grid | left with steps | inflation of the grid | with steps | faster |
|---|---|---|---|---|---|---|---|
{chr(10).join(steps)}
"""


def plot(rows: Sequence[Row], path: Path) -> None:
    """Mean inflation over the latency of the main space's reductions."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(PLATFORMS), figsize=(14, 4), sharey=True, layout="constrained")
    for axis, platform in zip(axes, PLATFORMS, strict=True):
        for row in rows:
            if (row.space, row.platform) == (MAIN, platform):
                axis.plot(row.inflation.latency_ms, 100 * np.maximum(row.inflation.mean_curve, 1e-5), label=row.how)
        axis.set_title(platform, fontsize=10)
        axis.set_xlabel("latency of the full space's best network, ms")
        axis.set_yscale("log")
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("slower at equal quality, %")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="measure everything anew")
    parser.add_argument("--tables-only", action="store_true", help="leave out what is measured besides the profiles")
    parser.add_argument("--spaces", nargs="+", default=list(FUNCTION_COUNTS), choices=FUNCTION_COUNTS)
    chosen = parser.parse_args()
    if chosen.fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, platform in itertools.product(chosen.spaces, PLATFORMS):
        profiled(spacecut.load_space(name), platform, "")
    measured = "" if chosen.tables_only else checks()
    seconds = [timings(platform) for platform in PLATFORMS]
    print("all is measured; the rest is computed", flush=True)
    rows = [row for name in chosen.spaces for platform in PLATFORMS for row in table(name, platform)]
    today = datetime.now(UTC).date().isoformat()
    RESULTS.mkdir(exist_ok=True)
    plot(rows, RESULTS / f"reduction-{today}.png")
    records = [platform_record(get_platform(platform)) for platform in PLATFORMS]
    text = f"""# Cutting, {today}

{records[0].machine}; {", ".join(f"{record.name} {record.version}" for record in records)}; f32, one thread, batch 1.
Repeat with `make bench-reduction`. Front inflation: how much slower the best network is at equal quality than the full
space's, over random monotone quality functions that no selection was made on, between 10 % and 90 % of the range of
latencies; exact, by the latency model. Certified: the largest slow-down of any architecture by rounding up.

| space | platform | how | architectures | mean inflation | worst | functions | certified |
|---|---|---|---|---|---|---|---|
{chr(10).join(row.line() for row in rows)}

![inflation](reduction-{today}.png)

## `{MAIN}`: seconds of each answer on one core, median of five (the joint cut: once)

Count, best and samples are under a latency bound.

| platform | count | 1,000 best | 10,000 samples | certificate | with its band | joint cut |
|---|---|---|---|---|---|---|
{chr(10).join(seconds)}
{measured}"""
    (RESULTS / f"reduction-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
