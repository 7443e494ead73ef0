"""From a model space and a platform to what is kept of it, and the predicted latency of its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nni.mutable import Mutable
from nni.nas.nn.pytorch import ModelSpace

from spacecut.cut import TOLERANCE, Reduction, cut
from spacecut.integrations.nni.narrowing import kept_values, narrow, reachable
from spacecut.integrations.nni.reading import ReadSpace, read_model_space
from spacecut.integrations.nni.writing import Order
from spacecut.latency import AnyProfile, LatencyModel, Profile, load_profile, predict_network
from spacecut.latency import profile as profile_space
from spacecut.measure import DEFAULT_STORE, Budget
from spacecut.space import SearchSpace

__all__ = ["Latency", "ModelSpaceCut", "cut_model_space", "cut_read_space", "measured"]


@dataclass(frozen=True)
class Latency:
    """The predicted latency of samples of a model space.

    Attributes:
        read: The model space.
        profile: What was measured.
    """

    read: ReadSpace
    profile: AnyProfile

    @cached_property
    def model(self) -> LatencyModel:
        """Over the search space."""
        return self.profile.latency_model(self.read.space)

    def of(self, sample: Mapping[str, Any]) -> float:
        """Milliseconds of a sample.

        Raises:
            InputError: It is no sample of the model space.
        """
        if self.read.workload.exact or not isinstance(self.profile, Profile):
            return float(self.model.predict(self.read.space.encode(self.read.architecture(sample)))[0])
        return predict_network(self.read.network(sample), self.profile).latency_ms


@dataclass(frozen=True)
class ModelSpaceCut:
    """What was cut from a model space.

    Attributes:
        latency: The predicted latency of samples.
        reduction: The cut of the search space that the model space was read as, with its decisions and certificate.
        kept: By label, the values left.
    """

    latency: Latency
    reduction: Reduction
    kept: dict[str, list[Any]]

    @property
    def space(self) -> SearchSpace:
        """What can be sampled now, as a search space.

        Beside the reduction's, it has those combinations of inputs that cannot be taken out alone.
        """
        return self.reduction.full.restrict(reachable(self.latency.read.labels, self.kept))

    def __repr__(self) -> str:
        return f"ModelSpaceCut({self.reduction.full.name!r}, {self.reduction.full.size:.3g} -> {self.space.size:.3g})"

    def narrow(self, space: Mutable) -> None:
        """Leave in a model space, or in the executable form of one, only what is kept."""
        narrow(space, self.kept)


def cut_model_space(
    space: ModelSpace,
    profile: AnyProfile | str,
    input_shape: tuple[int, int, int],
    *,
    tolerance: float = TOLERANCE,
    target_size: int | None = None,
    max_latency: float | None = None,
    order: Mapping[str, Order] | None = None,
) -> ModelSpaceCut:
    """Narrow a model space, in place, to what is worth training on a platform.

    Args:
        space: An instance; every sample drawn of it from now on lies inside the cut.
        profile: Measurements of the space that :func:`read_model_space` makes of it, or the name of a platform to
            measure it on, or the path of a profile or recorded platform.
        input_shape: Channels, height, width of one input.
        tolerance: As :func:`spacecut.cut` takes it, as the next two.
        target_size: Architectures to leave, instead of a tolerance.
        max_latency: Milliseconds that some architecture with each value must stay within.
        order: As :func:`read_model_space` takes it.

    Raises:
        InputError: The space cannot be read, or a bad argument; see :func:`spacecut.cut`.
        PlatformUnavailable, MeasurementError: It cannot be measured there.
    """
    read = read_model_space(space, input_shape, order=order)
    latency = Latency(read, measured(read.space, profile))
    result = cut_read_space(latency, tolerance=tolerance, target_size=target_size, max_latency=max_latency)
    result.narrow(space)
    return result


def cut_read_space(latency: Latency, **asked: Any) -> ModelSpaceCut:
    """The cut of a model space that was read, which stays as it is; arguments as :func:`spacecut.cut` takes them."""
    reduction = cut(latency.read.space, latency.profile, **asked)
    return ModelSpaceCut(latency, reduction, kept_values(latency.read.labels, reduction.space))


def measured(
    space: SearchSpace,
    platform: AnyProfile | str,
    *,
    threads: int = 1,
    store: str = DEFAULT_STORE,
    budget: Budget | None = None,
) -> AnyProfile:
    """The measurements of a space: given, in a file, or made now on a platform named."""
    if not isinstance(platform, str):
        return platform
    if Path(platform).is_file():
        return load_profile(platform)
    return profile_space(space, platform, threads=threads, store=store, budget=budget)
