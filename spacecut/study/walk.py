"""Walking the study's spaces: every architecture of each is timed end to end, one dimension at a time.

The dimensions are those of Tang et al., To Bridge Neural Network Design and Real-World Performance, MLSys 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spacecut.latency import Profile, profile
from spacecut.latency.evidence import whole_latencies
from spacecut.measure import DEFAULT_STORE, Budget, Progress
from spacecut.operators import expand
from spacecut.operators.operator import encode, macs
from spacecut.space import Candidate, SearchSpace, load_space

__all__ = ["DIMENSIONS", "Dimension", "Point", "Walk", "walk"]

DIMENSIONS = {
    "output channels": "behaviour_study/conv3x3_out_channels",
    "input channels": "behaviour_study/conv3x3_in_channels",
    "depthwise channels": "behaviour_study/depthwise_channels",
    "kernels": "behaviour_study/kernels",
    "blocks": "behaviour_study/blocks",
    "activations": "behaviour_study/activations",
}
_FEATURE_MAPS = (7, 14, 28, 56, 112)
_QUICK = {"output channels": {"width": list(range(4, 97, 4))}, "kernels": {"kernel": [1, 3, 5, 7]}}
_SECONDS = {False: 120.0, True: 25.0}
"""Of measurement a dimension, in full and quick."""


@dataclass(frozen=True)
class Point:
    """One architecture of a dimension.

    Attributes:
        architecture: Choice by choice.
        ms: Latency end to end.
        noise: Relative standard deviation between its quiet runs; NaN where there was one.
        macs: Multiply-accumulates.
    """

    architecture: Mapping[str, Candidate]
    ms: float
    noise: float
    macs: int


@dataclass(frozen=True)
class Dimension:
    """All architectures of one of the study's spaces that ran, and why the others did not.

    Attributes:
        space: What was walked.
        profile: Every run.
        points: In the order of the space.
        failures: What did not run, with the reason.
    """

    space: SearchSpace
    profile: Profile
    points: tuple[Point, ...]
    failures: tuple[tuple[Mapping[str, Candidate], str], ...]

    def at(self, **architecture: Candidate) -> Point | None:
        """The point with these candidates; None where it did not run."""
        return next((point for point in self.points if dict(point.architecture) == architecture), None)


@dataclass(frozen=True)
class Walk:
    """A platform's behaviour, dimension by dimension."""

    platform: str
    quick: bool
    dimensions: Mapping[str, Dimension]


def walk(platform: str, *, quick: bool = False, store: str = DEFAULT_STORE, progress: Progress | None = None) -> Walk:
    """Measure every dimension on a platform; what the store already holds is not measured again.

    Args:
        platform: ``RUNTIME[/DEVICE][:PRECISION]``.
        quick: Fewer widths and less time.
        store: Path or URL of the store of raw samples.
        progress: Called with the dimensions done and to do.

    Raises:
        InputError: An unknown platform.
        PlatformUnavailable: The platform cannot run here.
        MeasurementError: Nothing could be measured.
    """
    spaces = {name: load_space(place) for name, place in DIMENSIONS.items()}
    if quick:
        spaces.update({name: spaces[name].restrict(kept) for name, kept in _QUICK.items()})
    wide = load_space(DIMENSIONS["output channels"]).restrict({"width": [64]})
    spaces.update({f"feature map {size}": wide.on_input((64, size, size)) for size in _FEATURE_MAPS})
    found = {}
    for done, (name, space) in enumerate(spaces.items()):
        if progress is not None:
            progress(done, len(spaces))
        measured = profile(space, platform, store=store, budget=Budget(_SECONDS[quick]))
        found[name] = _dimension(space, measured)
    return Walk(str(measured.platform), quick, found)


def _dimension(space: SearchSpace, measured: Profile) -> Dimension:
    workload = expand(space)
    latencies = whole_latencies(measured.runs)
    errors = {run.task.network: run.error for run in measured.failures}
    points, failures = [], []
    for numbers in np.indices(space.lengths).reshape(len(space.lengths), -1).T:
        network, architecture = workload.network(numbers), space.decode(numbers)
        if values := latencies.get(network.key):
            noise = float(np.std(np.log(values), ddof=1)) if len(values) > 1 else float("nan")
            size = int(macs(encode([node.operator for node in network.nodes])).sum())
            points.append(Point(architecture, float(np.median(values)), noise, size))
        else:
            failures.append((architecture, errors.get(network.key) or "not measured within the budget"))
    return Dimension(space, measured, tuple(points), tuple(failures))
