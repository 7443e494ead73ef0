"""NNI: predicted against measured models of its hub, and a search with and without the cut.

    make bench-nni

``predicted``: models sampled from each hub space that can be read are exported to ONNX by PyTorch, as NNI builds them,
and those files are measured in several passes, interleaved. ``search``: NNI's RegularizedEvolution on the space of
``examples/nni`` (Fashion-MNIST, Debian's package ``dataset-fashion-mnist``) with the same budget of trials with and
without the cut; only models within the latency bound count. Nothing else should run during the first part.
``--part predicted --space NAME`` or ``--part search`` does part of the work; what is done is kept under
``.spacecut/nni``, and the results are written once all is there. Writes ``benchmarks/results/nni-DATE.md``.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.hub.pytorch import DARTS, ENAS, MobileNetV3Space, NasBench201, ProxylessNAS, ShuffleNetSpace
from nni.nas.strategy import RegularizedEvolution

import spacecut
from spacecut.integrations.nni import ReadSpace, SpaceCut, read_model_space
from spacecut.integrations.nni.cutting import Latency
from spacecut.latency.evidence import whole_latencies
from spacecut.measure import Run, Task, platform_record
from spacecut.measure.protocol import Protocol, time_program
from spacecut.operators import Network
from spacecut.platforms import Platform, get_platform

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "nni"))

RESULTS = Path(__file__).parent / "results"
FOLDER = Path(".spacecut/nni")
HUB: dict[str, tuple[Callable[[], Any], tuple[int, int, int]]] = {
    "MobileNetV3Space": (MobileNetV3Space, (3, 224, 224)),
    "ProxylessNAS": (ProxylessNAS, (3, 224, 224)),
    "ShuffleNetSpace": (ShuffleNetSpace, (3, 224, 224)),
    "NasBench201": (NasBench201, (3, 32, 32)),
    "DARTS": (lambda: DARTS(width=16, num_cells=8, dataset="cifar"), (3, 32, 32)),
    "ENAS": (lambda: ENAS(width=16, num_cells=8, dataset="cifar"), (3, 32, 32)),
}
PLATFORMS = ("onnxruntime", "openvino")
MODELS, PASSES = 20, 5
SECONDS = 60.0
"""Of measurement a profile."""
SEARCHED_ON, SHARES = "onnxruntime", (0.97, 0.25)
"""Bounds of latency: so many of the models are within."""
SAMPLES = 20_000
"""Models that tell a bound."""
TRIALS, SEEDS = 40, (0, 1, 2)
HOWS = ("without the cut", "with the cut")
TRAININGS = 6
TRAINED = {
    "stem": 16, "expansion0": 2, "kernel0": 3, "width0": 18, "depth0": 1, "expansion1": 2, "kernel1": 3, "width1": 36,
    "depth1": 1,
}  # fmt: skip
"""The model that is trained so often, to tell how far apart two trainings are."""


@dataclass(frozen=True)
class Compared:
    """Models of one hub space on one platform.

    Attributes:
        predicted: Milliseconds, ``[models]``.
        measured: Milliseconds in the passes of even and of odd number, ``[2, models]``.
        seconds: What the profile took.
    """

    predicted: np.ndarray
    measured: np.ndarray
    seconds: float

    def line(self, space: str, platform: str) -> str:
        """A row of the table."""
        truth = self.measured.mean(axis=0)
        cells = [
            f"{np.mean(np.abs(errors) <= 0.05):.0%} / {np.mean(np.abs(errors) <= 0.1):.0%}"
            for errors in (self.predicted / truth - 1, self.measured[1] / self.measured[0] - 1)
        ]
        error = np.abs(self.predicted / truth - 1).mean()
        spread = f"{truth.min():.2f} to {truth.max():.2f}"
        return f"| {space} | {platform} | {spread} | {cells[0]} | {error:.1%} | {cells[1]} | {self.seconds:.0f} |"


def exported(base: Platform, files: dict[str, bytes]) -> Platform:
    """A platform that runs the ONNX files of networks instead of building them from their operators."""

    class Exported(type(base)):  # type: ignore[misc]
        def build(self, network: Network) -> Any:
            model = files[network.key]
            if base.name.runtime == "onnxruntime":
                return model
            import openvino

            return openvino.Core().read_model(io.BytesIO(model))

    return Exported(base.name, base.threads, base.batch)


def export(made: Callable[[], Any], shape: tuple[int, int, int], sample: dict[str, Any]) -> bytes:
    """A sampled model as PyTorch writes it."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(made().freeze(sample).eval(), torch.zeros(1, *shape), file, dynamo=False)
    return file.getvalue()


