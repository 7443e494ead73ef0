"""How well latency is predicted: ours and its peers, on held-out networks of five spaces on every live platform.

    make bench-predictor
    make bench-predictor-int8

Writes ``benchmarks/results/predictor-DATE.md`` and ``predictor-DATE.png``. Nothing else should run meanwhile; it takes
two and a half hours. What is measured is kept under ``.spacecut/predictor``: a run that was stopped goes on from there,
and ``--fresh`` measures everything anew. ``--platforms`` and ``--spaces`` choose some pairs only, for a table of their
own.

For each pair of space and platform: our profile in at most two minutes of measurement; held-out networks across the
whole latency range, all distinct, and none that a profile may draw; and operators alone, for the peers: all those of
the held-out networks (the look-up) and random ones of the space (nn-Meter's forests), as many as ours measured and ten
times as many.

A shared machine is some per cent faster in one minute than in another, and one process than another. So the held-out
networks take turns with the profile's own, pass by pass, in two workers of their own. What one of them measured as a
prediction of the other is the floor, and the geometric mean of both is what they took meanwhile. Both are told once
more with the drift taken out of each process's runs, as it is out of the profile's.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from peers import by_flops, by_forests, by_look_up, measured_alone
from scipy.stats import spearmanr

import spacecut
from spacecut.latency.evidence import whole_latencies
from spacecut.latency.profile import read_profile
from spacecut.measure import Budget, Run, interleave, interleaved, platform_record, sampled_networks, steadied
from spacecut.operators import Network, expand
from spacecut.platforms import Platform, get_platform

RESULTS = Path(__file__).parent / "results"
FOLDER = Path(".spacecut/predictor")
FORESTS = Path(".venv/nn-meter/bin/python")
SPACES = (
    "metapruning/mobilenet_v1",
    "metapruning/mobilenet_v2",
    "metapruning/resnet50",
    "ofa/mobilenet_v3",
    "nasbench201/cell",
)
PLATFORMS = ("onnxruntime", "openvino", "litert", "litert-builtin", "tflite-runtime", "ncnn", "torch")
"""Those that run networks on a CPU here; in int8 the ones that offer it."""
HELD_OUT = 40
PASSES = 4
"""Of the held-out networks in each of two workers."""
MOST_ALONE = 2000
"""No more operators are measured alone for nn-Meter's forests, even where ten times as many as ours would be more."""


@dataclass(frozen=True)
class Row:
    """How one predictor did on one pair."""

    space: str
    platform: str
    predictor: str
    taken_at: str
    """When the first held-out network of the pair was run, in UTC."""
    measurements: int
    seconds: float
    errors: np.ndarray
    rank: float
    per_prediction: float = 0.0
    inside: float | None = None
    """Share of the networks' runs that are inside the predictor's 90 % interval, if it has one."""

    def line(self) -> str:
        """The row as Markdown."""
        near = [f"{np.mean(np.abs(self.errors) <= share):.1%}" for share in (0.05, 0.10)]
        inside = "-" if self.inside is None else f"{self.inside:.1%}"
        speed = f"{1e6 * self.per_prediction:.3g}" if self.per_prediction else "-"
        return (
            f"| {self.space} | {self.platform} | {self.predictor} | {' | '.join(near)} | "
            f"{np.mean(np.abs(self.errors)):.1%} | {inside} | {self.rank:.3f} | {self.measurements} | "
            f"{self.seconds:.0f} | {speed} | {self.taken_at} |"
        )


def held_out(space: spacecut.SearchSpace, count: int, seed: int) -> np.ndarray:
    """Architectures across the whole range, ``[count, choices]``: each leans to small or large candidates as a whole.

    Uniform samples of a large space all lie around the mean. Here candidates are drawn from a beta distribution whose
    mean is itself drawn uniformly, architecture by architecture. Candidates without an order by size are drawn
    uniformly.
    """
    generator = np.random.default_rng(seed)
    lean = generator.random((count, 1))
    place = generator.beta(0.3 + 3 * lean, 0.3 + 3 * (1 - lean), (count, len(space.lengths)))
    unordered = [choice.order != "larger" for choice in space.choices]
    place[:, unordered] = generator.random((count, sum(unordered)))
    numbers = (place * np.asarray(space.lengths)).astype(np.int64)
    return np.minimum(numbers, np.asarray(space.lengths) - 1)


