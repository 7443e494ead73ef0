"""What does a search save in the reduced space? Counted on NAS-Bench-201, where every answer is known.

    make bench-search DATA=path/to/the/data

On every device three searches run in the full space and in what cuts leave of it, fitted to 200 whole-network
latencies, without any accuracy or with those of 100 random architectures: random search, regularised evolution, and
Optuna's TPE. A candidate that is over the bound costs nothing anywhere; an evaluation is an accuracy looked up. The
target is what the same search reaches in the full space at the end of its budget, in the median seed. Writes
``benchmarks/results/search-DATE.md`` and ``search-DATE.png``; takes some half an hour on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from devices import (
    ACCURACIES,
    CELL,
    JUDGED_ROWS,
    RESULTS,
    Truth,
    fitted,
    inside_of,
    true_cell,
    with_accuracies,
    without_accuracies,
)

import spacecut

BOUNDS = (0.25, 0.5, 0.75)
"""Quantiles of a device's latencies that are the hard bounds."""
POPULATION, TOURNAMENT = 30, 8
PATIENCE = 4
"""Proposals an evaluation after which a search ends that finds nothing new."""
DATA_SET = "cifar100"
FULL = "full space"

Kept = tuple[tuple[int, ...], ...]
"""For each choice, the numbers of its candidates."""


@dataclass(frozen=True)
class Strategy:
    """How architectures are proposed, with how many evaluations a search has and how many seeds there are."""

    search: Callable[[Problem, int, int], np.ndarray]
    budget: int
    seeds: int
    devices: int | None = None


@dataclass(frozen=True)
class Problem:
    """A space under a bound.

    Attributes:
        kept: For each choice, the numbers of its candidates.
        strides: Of an architecture's number in a table.
        feasible: By that number, whether an architecture is within the bound.
        accuracy: By that number, %.
    """

    kept: Kept
    strides: tuple[int, ...]
    feasible: np.ndarray
    accuracy: np.ndarray

    def row(self, numbers: Sequence[int]) -> int:
        """An architecture's number in the tables."""
        return sum(number * stride for number, stride in zip(numbers, self.strides, strict=True))

    def draw(self, generator: random.Random) -> tuple[int, ...]:
        """A random architecture within the bound."""
        while True:
            numbers = tuple(generator.choice(kept) for kept in self.kept)
            if self.feasible[self.row(numbers)]:
                return numbers

    def neighbour(self, numbers: tuple[int, ...], generator: random.Random) -> tuple[int, ...]:
        """The architecture with another candidate of one choice, within the bound; itself where none is found."""
        for _ in range(100):
            choice = generator.randrange(len(self.kept))
            other = (*numbers[:choice], generator.choice(self.kept[choice]), *numbers[choice + 1 :])
            if other != numbers and self.feasible[self.row(other)]:
                return other
        return numbers


def at_random(problem: Problem, budget: int, seed: int) -> np.ndarray:
    """Accuracies in the order of evaluation; no architecture twice."""
    grid = np.stack(np.meshgrid(*problem.kept, indexing="ij"), axis=-1).reshape(-1, len(problem.kept))
    rows = grid @ np.asarray(problem.strides)
    rows = rows[problem.feasible[rows]]
    return problem.accuracy[np.random.default_rng(seed).permutation(rows)[:budget]]


def evolution(problem: Problem, budget: int, seed: int) -> np.ndarray:
    """Regularised evolution (Real et al., AAAI 2019): the oldest dies, the best of a tournament is mutated."""
    generator = random.Random(seed)
    population: deque[tuple[float, tuple[int, ...]]] = deque(maxlen=POPULATION)
    known: dict[tuple[int, ...], float] = {}
    for _ in range(PATIENCE * budget):
        if len(population) < POPULATION:
            numbers = problem.draw(generator)
        else:
            _, parent = max(generator.choices(population, k=TOURNAMENT))
            numbers = problem.neighbour(parent, generator)
        if numbers not in known:  # what was trained before costs nothing
            known[numbers] = float(problem.accuracy[problem.row(numbers)])
        population.append((known[numbers], numbers))
        if len(known) == budget:
            break
    return np.asarray(list(known.values()))


