"""MetaPruning in a full and in a reduced space: accuracy, candidates and measured latency of what each finds.

    make bench-metapruning

Three searches, three latency bounds and three seeds on Fashion-MNIST (Debian's package ``dataset-fashion-mnist``), with
the small MetaPruning of ``examples/metapruning``: the full space under a bound of FLOPs, as published; the full space
under the bound of latency; and the space that is left of it by a joint cut, with half the candidates. Winners are
trained from scratch, and they and other candidates are measured. Takes about three quarters of an hour; what is done is
kept under ``.spacecut/metapruning``, and a run that was stopped goes on from there. Nothing else should run while the
space is measured (``--profile-only``) and after the searches (``--search-only`` ends there). Writes
``benchmarks/results/metapruning-DATE.md``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

import spacecut
from spacecut.latency.evidence import whole_latencies
from spacecut.latency.profile import read_profile
from spacecut.measure import interleave, platform_record
from spacecut.operators import expand
from spacecut.platforms import get_platform
from spacecut.space.ranges import shown_size

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "metapruning"))

from evolution import Draws, Ids, Judged, evolve
from run import EPOCHS, PRUNING_NET_EPOCHS, SPACE, TRAINED_ON, reduced, within_latency

RESULTS = Path(__file__).parent / "results"
FOLDER = Path(".spacecut/metapruning")
PLATFORM = "onnxruntime"
MEASURED_ON = ("onnxruntime", "openvino", "litert")
BOUNDS = (0.25, 0.4, 0.55)
"""Shares of the way from the fastest architecture's latency to the slowest's."""
SEEDS = (0, 1, 2)
BUDGET = 120
HOWS = {
    "full, FLOPs": ("full", BUDGET),
    "full, latency": ("full", BUDGET),
    "reduced, latency": ("reduced", BUDGET // 2),
}
"""How is searched: in which space, and how many candidates are judged."""
ALIKE = 0.03
"""How near to a bound the latency of those architectures is whose median FLOPs stand for it."""
DRAWN, CANDIDATES, PASSES = 20_000, 10, 6
SECONDS = 300.0
"""Of measurement."""


@dataclass(frozen=True)
class Search:
    """What one search found.

    Attributes:
        how: One of ``HOWS``.
        bound: Number of the bound.
        seed: Of everything.
        history: Architectures as they were judged.
        seconds: Of the search.
        training: Seconds of the PruningNet's training, which all searches of a space and seed share.
        accuracy: Of the winner, trained from scratch, on the test set.
    """

    how: str
    bound: int
    seed: int
    history: tuple[Judged, ...]
    seconds: float
    training: float
    accuracy: float

    @property
    def winner(self) -> Ids:
        """The architecture that was judged best."""
        return max(self.history, key=lambda one: one.accuracy).ids


@dataclass(frozen=True)
class Problem:
    """The space, what it costs, and the bounds."""

    space: spacecut.SearchSpace
    model: spacecut.LatencyModel
    allowed: dict[str, list[np.ndarray]]
    bounds: tuple[float, ...]
    macs: tuple[float, ...]

    def within(self, how: str, bound: int) -> Callable[[Ids], bool]:
        """Whether an architecture keeps a bound."""
        if how != "full, FLOPs":
            return within_latency(self.model, self.bounds[bound])
        return lambda ids: bool(self.model.count_macs(np.asarray([ids]))[0] <= self.macs[bound])


def profiled(space: spacecut.SearchSpace, platform: str) -> spacecut.Profile:
    """The small space on a platform; so small networks need a longer look than others."""
    return spacecut.profile(space, platform, store=str(FOLDER / f"{platform}.sqlite"), budget=spacecut.Budget(SECONDS))


@cache
def problem() -> Problem:
    """All that the searches share."""
    space = spacecut.load_space(SPACE)
    profile = profiled(space, PLATFORM)
    model = profile.latency_model(space)
    fastest, slowest = model.fastest()[0], model.slowest()[0]
    bounds = tuple(fastest + share * (slowest - fastest) for share in BOUNDS)
    drawn = np.random.default_rng(0).integers(0, space.lengths, (DRAWN, len(space.lengths)))
    latency, macs = model.predict(drawn), model.count_macs(drawn)
    near = tuple(float(np.median(macs[np.abs(latency / bound - 1) <= ALIKE])) for bound in bounds)
    allowed = {"full": [np.arange(length) for length in space.lengths], "reduced": reduced(space, profile)}
    return Problem(space, model, allowed, bounds, near)


def searched(which: str, seed: int) -> list[Search]:
    """Every search of one space with one PruningNet."""
    path = FOLDER / f"{which}-{seed}.json"
    if path.exists():
        return [
            Search(**{**one, "history": tuple(Judged(tuple(j["ids"]), j["accuracy"]) for j in one["history"])})
            for one in json.loads(path.read_text())
        ]
    import torch
    from pruning_net import plain
    from training import fashion_mnist, judge, retrained, trained_pruning_net

    torch.set_num_threads(1)
    asked = problem()
    workload = expand(asked.space)
    images, test = fashion_mnist("train"), fashion_mnist("t10k")
    trained, held = images.part(0, TRAINED_ON), images.part(TRAINED_ON, len(images.classes))
    generator = np.random.default_rng(seed)
    start = time.perf_counter()
    net = trained_pruning_net(
        workload, Draws(asked.allowed[which], generator).sample, trained, PRUNING_NET_EPOCHS, seed
    )
    training = time.perf_counter() - start
    print(f"{which}, seed {seed}: PruningNet trained in {training:.0f} s", flush=True)
    found = []
    for how in (how for how, (space, _) in HOWS.items() if space == which):
        for bound in range(len(BOUNDS)):
            draws = Draws(asked.allowed[which], np.random.default_rng(seed))
            start = time.perf_counter()
            history = evolve(draws, asked.within(how, bound), lambda ids: judge(net, ids, held), HOWS[how][1])
            seconds = time.perf_counter() - start
            best = max(history, key=lambda one: one.accuracy).ids
            accuracy = retrained(plain(workload, best, seed), trained, test, EPOCHS, seed)
            found.append(Search(how, bound, seed, tuple(history), seconds, training, accuracy))
            print(f"{how}, bound {bound}, seed {seed}: {accuracy:.2%} after {seconds:.0f} s", flush=True)
    path.write_text(json.dumps([asdict(one) for one in found]))
    return found


def measured(asked: Problem, platform: str, networks: Sequence[Ids], what: str) -> np.ndarray:
    """Median ms of architectures, measured in turn."""
    workload = expand(asked.space)
    keys = [workload.network(np.asarray(ids)).key for ids in networks]
    path = FOLDER / f"{what}-{platform}.gz"
    if not path.exists():
        target = get_platform(platform)
        runs = interleave(target, list(dict.fromkeys(keys)), PASSES, 0)
        spacecut.Profile(platform_record(target), asked.space.name, runs).save(path)
    taken = whole_latencies(read_profile(path).runs)
    return np.asarray([float(np.median(taken[key])) for key in keys])


def spread(values: Sequence[float], unit: str = "%") -> str:
    """Mean and range."""
    scale = 100.0 if unit == "%" else 1.0
    return f"{scale * np.mean(values):.2f} ({scale * min(values):.2f} to {scale * max(values):.2f})"


def rows(asked: Problem, searches: Sequence[Search]) -> tuple[list[str], list[str]]:
    """The table of accuracies and bounds, and that of the winners' latencies."""
    winners = [one.winner for one in searches]
    samples = [
        one.history[place].ids
        for one in searches
        for place in np.random.default_rng(one.seed).permutation(len(one.history))[:CANDIDATES]
    ]
    by_platform = {platform: measured(asked, platform, winners, "winners") for platform in MEASURED_ON}
    sampled = measured(asked, PLATFORM, samples, "candidates").reshape(len(searches), CANDIDATES)
    accuracies, latencies = [], []
    for bound, max_ms in enumerate(asked.bounds):
        for how, (_, budget) in HOWS.items():
            places = [n for n, one in enumerate(searches) if (one.how, one.bound) == (how, bound)]
            group = [searches[n] for n in places]
            over = by_platform[PLATFORM][places] > max_ms
            accuracies.append(
                f"| {max_ms:.3f} | {how} | {budget} | {spread([one.accuracy for one in group])} | "
                f"{np.mean(sampled[places] > max_ms):.0%} | {over.sum()} of {len(group)} | "
                f"{np.mean([one.seconds for one in group]):.0f} | {np.mean([one.training for one in group]):.0f} |"
            )
            cells = " | ".join(spread(by_platform[platform][places].tolist(), "ms") for platform in MEASURED_ON)
            latencies.append(f"| {max_ms:.3f} | {how} | {cells} |")
    return accuracies, latencies