def measured_in_turn(name: str, platform: str) -> tuple[spacecut.Profile, list[Run]]:
    """The profile of a space within two minutes of measurement, and runs of the held-out networks meanwhile."""
    file, theirs = (at(name, platform, ending) for ending in ("-profile.gz", "-held-out.gz"))
    if theirs.exists():
        return read_profile(file), list(read_profile(theirs).runs)
    target = get_platform(platform)
    keys = [network.key for network in held_out_networks(name)[1]]
    runs: list[Run] = []
    following = in_two_workers(target, keys)
    budget = Budget()
    once, planned = 2 * len(keys), 2 * PASSES * len(keys)
    first_pass = 0.0, 0  # the profile's seconds, and runs of held-out networks

    def beside(done: float, expected: float) -> None:
        """A pass while the profile has its first, which takes most of its seconds, and the others in its others."""
        nonlocal first_pass
        if expected == budget.seconds:  # it cannot know yet what further passes will take
            due = min(len(runs) + 2, once)
            first_pass = done, due
        else:
            seconds, made = first_pass
            due = planned - int((planned - made) * (expected - done) / (expected - seconds))
        runs.extend(itertools.islice(following, max(due - len(runs), 0)))

    with tempfile.TemporaryDirectory(prefix="spacecut-") as folder:  # what a stopped run began does not take turns
        store = str(Path(folder) / "store.sqlite")
        space = spacecut.load_space(name)
        profile = spacecut.profile(space, platform, store=store, budget=budget, progress=beside)
    runs.extend(following)
    profile.save(file)
    spacecut.Profile(platform_record(target), theirs.stem, runs).save(theirs)
    return profile, runs


def in_two_workers(target: Platform, keys: list[str]) -> Iterator[Run]:
    """Runs of networks in two workers in turn: the passes of the first are even ones, those of the second odd ones."""
    for both in itertools.zip_longest(*(interleaved(target, keys, PASSES, seed) for seed in range(2))):
        for half, run in enumerate(both):
            if run is not None:
                yield replace(run, task=replace(run.task, repeat=2 * run.task.repeat + half))


def kept(path: Path, platform: str, networks: Iterable[str], passes: int, seed: int) -> list[Run]:
    """Runs of networks; only those that the file lacks are made."""
    runs = list(read_profile(path).runs) if path.exists() else []
    missing = dict.fromkeys(networks).keys() - {run.task.network for run in runs}
    if missing:
        target = get_platform(platform)
        runs += interleave(target, sorted(missing), passes, seed)
        spacecut.Profile(platform_record(target), path.stem, runs).save(path)
    return runs


def at(name: str, platform: str, ending: str) -> Path:
    """Where a pair's measurements are kept."""
    return FOLDER / f"{name.replace('/', '-')}-{platform}{ending}"


@functools.cache
def held_out_networks(name: str) -> tuple[np.ndarray, list[Network]]:
    """Architectures ``[networks, choices]`` across the whole range that no profile may draw, and their networks."""
    numbers, networks = zip(*itertools.islice(never_drawn(spacecut.load_space(name)), HELD_OUT), strict=True)
    return np.stack(numbers), list(networks)


def never_drawn(space: spacecut.SearchSpace) -> Iterator[tuple[np.ndarray, Network]]:
    """Architectures and their networks, all distinct, and none that a profile may draw.

    Of NAS-Bench-201 many architectures come to the same network, and some lead from nowhere to the output, and compute
    nothing.
    """
    workload = expand(space)
    drawn = {network.key for network in sampled_networks(workload)}
    for seed in itertools.count(2026):
        for row in held_out(space, 2 * HELD_OUT, seed):
            network = workload.network(row)
            if network.key not in drawn and any(-1 in node.inputs for node in network.nodes):
                drawn.add(network.key)
                yield row, network


