"""Walking the study's spaces: every architecture of each is timed end to end, one dimension at a time.

The dimensions are those of Tang et al., To Bridge Neural Network Design and Real-World Performance, MLSys 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spacecut.latency import Profile, profile
from spacecut.latency.evidence import whole_latencies
from spacecut.measure import DEFAULT_STORE, Budget, Progress
from spacecut.operators import Network, expand
from spacecut.operators.operator import encode, macs
from spacecut.space import Candidate, SearchSpace, load_space
from spacecut.study.accuracy import Kept, Trained, blocks_kept, network_kept

__all__ = ["DIMENSIONS", "UNMEASURED", "Dimension", "Point", "Walk", "studied_spaces", "walk"]

DIMENSIONS = {
    "output channels": "behaviour_study/conv3x3_out_channels",
    "1x1 output channels": "behaviour_study/conv1x1_out_channels",
    "input channels": "behaviour_study/conv3x3_in_channels",
    "depthwise channels": "behaviour_study/depthwise_channels",
    "kernels": "behaviour_study/kernels",
    "blocks": "behaviour_study/blocks",
    "activations": "behaviour_study/activations",
}
_FEATURE_MAPS = (7, 14, 28, 56, 112)
_ANCHORS = tuple((channels, size, size) for channels in (16, 64, 160, 320) for size in (7, 14, 28, 56))
"""Inputs on which each dimension is walked again in full; behind a convolution that makes its channels only the size
counts."""
_BEHIND_ANOTHER = ("input channels", "depthwise channels")
_WIDTHS = {"width": list(range(4, 97, 4))}
_QUICK: dict[str, dict[str, list[int]]] = {
    **dict.fromkeys(("output channels", "1x1 output channels", *_BEHIND_ANOTHER), _WIDTHS),
    "kernels": {"kernel": [1, 3, 5, 7]},
}
_SECONDS = {False: 120.0, True: 25.0}
"""Of measurement a dimension, in full and quick, and so many times as much where that is too little for all of it."""
_ANCHOR_SECONDS = 40.0
_LONGEST = 8
_ON = " on "
UNMEASURED = "not measured within the budget"


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
    """A platform's behaviour.

    Attributes:
        platform: Version and machine.
        quick: Fewer widths and less time.
        dimensions: Dimension by dimension.
        kept: What INT8 keeps of blocks; empty where the platform computes in float.
        weights: Whose weights these have.
    """

    platform: str
    quick: bool
    dimensions: Mapping[str, Dimension]
    kept: tuple[Kept, ...] = ()
    weights: str = ""

    def on_every_input(self, name: str) -> dict[str, Dimension]:
        """A dimension on each of the inputs that it was walked on, its own first."""
        return {key: found for key, found in self.dimensions.items() if key == name or key.startswith(name + _ON)}

    @property
    def name(self) -> str:
        """The platform as it is asked for."""
        return next(iter(self.dimensions.values())).profile.platform.name


def walk(
    platform: str,
    *,
    quick: bool = False,
    store: str = DEFAULT_STORE,
    trained: Trained | None = None,
    progress: Progress | None = None,
) -> Walk:
    """Measure every dimension on a platform; what the store already holds is not measured again.

    Args:
        platform: ``RUNTIME[/DEVICE][:PRECISION]``.
        quick: Fewer widths, one input a dimension, and less time.
        store: Path or URL of the store of raw samples.
        trained: A network whose blocks INT8 is judged by; made-up ones where there is none.
        progress: Called with the dimensions done and to do.

    Raises:
        InputError: An unknown platform.
        PlatformUnavailable: The platform cannot run here.
        MeasurementError: Nothing could be measured.
    """
    spaces = studied_spaces(quick)
    found = {}
    for done, (name, space) in enumerate(spaces.items()):
        if progress is not None:
            progress(done, len(spaces))
        first = seconds = _ANCHOR_SECONDS if _ON in name else _SECONDS[quick]
        while True:  # the store holds what was measured before
            measured = profile(space, platform, store=store, budget=Budget(seconds, error=0.0))
            found[name] = _dimension(space, measured)
            if UNMEASURED not in {reason for _, reason in found[name].failures} or seconds >= _LONGEST * first:
                break
            seconds *= 2
    if measured.platform.precision != "int8":
        return Walk(str(measured.platform), quick, found)
    if trained is not None:
        return Walk(str(measured.platform), quick, found, tuple(network_kept(platform, trained)), trained.name)
    small = [entry for name in ("blocks", "activations") for entry in _networks(found[name])]
    return Walk(str(measured.platform), quick, found, tuple(blocks_kept(platform, small)), "made-up weights")


def studied_spaces(quick: bool) -> dict[str, SearchSpace]:
    """What is walked, dimension by dimension, and where it is not quick on every input."""
    spaces = {name: load_space(place) for name, place in DIMENSIONS.items()}
    if quick:
        spaces.update({name: spaces[name].restrict(kept) for name, kept in _QUICK.items()})
    else:
        spaces.update(dict(_anchored(spaces)))
    wide = load_space(DIMENSIONS["output channels"]).restrict({"width": [64]})
    spaces.update({f"feature map {size}": wide.on_input((64, size, size)) for size in _FEATURE_MAPS})
    return spaces


def _anchored(spaces: Mapping[str, SearchSpace]) -> Iterator[tuple[str, SearchSpace]]:
    """Every dimension on all other inputs."""
    for name, space in spaces.items():
        own = space.document.input
        for shape in _ANCHORS:
            if shape != own and (name not in _BEHIND_ANOTHER or shape[0] == own[0]):
                yield f"{name}{_ON}{'x'.join(map(str, shape))}", space.on_input(shape)


def _networks(dimension: Dimension) -> Iterator[tuple[str, Network]]:
    """What ran of a dimension, by name."""
    workload = expand(dimension.space)
    for point in dimension.points:
        name = " ".join(map(str, point.architecture.values())).removesuffix(" 0").replace(" 1", " with SE")
        yield name, workload.network(dimension.space.encode(point.architecture)[0])


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
            failures.append((architecture, errors.get(network.key) or UNMEASURED))
    return Dimension(space, measured, tuple(points), tuple(failures))