def compared(name: str, platform: str) -> Compared:
    """Sampled models of a hub space, predicted and measured."""
    path = FOLDER / f"{name}-{platform}.json"
    if path.exists():
        held = json.loads(path.read_text())
        return Compared(np.asarray(held["predicted"]), np.asarray(held["measured"]), held["seconds"])
    made, shape = HUB[name]
    read = read_model_space(made(), shape)
    profile = spacecut.profile(
        read.space, platform, store=str(FOLDER / f"{name}-{platform}.sqlite"), budget=spacecut.Budget(SECONDS)
    )
    latency = Latency(read, profile)
    state, samples = np.random.RandomState(2026), []
    for _ in range(MODELS):
        samples.append({})
        made().random(memo=samples[-1], random_state=state)
    networks = [read.network(sample) for sample in samples]
    files = {network.key: export(made, shape, sample) for network, sample in zip(networks, samples, strict=True)}
    target = exported(get_platform(platform), files)
    runs = []
    for repeat in range(2 * PASSES):
        for place in np.random.default_rng(repeat).permutation(MODELS):
            program = target.load(networks[place])
            taken = time_program(program, Protocol(), nodes=False).total_ms
            program.close()
            task = Task(networks[place].key, False, repeat)
            runs.append(Run(task, datetime.now(UTC).isoformat(timespec="seconds"), 0.0, tuple(taken)))
    halves = [whole_latencies(run for run in runs if run.task.repeat % 2 == half) for half in (0, 1)]
    measured = np.asarray([[np.median(half[network.key]) for network in networks] for half in halves])
    found = Compared(np.asarray([latency.of(sample) for sample in samples]), measured, profile.seconds)
    path.write_text(
        json.dumps({"predicted": found.predicted.tolist(), "measured": measured.tolist(), "seconds": found.seconds})
    )
    print(found.line(name, platform), flush=True)
    return found


def fashion(share: float = 1.0) -> tuple[ReadSpace, spacecut.Profile, float]:
    """The searched space, its profile, and the ms that such a share of its models is within."""
    from fashion import INPUT_SHAPE, FashionSpace

    read = read_model_space(FashionSpace(), INPUT_SHAPE)
    profile = spacecut.profile(read.space, SEARCHED_ON, store=str(FOLDER / "fashion.sqlite"))
    predicted = profile.latency_model(read.space).predict(read.space.sample(SAMPLES, 0))
    return read, profile, float(np.quantile(predicted, share))


def search(how: str, share: float, seed: int) -> None:
    """One search, in a process of its own; its trials go to a file."""
    from fashion import INPUT_SHAPE, FashionSpace, report_accuracy
    from nni.nas.evaluator import FunctionalEvaluator
    from nni.nas.space import ModelStatus

    torch.set_num_threads(1)
    read, profile, bound = fashion(share)
    strategy = RegularizedEvolution(population_size=10, sample_size=5, mutation_prob=0.2, seed=seed)
    if how == "with the cut":
        strategy = SpaceCut(strategy, INPUT_SHAPE, platform=profile, max_latency=bound)
    config = NasExperimentConfig("sequential", "simplified")
    config.experiment_working_directory = FOLDER / "experiments"
    config.execution_engine.max_model_count = TRIALS
    experiment = NasExperiment(FashionSpace(), FunctionalEvaluator(report_accuracy), strategy, config)
    start = time.perf_counter()
    try:
        experiment.run()
    finally:
        experiment.stop()
    latency = Latency(read, profile)
    models = list(strategy.list_models(sort=False))
    trials = [(model.metric, latency.of(model.sample)) for model in models if model.status == ModelStatus.Trained]
    content = {
        "trials": trials, "rejected": len(models) - len(trials), "seconds": time.perf_counter() - start, "bound": bound,
    }  # fmt: skip
    trials_file(how, share, seed).write_text(json.dumps(content))


