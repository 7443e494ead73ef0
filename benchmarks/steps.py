"""Adaptive step search against the exhaustive sweep: on curves whose edges are known, and on live platforms.

    make bench-steps

Writes ``benchmarks/results/steps-DATE.md`` and ``steps-DATE.png``. Nothing else should run meanwhile; it takes about
five minutes. The peer fits one regular step width, as Blackthorn is described to (Lechner & Jantsch, IEEE Access 9,
2021): two edges are found by bisection, and all others are taken to lie at the same distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from spacecut.latency.steps import Probe, Staircase, find_steps
from spacecut.measure import Protocol, Worker
from spacecut.measure.disturbance import AGREEING
from spacecut.measure.run import QUIET
from spacecut.operators import Network, Operator
from spacecut.platforms import get_platform

RESULTS = Path(__file__).parent / "results"
PLATFORMS = ("onnxruntime", "openvino", "litert")
AXIS = 1024
LIVE_AXIS = 256
SEEDS = 20
SWEEPS = 7
_EDGE, _DEVIATIONS = 0.25, 5.0  # of a typical jump, and of the noise: an edge is no less than either
_AGREED = 2
_MOST_TRIES = 8


@dataclass(frozen=True)
class Outcome:
    """How a search did against the true edges."""

    probes: int
    true: int
    missed: int
    invented: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found."""
        hit = self.true - self.missed
        return 2 * hit / (2 * hit + self.missed + self.invented) if self.true or self.invented else 1.0


def outcome(found: Sequence[int], probes: int, true: Sequence[int]) -> Outcome:
    """Compare edges exactly: one width off is both missed and invented."""
    return Outcome(probes, len(true), len(set(true) - set(found)), len(set(found) - set(true)))


def regular(step: int) -> np.ndarray:
    """Cost over the widths 1..AXIS of a staircase with one step width."""
    return 20.0 + np.ceil(np.arange(1, AXIS + 1) / step) * 300 * step / AXIS


def irregular() -> np.ndarray:
    """Stairs of 16, 15, 1, 32, 24 and so on in turn, with a fall after every third."""
    lengths = (16, 15, 1, 32, 24, 8, 48, 16)
    heights = (9.0, 17.0, -6.0, 12.0, 10.0, 7.0, 20.0, 9.0)
    cost, level, turn = [], 60.0, 0
    while len(cost) < AXIS:
        cost += [level] * lengths[turn % len(lengths)]
        level += heights[turn % len(heights)]
        turn += 1
    return np.asarray(cost[:AXIS])


def kpu_like() -> np.ndarray:
    """A smooth, slightly bent curve, as finding 1 has it for the KPU: no edges."""
    width = np.arange(1, AXIS + 1)
    return 20.0 + 0.25 * width + 4e-5 * width**2


def true_edges(curve: np.ndarray) -> list[int]:
    """Edges of a curve without noise: where it jumps by more than its slope."""
    jumps = np.abs(np.diff(curve))
    return [int(position) + 2 for position in np.flatnonzero(jumps > 1.0)]


def one_step_width(probe: Probe, last: int) -> tuple[list[int], int]:
    """The peer: edges at one regular distance, and how many widths were probed."""
    seen: dict[int, float] = {}

    def cost(width: int) -> float:
        if width not in seen:
            seen[width] = probe(width)
        return seen[width]

    def next_edge(start: int) -> int | None:
        inside, outside = start, start + 1
        while outside <= last and abs(cost(outside) / cost(start) - 1) < 0.03:
            inside, outside = outside, start + 2 * (outside - start)
        if outside > last:
            return None
        while outside - inside > 1:
            middle = (inside + outside) // 2
            if abs(cost(middle) / cost(start) - 1) < 0.03:
                inside = middle
            else:
                outside = middle
        return outside

    first = next_edge(1)
    second = next_edge(first) if first is not None else None
    if first is None or second is None:
        return ([] if first is None else [first]), len(seen)
    return list(range(first, last + 1, second - first)), len(seen)


def simulated() -> list[str]:
    """Rows for the curves whose edges are known."""
    curves = {f"{step} wide": regular(step) for step in (8, 16, 32, 64)}
    curves |= {"irregular, with dips": irregular(), "smooth (KPU-like)": kpu_like()}
    rows = []
    for name, curve in curves.items():
        true = true_edges(curve)
        for noise in (0.0, 0.003, 0.01):
            found, peer, measured = [], [], []
            for seed in range(SEEDS if noise else 1):
                generator = np.random.default_rng(seed)

                def probe(width: int, curve: np.ndarray = curve, noise: float = noise, generator=generator) -> float:
                    return float(curve[width - 1] * (1 + noise * generator.standard_normal()))

                staircase = find_steps(probe, 1, AXIS, noise)
                found.append(outcome(staircase.edges, staircase.probes, true))
                measured.append(staircase.measurements)
                peer.append(outcome(*one_step_width(probe, AXIS), true))
            rows.append(_row(f"{name} | {noise:.1%}", AXIS, found, np.mean(measured), peer))
    return rows


def _row(name: str, axis: int, found: list[Outcome], measurements: float, peer: list[Outcome]) -> str:
    def mean(values: Callable[[Outcome], float], outcomes: list[Outcome]) -> float:
        return float(np.mean([values(one) for one in outcomes]))

    probes = mean(lambda one: one.probes, found)
    return (
        f"| {name} | {found[0].true} | {probes:.0f} ({probes / axis:.1%}) | {measurements:.0f} | "
        f"{mean(lambda one: one.missed, found):.1f} | {mean(lambda one: one.invented, found):.1f} | "
        f"{mean(lambda one: one.f1, found):.3f} | {mean(lambda one: one.probes, peer):.0f} | "
        f"{mean(lambda one: one.f1, peer):.3f} |"
    )


