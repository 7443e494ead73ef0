"""The findings of the behaviour study, judged on what was measured on one platform.

Tang et al., To Bridge Neural Network Design and Real-World Performance, MLSys 2021. A verdict is on the finding as the
study states it: it *holds* here, it *does not hold*, or the figures are *mixed*. All thresholds are in ``thresholds``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from spacecut.cut import Rule, cut
from spacecut.space.ranges import shown_candidates
from spacecut.study.accuracy import accuracy
from spacecut.study.finding import HOLDS, MIXED, NOT, UNKNOWN, Finding
from spacecut.study.precision import precision
from spacecut.study.thresholds import DEAR, FLAT, FREE, LEVEL, MOST, SMOOTH, STEEP, STEPPED
from spacecut.study.walk import Walk

__all__ = ["judge"]

Side = Literal["", "in_channels", "out_channels"]
_WIDTHS: dict[str, tuple[str, Side]] = {
    "output channels": ("conv2d", "out_channels"),
    "1x1 output channels": ("conv2d", "out_channels"),
    "input channels": ("conv2d", "in_channels"),
    "depthwise channels": ("depthwise_conv2d", ""),
}
_OLD = ("relu", "relu6")


def judge(walked: Walk, lower: Mapping[str, Walk] | None = None) -> list[Finding]:
    """Judge the findings on a platform, all but the last, which is about several.

    Args:
        walked: The platform.
        lower: The same platform at lower precisions, by name, as far as they were walked too.
    """
    return [
        _channels(walked),
        _blocks(walked),
        _activations(walked),
        _kernels(walked),
        precision(walked, lower or {}),
        accuracy(walked.name, walked.kept, walked.weights),
    ]


def _verdict(values: list[float], low: float, high: float) -> str:
    """``holds`` where all are at most ``low``, ``does not hold`` where all are above ``high``."""
    if all(value <= low for value in values):
        return HOLDS
    return NOT if all(value > high for value in values) else MIXED


def _channels(walked: Walk) -> Finding:
    """How many widths are worth keeping, and whether these are multiples of something."""
    figures, said = {}, []
    multiples: dict[tuple[str, Side], list[tuple[int, str]]] = {}
    for name, (kind, side) in _WIDTHS.items():
        shares = []
        for key, dimension in walked.on_every_input(name).items():
            choice = dimension.space.choices[0]
            if len(dimension.points) < len(choice):
                continue
            widths = [int(candidate) for candidate in choice.candidates]
            grid = math.gcd(*widths)
            # Where next widths differ by less than the level, proportional cost would be taken for one step.
            reduction = cut(dimension.space, dimension.profile, tolerance=min(LEVEL, grid / max(widths) / 2))
            kept = [int(candidate) for candidate in reduction.space.choices[0].candidates]
            shares.append(len(kept) / len(choice))
            multiple = _multiple(kept, grid) if shares[-1] <= SMOOTH else 0
            told = shown_candidates(kept)
            multiples.setdefault((kind, side), []).append((multiple, f"{key}: kept {told}"))
            if key == name:
                said.append(f"{name}: kept {told}")
        if shares:
            figures[f"share of {name} kept"] = float(np.median(shares))
    question, claim = "Do more channels always cost more?", "Latency is a step function of the channel count."
    if not figures:
        return Finding(1, question, claim, UNKNOWN, "widths did not run")
    rules = []
    for (kind, side), found in multiples.items():
        (multiple, count), *_ = Counter(number for number, _ in found).most_common(1)
        if multiple and 2 * count > len(found):
            evidence = next(told for number, told in found if number == multiple)
            rules.append(
                Rule(
                    platform=walked.name, finding=1, dimension="channels", kind=kind, side=side, multiple=multiple,
                    evidence=evidence if len(found) == 1 else f"{count} of {len(found)} walks; {evidence}",
                )
            )  # fmt: skip
    verdict = _verdict(list(figures.values()), STEPPED, SMOOTH)
    rule = "" if verdict == NOT else "Of widths that cost the same keep the largest."
    if rules:
        steps = ", ".join(f"{found.multiple} ({found.kind} {found.side})".replace(" )", ")") for found in rules)
        rule += f" Steps: {steps}."
    return Finding(1, question, claim, verdict, "; ".join(said), figures, rule, tuple(rules))


def _multiple(tops: Sequence[int], grid: int) -> int:
    """The largest number, coarser than the grid of widths, that most tops of steps are multiples of; 0: there is none.

    A step width that the widths walked show fewer than three times is none.
    """
    for number in range(max(tops) // 3, grid, -1):
        if len(tops) > 2 and sum(top % number == 0 for top in tops) >= MOST * len(tops):
            return number
    return 0


def _more(walked: Walk, name: str, plain: Callable[[Mapping], Mapping | None]) -> dict[str, float]:
    """How much more latency each point takes than its plain counterpart, as a share; the median over all inputs."""
    found: dict[str, list[float]] = {}
    for dimension in walked.on_every_input(name).values():
        for point in dimension.points:
            other = plain(point.architecture)
            if other is not None and (base := dimension.at(**other)) is not None:
                found.setdefault(" ".join(map(str, point.architecture.values())), []).append(point.ms / base.ms - 1)
    return {key: float(np.median(values)) for key, values in found.items()}


def _blocks(walked: Walk) -> Finding:
    """What Squeeze-and-Excitation adds to each block, beside its share of the compute."""
    added = _more(
        walked, "blocks", lambda a: {**a, "se": 0} if a["se"] == 1 and "pool" not in str(a["block"]) else None
    )
    question = "Are blocks that are no convolution free?"
    claim = "Squeeze-and-Excitation and the like are not free; on some platforms they dominate."
    if not added:
        return Finding(2, question, claim, UNKNOWN, "blocks did not run")
    figures = {f"{name.removesuffix(' 1')} with SE": value for name, value in added.items()}
    values = list(figures.values())
    verdict = HOLDS if min(values) > DEAR else NOT if max(values) <= FREE else MIXED
    said = "; ".join(f"{name}: {value:+.0%}" for name, value in figures.items())
    dear = [name for name, value in figures.items() if value > DEAR]
    rule = f"Choose between blocks with and without it by price: it is dear in {', '.join(dear)}." if dear else ""
    rules: tuple[Rule, ...] = ()
    if (middle := float(np.median(values))) > DEAR:
        evidence = f"it adds {middle:+.0%} to a block in the median"
        rules = (Rule(platform=walked.name, finding=2, dimension="squeeze_excite", evidence=evidence),)
    return Finding(2, question, claim, verdict, said, figures, rule, rules)


def _activations(walked: Walk) -> Finding:
    """What each activation adds to the convolution before it."""
    added = _more(walked, "activations", lambda a: {**a, "activation": "none"} if a["activation"] != "none" else None)
    question, claim = "Are activations free?", "Only ReLU and ReLU6 are free; the others cost."
    if not added:
        return Finding(3, question, claim, UNKNOWN, "activations did not run")
    most: dict[str, float] = {}
    for name, value in added.items():
        word = name.split()[-1]
        most[word] = max(most.get(word, -math.inf), value)
    old = [most[word] for word in _OLD if word in most]
    new = [value for word, value in most.items() if word not in _OLD]
    if all(value <= FREE for value in old) and all(value > FREE for value in new):
        verdict = HOLDS
    elif any(value > FREE for value in old) or all(value <= FREE for value in new):
        verdict = NOT
    else:
        verdict = MIXED
    said = "; ".join(f"{word} {value:+.0%}" for word, value in most.items())
    free = [word for word, value in most.items() if value <= FREE]
    rule = f"Free on this platform: {', '.join(free) or 'none'}; choose the others by price."
    rules = tuple(
        Rule(
            platform=walked.name, finding=3, dimension="activation", avoid=word, prefer=tuple(free),
            evidence=f"it adds {value:+.0%} to a convolution",
        )
        for word, value in most.items()
        if value > DEAR and free
    )  # fmt: skip
    return Finding(3, question, claim, verdict, said, most, rule, rules)


def _kernels(walked: Walk) -> Finding:
    """The exponent of latency over compute from the smallest kernel above 1 to the largest."""
    exponents: dict[str, list[float]] = {}
    for dimension in walked.on_every_input("kernels").values():
        windows = [point for point in dimension.points if int(point.architecture["kernel"]) > 1]
        for kind in map(str, dimension.space.choice("kind").candidates):
            points = [point for point in windows if point.architecture["kind"] == kind]
            if len(points) > 1:
                first, last = points[0], points[-1]
                exponent = np.log(last.ms / first.ms) / np.log(last.macs / first.macs)
                exponents.setdefault(kind, []).append(float(exponent))
    figures = {kind: float(np.median(values)) for kind, values in exponents.items()}
    question = "Does a larger kernel cost as much as its compute?"
    claim = "On platforms bound by memory a larger kernel costs much less than its compute; on CPU and GPU as much."
    if not figures:
        return Finding(4, question, claim, UNKNOWN, "kernels did not run")
    verdict = _verdict(list(figures.values()), FLAT, STEEP)
    said = "; ".join(f"{kind}: latency grows as compute to the power {value:.2f}" for kind, value in figures.items())
    cheap = [kind for kind, value in figures.items() if value <= FLAT]
    rule = (
        f"Larger kernels are cheap for {', '.join(cheap)}: a small one that costs the same is dominated."
        if cheap
        else ""
    )
    rules = tuple(
        Rule(
            platform=walked.name, finding=4, dimension="kernel", kind=kind,
            evidence=f"latency grows as compute to the power {figures[kind]:.2f}",
        )
        for kind in cheap
    )  # fmt: skip
    return Finding(4, question, claim, verdict, said, figures, rule, rules)