def pair(name: str, platform: str) -> list[Row]:
    """All rows of a space on a platform."""
    profile, runs = measured_in_turn(name, platform)
    model = profile.latency_model(spacecut.load_space(name))
    numbers, networks = held_out_networks(name)
    keys = [network.key for network in networks]
    even, odd = ([run for run in runs if run.task.repeat % 2 == half] for half in (0, 1))
    once, again = latencies_of(keys, even), latencies_of(keys, odd)
    once_steady, again_steady = latencies_of(keys, steadied(even)), latencies_of(keys, steadied(odd))
    truth, steady_truth = np.sqrt(once * again), np.sqrt(once_steady * again_steady)
    predicted, half_seconds = model.predict(numbers), sum(run.seconds for run in even)
    taken_at = f"{min(datetime.fromisoformat(run.taken_at) for run in runs):%Y-%m-%d %H:%M}"

    def row(predictor: str, predicted: np.ndarray, count: int, seconds: float, of: np.ndarray = truth) -> Row:
        rank = float(spearmanr(predicted, of).statistic)
        return Row(name, platform, predictor, taken_at, count, seconds, predicted / of - 1, rank)

    low, high = model.interval(numbers)
    ours = row("spacecut", predicted, len(profile.runs), profile.seconds)
    inside = share_inside(keys, runs, low, high)
    rows = [
        replace(ours, per_prediction=seconds_a_prediction(model), inside=inside),
        row("spacecut, without drift", predicted, ours.measurements, ours.seconds, of=steady_truth),
        row("(measured again)", once, len(once), half_seconds, of=again),
        row("(again, without drift)", once_steady, len(once), half_seconds, of=again_steady),
        row(
            "FLOPs regression",
            by_flops(profile.evidence.totals, networks),
            len(profile.evidence.totals),
            sum(run.seconds for run in profile.runs if run.task.network in profile.evidence.totals),
        ),
    ]
    theirs = list(dict.fromkeys(Network.single(node.operator).key for network in networks for node in network.nodes))
    equal = len({(run.task.network, run.task.nodes) for run in profile.runs})
    single = sorted({Network.single(operator).key for operator in expand(spacecut.load_space(name)).operators})
    order = np.random.default_rng(3).permutation(len(single))[: min(10 * equal, MOST_ALONE)]
    training = [single[number] for number in order]
    alone = kept(at(name, platform, "-alone.gz"), platform, [*training, *theirs], 1, seed=2)
    seconds = {run.task.network: run.seconds for run in alone}
    latency = whole_latencies(alone)

    def of(chosen: Iterable[str]) -> Mapping[str, Sequence[float]]:
        return {key: latency[key] for key in chosen}

    predicted = by_look_up(measured_alone(of(theirs)), networks)
    rows.append(row("look-up of operators alone", predicted, len(theirs), sum(seconds[key] for key in theirs)))
    for factor in (1, 10):
        used = training[: factor * equal]
        predicted = by_forests(measured_alone(of(used)), networks, FORESTS)
        rows.append(row(f"nn-Meter, {factor}x", predicted, len(used), sum(seconds[key] for key in used)))
    return rows


def latencies_of(keys: Sequence[str], runs: Sequence[Run]) -> np.ndarray:
    """Milliseconds of networks by one half of their runs."""
    latencies = whole_latencies(runs)
    return np.asarray([np.median(latencies[key]) for key in keys])


def share_inside(keys: Sequence[str], runs: Sequence[Run], low: np.ndarray, high: np.ndarray) -> float:
    """Share of the runs that took no less ms and no more, the same weight for each network."""
    latencies = whole_latencies(runs)
    each = zip(keys, low, high, strict=True)
    return float(np.mean([np.mean(np.clip(latencies[key], *bounds) == latencies[key]) for key, *bounds in each]))


def seconds_a_prediction(model: spacecut.LatencyModel) -> float:
    """Seconds to predict one of many architectures."""
    numbers = model.space.sample(1_000_000, 0)
    start = time.perf_counter()
    model.predict(numbers)
    return (time.perf_counter() - start) / len(numbers)