@contextmanager
def live_axis(platform: str) -> Iterator[Probe]:
    """Milliseconds of a 3x3 convolution (64 channels in, 28x28) by its output channels, in a worker of its own.

    A probe is the least of so many runs that two agree: disturbances only ever add.
    """
    with Worker.of(get_platform(platform)) as worker:

        def probe(width: int) -> float:
            network = Network.single(Operator("conv2d", 64, 28, 28, width, kernel=3, activation="relu"))
            found: list[float] = []
            while len(found) < _MOST_TRIES and sum(value <= AGREEING * min(found) for value in found) < _AGREED:
                samples = worker.measure(network, False, Protocol())
                found.append(float(np.quantile(samples.total_ms, QUIET)))
            return min(found)

        probe(1)  # what a worker runs first warms it up
        yield probe


def swept(platform: str) -> np.ndarray:
    """Exhaustive sweeps in shuffled order, ``[sweeps, widths]``.

    Each loads every program anew: one that happens to lie badly in memory is slow for as long as it stays loaded.
    """
    generator = np.random.default_rng(0)
    cost = np.empty((SWEEPS, LIVE_AXIS))
    for row in cost:
        with live_axis(platform) as probe:
            for width in generator.permutation(LIVE_AXIS):
                row[width] = probe(int(width) + 1)
    return cost


def swept_edges(cost: np.ndarray) -> list[int]:
    """Edges of sweeps ``[sweeps, widths]``: where the middle one of their jumps is no noise, nor less than others.

    What is noise is told by most widths, which have no edge: five deviations of it, relative to the cost. And a jump is
    less than others at a quarter of the typical one of those that are no noise.
    """
    jumps = np.abs(np.median(np.diff(cost), axis=0))
    level = np.median(cost, axis=0)[1:]
    noise = _DEVIATIONS * 1.4826 * float(np.median(jumps / level)) * level
    typical = np.median(jumps[jumps > noise]) if (jumps > noise).any() else 0.0
    return [int(position) + 2 for position in np.flatnonzero((jumps > noise) & (jumps >= _EDGE * typical))]


def live() -> tuple[list[str], dict[str, tuple[np.ndarray, list[int], Staircase]]]:
    """Rows and curves for the live platforms."""
    rows, curves = [], {}
    for platform in PLATFORMS:
        cost = swept(platform)
        with live_axis(platform) as probe:
            staircase = find_steps(probe, 1, LIVE_AXIS)
            peer = one_step_width(probe, LIVE_AXIS)
        true = swept_edges(cost)
        curves[platform] = np.median(cost, axis=0), true, staircase
        found = outcome(staircase.edges, staircase.probes, true)
        rows.append(_row(platform, LIVE_AXIS, [found], staircase.measurements, [outcome(*peer, true)]))
        print(f"{platform}: swept {true}; found {list(staircase.edges)}", flush=True)
    return rows, curves


def plot(curves: dict[str, tuple[np.ndarray, list[int], Staircase]], path: Path) -> None:
    """Each live sweep with the edges that the search found."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(13, 3.6), sharey=True, layout="constrained")
    for axis, (platform, (cost, _, staircase)) in zip(axes, curves.items(), strict=True):
        axis.plot(np.arange(1, len(cost) + 1), 1e3 * cost, ".", color="#495057", markersize=3, label="swept")
        for number, edge in enumerate(staircase.edges):
            axis.axvline(edge - 0.5, color="#d9480f", linewidth=0.8, alpha=0.7, label=None if number else "edge found")
        axis.set_title(f"{platform}: {staircase.probes} of {len(cost)} widths probed", fontsize=10)
        axis.set_xlabel("output channels")
    axes[0].set_ylabel("latency, µs")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False, fontsize=9, loc="upper left")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Search, sweep and write the results."""
    from spacecut.measure import platform_record

    today = datetime.now(UTC).date().isoformat()
    RESULTS.mkdir(exist_ok=True)
    known = simulated()
    measured, curves = live()
    plot(curves, RESULTS / f"steps-{today}.png")
    records = [platform_record(get_platform(platform)) for platform in PLATFORMS]
    versions = ", ".join(f"{record.name} {record.version}" for record in records)
    head = (
        "edges | widths probed | measurements | missed | invented | F1 | peer: probed | peer: F1 |\n|"
        + "---|" * 9
        + "---|"
    )
    text = f"""# Adaptive step search, {today}

Repeat with `make bench-steps`. An edge counts as found only at its exact width. The peer fits one regular step width,
as Blackthorn is described to.

## Simulated curves over widths 1 to {AXIS}, mean of {SEEDS} seeds

Noise is the standard deviation of one measurement. The exhaustive sweep probes all {AXIS} widths.

| curve | noise | {head}
{chr(10).join(known)}

## Live: 3x3 convolution, 64 channels in, 28x28, widths 1 to {LIVE_AXIS}

{records[0].machine}; {versions}; f32, one thread, batch 1. True edges
are jumps of a quarter of the typical one, or more, and of five deviations of the noise, in the middle of {SWEEPS}
exhaustive sweeps, shuffled and each with programs loaded anew. A probe is the least of so many runs that two agree
within 3 %.

| platform | {head.removesuffix("---|")}
{chr(10).join(measured)}

![sweeps and edges](steps-{today}.png)
"""
    path = RESULTS / f"steps-{today}.md"
    path.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
