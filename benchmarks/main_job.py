"""The main job, measured: staircases, cuts and verifications on every live platform, from fresh measurements.

    make bench-main-job

Writes ``benchmarks/results/main-job-DATE.md`` and ``staircase-DATE.png``. Nothing else should run meanwhile; it takes
about twelve minutes.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import spacecut
from spacecut.space.ranges import shown_candidates, shown_size

RESULTS = Path(__file__).parent / "results"
PLATFORMS = ("onnxruntime", "openvino", "litert")
STUDY = "behaviour_study/conv3x3_out_channels"
SPACE = "metapruning/mobilenet_v1"
REPEATS = 3
SAMPLES = 20


def profiled(space: spacecut.SearchSpace, platform: str, folder: str, name: str) -> spacecut.Profile:
    """A profile from fresh measurements, in a store of its own."""
    return spacecut.profile(space, platform, store=f"{folder}/{platform}-{name}.sqlite")


def staircases(folder: str) -> tuple[list[str], dict[str, spacecut.Reduction]]:
    """The one-slot study, cut from three independent measurements on each platform."""
    space = spacecut.load_space(STUDY)
    rows, last = [], {}
    for platform in PLATFORMS:
        reductions = [
            spacecut.cut(space, profiled(space, platform, folder, f"study{repeat}")) for repeat in range(REPEATS)
        ]
        kept = [shown_candidates(reduction.space.choices[0].candidates) for reduction in reductions]
        seconds = np.mean([reduction.profile.seconds for reduction in reductions])
        rows.append(f"| {platform} | {'; '.join(kept)} | {'yes' if len(set(kept)) == 1 else 'NO'} | {seconds:.0f} |")
        last[platform] = reductions[-1]
    return rows, last


def cuts(folder: str) -> list[str]:
    """The large space, cut and verified on each platform."""
    space = spacecut.load_space(SPACE)
    rows = []
    for platform in PLATFORMS:
        profile = profiled(space, platform, folder, "space")
        start = time.perf_counter()
        reduction = spacecut.cut(space, profile)
        seconds = time.perf_counter() - start
        found = spacecut.verify(space, profile, reduction.certificate, samples=SAMPLES)
        slowdowns = [pair.slowdown for pair in found.pairs]
        rows.append(
            f"| {platform} | {shown_size(space.size)} → {shown_size(reduction.space.size)} | {profile.seconds:.0f} | "
            f"{seconds:.1f} | {found.within(0.05):.0%} | {found.within(0.10):.0%} | {found.rank_correlation:.3f} | "
            f"{found.drift:+.1%} | {reduction.certificate.slowdown:.1%} | {np.median(slowdowns):+.1%} "
            f"({min(slowdowns):+.1%} to {max(slowdowns):+.1%}) | {len(found.violations)} |"
        )
    return rows


def plot(reductions: dict[str, spacecut.Reduction], path: Path) -> None:
    """Latency over the output channels, with the widths kept."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(reductions), figsize=(12, 3.4), sharey=True, layout="constrained")
    for axis, (platform, reduction) in zip(axes, reductions.items(), strict=True):
        widths = np.asarray([decision.candidate for decision in reduction.decisions])
        cost = 1e3 * np.asarray([decision.latency_ms for decision in reduction.decisions])
        kept = np.asarray([decision.verdict == "kept" for decision in reduction.decisions])
        axis.plot(widths, cost, ".", color="#9aa5b1", markersize=4, label="dropped")
        axis.plot(widths[kept], cost[kept], "o", color="#d9480f", markersize=6, label="kept")
        axis.set_title(f"{platform} {reduction.profile.platform.version}", fontsize=10)
        axis.set_xlabel("output channels")
        axis.set_xticks(range(0, 97, 16))
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("latency, µs")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False, loc="upper left", fontsize=9)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure everything and write the results."""
    today = datetime.now(UTC).date().isoformat()
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        study, reductions = staircases(folder)
        plot(reductions, RESULTS / f"staircase-{today}.png")
        space = cuts(folder)
    machine = reductions[PLATFORMS[0]].profile.platform.machine
    versions = ", ".join(f"{name} {reduction.profile.platform.version}" for name, reduction in reductions.items())
    text = f"""# The main job, {today}

{machine}; {versions}; f32, one thread, batch 1. Repeat with `make bench-main-job`.

## `{STUDY}`: widths kept, {REPEATS} independent measurements

| platform | kept | the same every time | seconds of measurement |
|---|---|---|---|
{chr(10).join(study)}

![staircases](staircase-{today}.png)

## `{SPACE}`: cut at the default tolerance, then {SAMPLES} random architectures and what they are rounded up to,
measured end to end

| platform | architectures | measured, s | cut, s | ±5 % | ±10 % | Spearman | drift | certified | measured | broken |
|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(space)}

±5 %, ±10 %: share of the full space's architectures predicted within. Drift: how the profile's own networks changed
until the verification, a part of the errors. Certified: the largest slow-down by rounding up to the reduced space;
measured: its median and range over the pairs (negative: the wider network is faster); broken: pairs whose measured
slow-down is above the certified one by more than the noise.
"""
    path = RESULTS / f"main-job-{today}.md"
    path.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