def plot(rows: Sequence[Row], platforms: Sequence[str], path: Path) -> None:
    """Errors of every predictor by platform."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    predictors = list(dict.fromkeys(row.predictor for row in rows))
    lines = -(-len(platforms) // 4)
    columns = -(-len(platforms) // lines)
    size = 4.6 * columns, 4 * lines
    figure, axes = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axis in axes.flat[len(platforms) :]:
        axis.remove()
    for axis, platform in zip(axes.flat[: len(platforms)], platforms, strict=True):
        errors = [
            100 * np.concatenate([r.errors for r in rows if (r.platform, r.predictor) == (platform, predictor)])
            for predictor in predictors
        ]
        axis.boxplot(errors, whis=(5, 95), showfliers=False)
        axis.axhspan(-5, 5, color="#d9480f", alpha=0.12)
        axis.axhline(0, color="#868e96", linewidth=0.8)
        axis.set_xticks(axis.get_xticks(), predictors, rotation=30, ha="right", rotation_mode="anchor")
        axis.set_title(platform, fontsize=10)
        axis.set_ylim(-60, 100)
    for axis in axes[:, 0]:
        axis.set_ylabel("error of the prediction, %")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="measure everything chosen anew")
    parser.add_argument("--int8", action="store_true", help="in int8, on platforms that offer it")
    parser.add_argument("--spaces", nargs="+", default=SPACES, help="some of the five")
    parser.add_argument("--platforms", nargs="+", choices=PLATFORMS, default=PLATFORMS, help="some of the seven")
    chosen = parser.parse_args()
    if not FORESTS.exists():
        raise SystemExit("nn-Meter has no environment; make it with `make .venv/nn-meter/done`")
    FOLDER.mkdir(parents=True, exist_ok=True)
    offered = {name: status.precisions for name, status in spacecut.platform_statuses().items()}
    platforms = list(chosen.platforms)
    if chosen.int8:
        platforms = [f"{platform}:int8" for platform in platforms if "int8" in offered[platform]]
    pairs = list(itertools.product(chosen.spaces, platforms))
    if chosen.fresh:
        for (name, platform), ending in itertools.product(pairs, ("-profile.gz", "-held-out.gz", "-alone.gz")):
            at(name, platform, ending).unlink(missing_ok=True)
    rows: list[Row] = []
    for name, platform in pairs:
        found = pair(name, platform)
        rows += found
        print("\n".join(row.line() for row in found), flush=True)
    part = {"--platforms": (chosen.platforms, PLATFORMS), "--spaces": (chosen.spaces, SPACES)}
    some = {option: named for option, (named, every) in part.items() if tuple(named) != every}
    write(rows, platforms, "int8" if chosen.int8 else "f32", some)


def write(rows: Sequence[Row], platforms: Sequence[str], precision: str, some: Mapping[str, Sequence[str]]) -> None:
    """The dated table and plot, named after those that were chosen by an option where only some were."""
    today = datetime.now(UTC).date().isoformat()
    name = "predictor" if precision == "f32" else f"predictor-{precision}"
    stem = "-".join([name, *(one.split("/")[-1] for named in some.values() for one in named), today])
    command = f"make bench-{name}"
    if some:
        options = [*(["--int8"] if precision == "int8" else []), *(" ".join([key, *some[key]]) for key in some)]
        command = " ".join([".venv/bin/python benchmarks/predictor.py", *options])
    RESULTS.mkdir(exist_ok=True)
    plot(rows, platforms, RESULTS / f"{stem}.png")
    records = [platform_record(get_platform(platform)) for platform in platforms]
    versions = ", ".join(f"{record.name} {record.version}" for record in records)
    text = f"""# Prediction of latency, {precision}, {today}

{records[0].machine}; {versions}; {precision}, one thread, batch 1.
Repeat with `{command}`. {HELD_OUT} held-out networks a pair, across the whole latency range, all distinct, and
none that a profile may draw; their runs, in two processes with {PASSES} passes each, take turns with the profile's own,
as the machine drifts, and the geometric mean of both is what is to be predicted.
"Measured again" is the floor: one process as a prediction of the other. "Without drift" is the same of what the
networks took once the machine's drift was taken out of each process's runs, by those runs alone. "Inside" is the share
of the single runs inside the interval that ours says holds 90 % of them, and "µs each" what one of a million
predictions takes.
nn-Meter's forests are its own code (nn-meter 2.0), trained on operators of the space measured alone: as many as our
distinct measurements, and ten times as many (at most {MOST_ALONE}). Each pair is measured in one go, from the time
given (UTC).

| space | platform | model | ±5 % | ±10 % | mean error | inside | Spearman | measurements | seconds | µs each | from |
|---|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(row.line() for row in rows)}

![errors]({stem}.png)
"""
    (RESULTS / f"{stem}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