def trials_file(how: str, share: float, seed: int) -> Path:
    """Where the trials of a search are kept."""
    return FOLDER / f"{how.replace(' ', '-')}-{100 * share:.0f}-{seed}.json"


def searched() -> list[str]:
    """All searches, two at a time; rows of the table."""
    every = [(how, share, seed) for share in SHARES for seed in SEEDS for how in HOWS]
    with ThreadPoolExecutor(2) as pool:
        command = [sys.executable, __file__, "--part", "search"]
        commands = [
            [*command, "--how", how, "--share", str(share), "--seed", str(seed)]
            for how, share, seed in every
            if not trials_file(how, share, seed).exists()
        ]
        list(pool.map(lambda one: subprocess.run(one, check=True), commands))
    rows = []
    for share, seed in ((share, seed) for share in SHARES for seed in SEEDS):
        found = {how: json.loads(trials_file(how, share, seed).read_text()) for how in HOWS}
        goal = max(best_so_far(found[HOWS[0]]))
        for how, one in found.items():
            best = best_so_far(one)
            reached = next((str(n + 1) for n, accuracy in enumerate(best) if accuracy >= goal), f"over {len(best)}")
            within = sum(ms <= one["bound"] for _, ms in one["trials"])
            rows.append(
                f"| {one['bound']:.3f} ({share:.0%}) | {seed} | {how} | {within} of {len(best)} | "
                f"{100 * best[len(best) // 2 - 1]:.2f} % | {100 * best[-1]:.2f} % | {reached} | {one['rejected']} | "
                f"{one['seconds']:.0f} |"
            )
    return rows


def retrained() -> float:
    """Standard deviation of one model's accuracy between trainings from other seeds."""
    from fashion import FashionSpace, accuracy

    torch.set_num_threads(1)
    model = FashionSpace().freeze(TRAINED)
    return float(np.std([accuracy(model, seed) for seed in range(TRAININGS)], ddof=1))


def best_so_far(found: dict[str, Any]) -> list[float]:
    """The best accuracy within the bound after each trial."""
    return np.maximum.accumulate([a if ms <= found["bound"] else 0.0 for a, ms in found["trials"]]).tolist()


def main() -> None:
    """Do what is asked for, and write the results once all is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("predicted", "profile", "search"), help="do this only, and write no results")
    parser.add_argument("--space", choices=HUB, help="of --part predicted: this one only")
    parser.add_argument("--how", choices=HOWS, help="of --part search: this search only")
    parser.add_argument("--share", type=float, choices=SHARES, default=SHARES[0], help="of --how: of models within")
    parser.add_argument("--seed", type=int, default=0, help="of --how")
    chosen = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if chosen.how:
        search(chosen.how, chosen.share, chosen.seed)
        return
    lines, rows = [], []
    if chosen.part in (None, "predicted"):
        names = [chosen.space] if chosen.space else list(HUB)
        lines = [compared(name, platform).line(name, platform) for name in names for platform in PLATFORMS]
    if chosen.part in (None, "profile", "search"):
        fashion()  # measures the space before any search begins
    if chosen.part in (None, "search"):
        rows = searched()
    if chosen.part:
        print("\n".join(lines + rows))
        return
    today = datetime.now(UTC).date().isoformat()
    records = [platform_record(get_platform(platform)) for platform in PLATFORMS]
    text = f"""# NNI, {today}

{records[0].machine}; {", ".join(f"{record.name} {record.version}" for record in records)}; f32, one thread, batch 1.
Repeat with `make bench-nni`.

## Predicted against measured

{MODELS} random models of each hub space, exported by PyTorch and measured {2 * PASSES} times, interleaved; at most
{SECONDS:.0f} s of measurement went into a profile. Measured again: the odd passes against the even ones.

| space | platform | ms | within ±5 % / ±10 % | mean error | measured again | seconds to profile |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

## A search with and without the cut

RegularizedEvolution on the space of `examples/nni`, {TRIALS} trials each; models over the bound on {SEARCHED_ON}
(predicted) do not count. In brackets, how many of all models are within it. Goal: the accuracy that the search without
the cut ends with. One model trained {TRAININGS} times from other seeds: a standard deviation of
{100 * retrained():.1f} points.

| bound, ms | seed | search | within | best at half the trials | at the end | trials to the goal | rejected | seconds |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"nni-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