def main() -> None:
    """Search what is missing, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--search-only", action="store_true", help="measure no winners yet")
    parser.add_argument("--profile-only", action="store_true", help="measure the space, and search nothing yet")
    chosen = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    asked = problem()
    if chosen.profile_only:
        return
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        jobs = [(which, seed) for seed in SEEDS for which in asked.allowed]
        searches = [one for found in pool.map(searched, *zip(*jobs, strict=True)) for one in found]
    if chosen.search_only:
        return
    accuracies, latencies = rows(asked, searches)
    left = shown_size(int(np.prod([len(ids) for ids in asked.allowed["reduced"]])))
    record = platform_record(get_platform(PLATFORM))
    today = datetime.now(UTC).date().isoformat()
    text = f"""# MetaPruning, {today}

{record.machine}; {record.name} {record.version}; f32, one thread, batch 1. Repeat with `make bench-metapruning`.
`examples/metapruning` on Fashion-MNIST: {shown_size(asked.space.size)} architectures, of which the joint cut leaves
{left}; {len(SEEDS)} seeds; PruningNets are trained on {TRAINED_ON:,} images for {PRUNING_NET_EPOCHS} epochs, winners on
the same for {EPOCHS}. A bound of FLOPs is the median of architectures that take as long as the bound of latency.
Candidates and winners over the bound are those *measured* to be so: all winners, {CANDIDATES} candidates of each
search. Mean and range over the seeds; two searches ran at a time.

| bound, ms | space and constraint | candidates judged | winner's accuracy, % | candidates over the bound | \
winners over it | seconds of search | of training the PruningNet |
|---|---|---|---|---|---|---|---|
{chr(10).join(accuracies)}

## Latency of the winners, ms

| bound, ms | space and constraint | {" | ".join(MEASURED_ON)} |
|---|---|{"---|" * len(MEASURED_ON)}
{chr(10).join(latencies)}
"""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"metapruning-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
