"""Small random spaces with given operator costs, and what enumeration says of them."""

from __future__ import annotations

import importlib.util
import itertools
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spacecut.cut import Reduction
from spacecut.cut.selection import SAFETY
from spacecut.latency import Correction, LatencyModel, Profile
from spacecut.latency.estimator import Costs
from spacecut.measure import PlatformRecord
from spacecut.operators import Operator, expand
from spacecut.space import SearchSpace
from spacecut.space.document import SpaceDocument

RECORD = PlatformRecord("given", "1", "cpu", "fp32", 1, 1, "none")

Cost = Callable[[Operator], float]

ORDERS: list[Any] = ["none", [["off", "one", "three"]], [["off", "one"], ["off", "three"]], [["one", "three", "one"]]]


def space_of(choices: Mapping[str, Any], network: list[dict[str, Any]], name: str = "small") -> SearchSpace:
    content = {"spacecut": 1, "name": name, "input": [4, 6, 6], "choices": choices, "network": network}
    return SearchSpace(SpaceDocument.model_validate(content))


MODEL_ERROR = 0.01
"""Relative error of a given model on whole networks."""


def imported(file: Path) -> ModuleType:
    """A Python file that an export wrote, as its user imports it."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_costs(seed: int, whole: bool = False) -> Cost:
    """A cost that an operator always has; whole quarters of a millisecond make ties."""

    def cost(operator: Operator) -> float:
        generator = random.Random(f"{seed} {operator}")
        return generator.randrange(1, 7) / 4 if whole else generator.uniform(0.1, 2.0)

    return cost


def model_of(space: SearchSpace, cost: Cost, error: float = 0.0, overhead: float = 0.25) -> LatencyModel:
    """A latency model of given costs, which are known within a relative ``error``."""
    workload = expand(space)
    mean = np.asarray([cost(operator) for operator in workload.operators])
    costs = Costs(mean, mean * error, np.ones(len(mean), dtype=np.int64))
    return LatencyModel(workload, costs, Correction(overhead, MODEL_ERROR, 8))


def asked_for(bound: float) -> float:
    """The hard bound to ask for, so that predictions up to ``bound`` are surely within it."""
    return bound * (1 + SAFETY * MODEL_ERROR)


class GivenProfile(Profile):
    """A profile without runs, whose operators cost what they are given to."""

    def __init__(self, space: SearchSpace, cost: Cost, error: float = 0.0, overhead: float = 0.25) -> None:
        super().__init__(RECORD, space.name, [])
        self._given = cost, error, overhead

    def latency_model(self, space: SearchSpace) -> LatencyModel:
        return model_of(space, *self._given)


@st.composite
def spaces(draw: st.DrawFn, kinds: str = "wwwkop") -> SearchSpace:
    """One to four choices of widths, kernels, operators or nothing at all, each over one to four candidates.

    A width may come again further down, which closes a loop of factors.

    Args:
        draw: Given by hypothesis.
        kinds: What choices may be of: widths, kernels, operators; ``p`` for one that the network does not ask for.
    """
    choices: dict[str, Any] = {}
    network: list[dict[str, Any]] = []
    widths: list[str] = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))):
        name = f"c{number}"
        order = draw(st.sampled_from(["larger", "larger", "none"]))
        if kind == "w":
            candidates = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True))
            choices[name] = {"candidates": candidates, "order": order}
            network.append({"conv2d": {"out_channels": name, "kernel": 1}})
            widths.append(name)
        elif kind == "k":
            choices[name] = {"candidates": draw(st.permutations([1, 3, 5]).map(lambda c: c[:2])), "order": order}
            layer: dict[str, Any] = {"kernel": name}
            if number and draw(st.booleans()):  # a choice without effect where another has not its first candidate
                other = f"c{draw(st.integers(0, number - 1))}"
                layer["when"] = f"{other} == {choices[other]['candidates'][0]!r}"
            network.append({"depthwise_conv2d": layer})
        elif kind == "o":
            choices[name] = {"candidates": ["off", "one", "three"], "order": draw(st.sampled_from(ORDERS))}
            for kernel, word in ((1, "one"), (3, "three")):
                network.append({"depthwise_conv2d": {"kernel": kernel, "when": f"{name} == '{word}'"}})
        else:
            choices[name] = {"candidates": [2, 1], "order": order}
        if widths and draw(st.integers(0, 3)) == 0:
            network.append({"conv2d": {"out_channels": draw(st.sampled_from(widths)), "kernel": 3}})
    return space_of(choices, [*network, {"linear": {"out_channels": 3}}])


def enumerated(space: SearchSpace) -> np.ndarray:
    """Every architecture, ``[architectures, choices]``."""
    return np.indices(space.lengths).reshape(len(space.lengths), -1).T


def latencies(model: LatencyModel, cost: Cost, numbers: np.ndarray) -> np.ndarray:
    """Latency of each architecture, node by node of its concrete network."""
    summed = [sum(map(cost, model.workload.network(row).operators)) for row in numbers]
    return model.correction.overhead_ms + np.asarray(summed)


def round_up(reduction: Reduction, numbers: np.ndarray) -> np.ndarray:
    """What the decisions make of architectures of the full space."""
    result = numbers.copy()
    for decision in reduction.decisions:
        if decision.dominator is not None:
            position = reduction.full.positions[decision.choice]
            choice = reduction.full.choices[position]
            result[numbers[:, position] == choice.index(decision.candidate), position] = choice.index(
                decision.dominator
            )
    return result


def contexts(space: SearchSpace, position: int) -> np.ndarray:
    """Every architecture with the first candidate of the choice at ``position``."""
    lengths = [range(length) if other != position else range(1) for other, length in enumerate(space.lengths)]
    return np.asarray(list(itertools.product(*lengths)), dtype=np.int64)