def tpe(problem: Problem, budget: int, seed: int) -> np.ndarray:
    """Optuna's tree-structured Parzen estimator; what is over the bound is told as such and costs nothing."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    known: set[int] = set()
    found = []
    for _ in range(PATIENCE * budget):
        trial = study.ask()
        numbers = [trial.suggest_categorical(str(p), kept) for p, kept in enumerate(problem.kept)]
        row = problem.row(numbers)
        if not problem.feasible[row]:
            study.tell(trial, 0.0)
            continue
        study.tell(trial, float(problem.accuracy[row]))
        if row not in known:
            known.add(row)
            found.append(float(problem.accuracy[row]))
        if len(found) == budget:
            break
    return np.asarray(found)


STRATEGIES = {
    "random search": Strategy(at_random, 500, 100),
    "regularised evolution": Strategy(evolution, 500, 100),
    "TPE": Strategy(tpe, 300, 5, devices=3),
}


def needed(best: Sequence[np.ndarray], target: float) -> float:
    """Evaluations until the target is reached, in the median seed; infinite where it is not."""
    reached = [int(np.argmax(path >= target)) + 1 if (path >= target).any() else np.inf for path in best]
    return float(np.quantile(reached, 0.5, method="lower"))


def searched(truth: Truth, device: str, how: Strategy, spaces: Mapping[str, Kept]) -> np.ndarray:
    """Evaluations to the target, ``[bounds, spaces]``."""
    ms, accuracy = truth.ms[device], truth.accuracy[DATA_SET]
    strides = tuple(5**power for power in reversed(range(truth.numbers.shape[1])))
    rows = truth.numbers @ np.asarray(strides)
    table = np.empty(len(rows))
    table[rows] = accuracy
    result = []
    for quantile in BOUNDS:
        feasible = np.empty(len(rows), dtype=bool)
        feasible[rows] = ms <= np.quantile(ms, quantile)
        paths = {
            kept: [
                np.maximum.accumulate(how.search(Problem(kept, strides, feasible, table), how.budget, seed))
                for seed in range(how.seeds)
            ]
            for kept in set(spaces.values())  # two cuts may leave the same
        }
        target = float(np.quantile([path[-1] for path in paths[spaces[FULL]]], 0.5, method="lower"))
        result.append([needed(paths[kept], target) for kept in spaces.values()])
    return np.asarray(result)


@dataclass(frozen=True)
class Cell:
    """Evaluations that a search needs on a device, in the full space and in what a cut leaves, for each bound."""

    device: str
    search: str
    cut: str
    size: float
    full: tuple[float, ...]
    left: tuple[float, ...]

    @property
    def shares(self) -> list[float]:
        """Of the full space's evaluations, for each bound."""
        return [left / full for left, full in zip(self.left, self.full, strict=True)]

    def line(self) -> str:
        """The cell as Markdown."""
        counts = " | ".join(f"{full:.0f} → {left:.0f}" for full, left in zip(self.full, self.left, strict=True))
        head = f"| {self.device} | {self.search} | {self.cut} | {self.size:.1%}"
        return f"{head} | {counts} | {np.median(self.shares):.2f} |"


def on_device(truth: Truth, device: str) -> list[Cell]:
    """All searches on a device."""
    space = spacecut.load_space(CELL)
    recorded = fitted(space, truth.numbers, truth.ms[device], JUDGED_ROWS, 0)
    cuts = without_accuracies(space, recorded)
    cuts |= with_accuracies(space, recorded, truth.numbers, truth.accuracy[DATA_SET], 0)
    spaces = {FULL: tuple(tuple(range(length)) for length in space.lengths)}
    sizes = {}
    for how, reduced in cuts.items():
        sizes[how] = float(inside_of(space, reduced, truth.numbers).mean())
        spaces[how] = tuple(
            tuple(full.index(candidate) for candidate in left.candidates)
            for full, left in zip(space.choices, reduced.choices, strict=True)
        )
    cells = []
    for name, strategy in STRATEGIES.items():
        if strategy.devices is None or list(truth.ms).index(device) < strategy.devices:
            counts = searched(truth, device, strategy, spaces).T.tolist()
            cells += [
                Cell(device, name, cut, sizes[cut], tuple(counts[0]), tuple(left))
                for cut, left in zip(cuts, counts[1:], strict=True)
            ]
    return cells


def main() -> None:
    """Search on all devices and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with nasbench201/")
    truth = true_cell(parser.parse_args().data / "nasbench201")
    cells: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    with ProcessPoolExecutor() as pool:
        for found in pool.map(on_device, itertools.repeat(truth), truth.ms):
            for cell in found:
                cells[cell.search, cell.cut].append(cell)
                print(cell.line(), flush=True)
    ratios = {key: [share for cell in found for share in cell.shares] for key, found in cells.items()}
    lines = [cell.line() for cell in itertools.chain(*cells.values())]
    today = datetime.now(UTC).date().isoformat()
    RESULTS.mkdir(exist_ok=True)
    plot(ratios, RESULTS / f"search-{today}.png")
    over = [
        f"| {name} | {cut} | {np.median(values):.2f} | {np.mean(np.isinf(values)):.0%} |"
        for (name, cut), values in ratios.items()
    ]
    seeds = ", ".join(f"{name} {one.budget} evaluations, {one.seeds} seeds" for name, one in STRATEGIES.items())
    text = f"""# Searching what a cut leaves, {today}

Repeat with `make bench-search DATA=FOLDER`. NAS-Bench-201, accuracy on {DATA_SET}, {len(truth.ms)} devices; the cuts
know {JUDGED_ROWS} latencies of a device and, where it says so, {ACCURACIES} accuracies, whose evaluations come on top.
{seeds} (TPE on {STRATEGIES["TPE"].devices} devices). Bounds: the quantiles
{", ".join(f"{bound:.0%}" for bound in BOUNDS)} of the device's latencies. Evaluations until the best accuracy is what
the same search reaches in the full space with its whole budget, median seeds.

| search | cut | evaluations, of the full space's (median of devices and bounds) | target never reached |
|---|---|---|---|
{chr(10).join(over)}

![evaluations](search-{today}.png)

| device | search | cut | of the space | {" | ".join(f"bound {bound:.0%}" for bound in BOUNDS)} | median |
|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}
"""
    (RESULTS / f"search-{today}.md").write_text(text)
    print(text)


def plot(ratios: Mapping[tuple[str, str], Sequence[float]], path: Path) -> None:
    """Evaluations needed, of those in the full space."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(10, 5), layout="constrained")
    for place, values in enumerate(ratios.values()):
        shown = np.minimum(values, 2.0)
        axis.plot(np.full(len(shown), place) + np.linspace(-0.2, 0.2, len(shown)), shown, ".", markersize=6)
    axis.axhline(1 / 3, color="gray", linestyle=":")
    axis.set_xticks(range(len(ratios)), [f"{name}\n{cut}" for name, cut in ratios], rotation=20, ha="right", fontsize=8)
    axis.set_ylabel("evaluations, of the full space's (2: or more)")
    axis.grid(alpha=0.25)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
