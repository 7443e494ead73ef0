"""A small MetaPruning on Fashion-MNIST under a bound of measured latency, in the space that a platform leaves.

    python examples/metapruning/run.py onnxruntime --max-latency 0.1
    python examples/metapruning/run.py onnxruntime --max-latency 0.1 --full    in all of the space instead

Measures the space on the platform (or answers from the store), cuts it to four candidates a slot, trains a PruningNet
on what is left, searches it, and trains the winner from scratch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from evolution import Draws, Ids, evolve
from pruning_net import plain
from training import fashion_mnist, judge, retrained, trained_pruning_net

import spacecut
from spacecut.operators import expand

SPACE = Path(__file__).parent / "space.yaml"
LEFT = 4
"""Candidates a slot, on average, of the reduced space."""
TRAINED_ON = 30_000
"""Images of the training set; architectures are judged on some of the rest, and winners on the test set."""
EPOCHS, PRUNING_NET_EPOCHS = 2, 12
"""Of winners, and of the PruningNet, which tells architectures apart only once it is trained well."""


def reduced(space: spacecut.SearchSpace, profile: spacecut.Profile) -> list[np.ndarray]:
    """The ids that a joint cut leaves of every slot."""
    cut = spacecut.cut(space, profile, target_size=LEFT ** len(space.choices))
    return [np.asarray(choice.candidates) for choice in cut.space.choices]


def within_latency(model: spacecut.LatencyModel, max_ms: float) -> Callable[[Ids], bool]:
    """Whether an architecture keeps a bound by nine chances in ten or better."""
    return lambda ids: bool(model.interval(np.asarray([ids]), 0.8)[1][0] <= max_ms)


def main() -> None:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("platform")
    parser.add_argument("--max-latency", type=float, required=True, help="ms")
    parser.add_argument("--full", action="store_true", help="search the full space")
    parser.add_argument("--budget", type=int, default=80, help="architectures to judge")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    space = spacecut.load_space(SPACE)
    workload = expand(space)
    profile = spacecut.profile(space, asked.platform)
    model = profile.latency_model(space)
    allowed = [np.arange(length) for length in space.lengths] if asked.full else reduced(space, profile)
    print(f"{np.prod([len(ids) for ids in allowed]):,} of {space.size:,} architectures")
    fastest, slowest = model.fastest()[0], model.slowest()[0]
    if asked.max_latency < fastest:
        raise SystemExit(f"no architecture takes less than {fastest:.3f} ms (the slowest: {slowest:.3f} ms)")

    images, test = fashion_mnist("train"), fashion_mnist("t10k")
    start = time.perf_counter()
    draws = Draws(allowed, np.random.default_rng(asked.seed))
    trained, held = images.part(0, TRAINED_ON), images.part(TRAINED_ON, len(images.classes))
    net = trained_pruning_net(workload, draws.sample, trained, PRUNING_NET_EPOCHS, asked.seed)
    print(f"PruningNet: {time.perf_counter() - start:.0f} s")
    start = time.perf_counter()
    within = within_latency(model, asked.max_latency)
    history = evolve(draws, within, lambda ids: judge(net, ids, held), asked.budget)
    if not history:
        raise SystemExit(f"no architecture within {asked.max_latency} ms was drawn; raise --max-latency")
    print(f"search: {len(history)} architectures judged in {time.perf_counter() - start:.0f} s")
    best = max(history, key=lambda one: one.accuracy)
    accuracy = retrained(plain(workload, best.ids, asked.seed), trained, test, EPOCHS, asked.seed)
    print(f"{best.ids}: {model.predict(np.asarray([best.ids]))[0]:.3f} ms, {accuracy:.2%} on the test set")


if __name__ == "__main__":
    main()
