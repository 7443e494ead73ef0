"""How the published scripts write an architecture down (liuzechun/MetaPruning @adad4f9), family by family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FAMILIES", "SCALES", "Family"]

SCALES = tuple((10 + 3 * number) / 100 for number in range(31))
"""What an id stands for: the share of a layer's widest width."""


@dataclass(frozen=True)
class Family:
    """One of the published networks.

    Attributes:
        folder: Of the published repository.
        network: The class that its scripts train and search.
        candidate: Of each id of a candidate of the search, the number of its slot; ids of one slot are equal.
        drawn: How many of the ids the search tells its drawing functions of; the rest they add by themselves.
        arguments: Of each argument of the network in training, the number of each id's slot; None where the id is
            fixed or not looked at.
        scales: The names under which the scripts hold the scales.
        repeats: How often the search writes the ids of its stages; empty where it does not look at stages.
        first: The ids of the first generation lie in this range, end excluded.
    """

    folder: str
    network: str
    candidate: tuple[int, ...]
    drawn: int
    arguments: Mapping[str, tuple[int | None, ...]]
    scales: tuple[str, ...] = ("channel_scale",)
    repeats: tuple[int, ...] = ()
    first: tuple[int, int] = (0, len(SCALES))


def _repeated(counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(stage for stage, count in enumerate(counts) for _ in range(count))


_V2_STAGES = (1, 1, 2, 3, 4, 3, 3, 1)
_V2_MIDS = tuple(range(8, 25))

FAMILIES: Mapping[str, Family] = {
    "metapruning/mobilenet_v1": Family("mobilenetv1", "MobileNetV1", tuple(range(13)), 13, {"rngs": tuple(range(13))}),
    "metapruning/mobilenet_v2": Family(
        "mobilenetv2",
        "MobileNetV2",
        (*_repeated(_V2_STAGES), *_V2_MIDS),
        17,
        {"mid_scale_ids": (None, *_V2_MIDS), "stage_oup_scale_ids": _repeated(_V2_STAGES)},
        ("overall_channel_scale", "mid_channel_scale"),
        _V2_STAGES,
    ),
    "metapruning/resnet50": Family(
        "resnet",
        "ResNet50",
        tuple(range(20)),
        20,
        {"stage_oup_scale_ids": (*_repeated((1, 3, 4, 6)), *[None] * 4), "mid_scale_ids": tuple(range(4, 20))},
        repeats=(3, 4, 6, 3),
        first=(int(0.4 * len(SCALES)), int(0.8 * len(SCALES))),
    ),
}
"""By the name of the search space; slots are the space's choices, in order."""
