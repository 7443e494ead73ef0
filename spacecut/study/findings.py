"""The seven findings of the behaviour study, judged on what was measured on one platform.

Tang et al., To Bridge Neural Network Design and Real-World Performance, MLSys 2021. A verdict is on the finding as the
study states it: it *holds* here, it *does not hold*, or the figures are *mixed*. All thresholds stand at the top.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spacecut.cut import cut
from spacecut.study.walk import Dimension, Walk

__all__ = ["HOLDS", "MIXED", "NOT", "UNKNOWN", "Finding", "judge"]

HOLDS, MIXED, NOT, UNKNOWN = "holds", "mixed", "does not hold", "not measured"

LEVEL = 0.005
"""Widths are on one step where the larger one costs at most so much more, noise aside."""
STEPPED, SMOOTH = 0.6, 0.9
"""Latency is a step function where at most so large a share of the widths is worth keeping; it is none above."""
FREE, DEAR = 0.05, 0.25
"""A part is free up to so much more latency, and dear from so much on."""
FLAT, STEEP = 0.5, 0.8
"""Latency grows slower than compute below this exponent, and in proportion from that on."""
PAYS = 1.5
"""A lower precision pays from this speed-up on."""
UNEQUAL = 2.0
"""Speed-ups are unequal where the largest is so many times the least."""


@dataclass(frozen=True)
class Finding:
    """A finding on a platform.

    Attributes:
        number: In the study, from 1.
        question: What it answers.
        claim: What the study found.
        verdict: ``holds``, ``mixed``, ``does not hold`` or ``not measured``.
        said: The verdict with its figures, for a person.
        figures: The figures.
        rule: What it means for a search space on this platform; empty where nothing follows.
    """

    number: int
    question: str
    claim: str
    verdict: str
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)
    rule: str = ""


def judge(walked: Walk, lower: Walk | None = None) -> list[Finding]:
    """Judge the findings on a platform.

    Args:
        walked: The platform.
        lower: The same platform at a lower precision, if that was walked too.
    """
    return [_channels(walked), _blocks(walked), _activations(walked), _kernels(walked), _precision(walked, lower)]


def _verdict(values: list[float], low: float, high: float) -> str:
    """``holds`` where all are at most ``low``, ``does not hold`` where all are above ``high``."""
    if all(value <= low for value in values):
        return HOLDS
    return NOT if all(value > high for value in values) else MIXED


def _channels(walked: Walk) -> Finding:
    """How many widths are worth keeping."""
    figures, tops = {}, {}
    for name in ("output channels", "input channels", "depthwise channels"):
        dimension = walked.dimensions[name]
        if len(dimension.points) < len(dimension.space.choices[0]):
            continue
        reduction = cut(dimension.space, dimension.profile, tolerance=LEVEL)
        kept = reduction.space.choices[0].candidates
        figures[f"share of {name} kept"] = len(kept) / len(dimension.space.choices[0])
        tops[name] = ", ".join(map(str, kept))
    question, claim = "Do more channels always cost more?", "Latency is a step function of the channel count."
    if not figures:
        return Finding(1, question, claim, UNKNOWN, "widths did not run")
    said = "; ".join(f"{name}: kept {kept}" for name, kept in tops.items())
    verdict = _verdict(list(figures.values()), STEPPED, SMOOTH)
    rule = "" if verdict == NOT else "Of widths that cost the same keep the largest."
    return Finding(1, question, claim, verdict, said, figures, rule)


def _more(dimension: Dimension, plain: Callable[[Mapping], Mapping | None]) -> dict[str, float]:
    """How much more latency each point takes than its plain counterpart, as a share."""
    found = {}
    for point in dimension.points:
        other = plain(point.architecture)
        if other is not None and (base := dimension.at(**other)) is not None:
            found[" ".join(map(str, point.architecture.values()))] = point.ms / base.ms - 1
    return found


def _blocks(walked: Walk) -> Finding:
    """What Squeeze-and-Excitation adds to each block, beside its share of the compute."""
    dimension = walked.dimensions["blocks"]
    added = _more(dimension, lambda a: {**a, "se": 0} if a["se"] == 1 and "pool" not in str(a["block"]) else None)
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
    return Finding(2, question, claim, verdict, said, figures, rule)


def _activations(walked: Walk) -> Finding:
    """What each activation adds to the convolution before it."""
    dimension = walked.dimensions["activations"]
    added = _more(dimension, lambda a: {**a, "activation": "none"} if a["activation"] != "none" else None)
    question, claim = "Are activations free?", "Only ReLU and ReLU6 are free; the others cost."
    if not added:
        return Finding(3, question, claim, UNKNOWN, "activations did not run")
    most: dict[str, float] = {}
    for name, value in added.items():
        word = name.split()[-1]
        most[word] = max(most.get(word, -math.inf), value)
    old = [most[word] for word in ("relu", "relu6") if word in most]
    new = [value for word, value in most.items() if word not in ("relu", "relu6")]
    if all(value <= FREE for value in old) and all(value > FREE for value in new):
        verdict = HOLDS
    elif any(value > FREE for value in old) or all(value <= FREE for value in new):
        verdict = NOT
    else:
        verdict = MIXED
    said = "; ".join(f"{word} {value:+.0%}" for word, value in most.items())
    free = [word for word, value in most.items() if value <= FREE]
    rule = f"Free on this platform: {', '.join(free) or 'none'}; choose the others by price."
    return Finding(3, question, claim, verdict, said, most, rule)


def _kernels(walked: Walk) -> Finding:
    """The exponent of latency over compute from the smallest kernel above 1 to the largest."""
    dimension = walked.dimensions["kernels"]
    figures = {}
    for kind in dimension.space.choice("kind").candidates:
        points = [p for p in dimension.points if p.architecture["kind"] == kind and int(p.architecture["kernel"]) > 1]
        if len(points) > 1:
            first, last = points[0], points[-1]
            figures[f"{kind}"] = float(np.log(last.ms / first.ms) / np.log(last.macs / first.macs))
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
    return Finding(4, question, claim, verdict, said, figures, rule)


def _precision(walked: Walk, lower: Walk | None) -> Finding:
    """Speed-up of every block by the lower precision."""
    question = "Does a lower precision pay?"
    claim = "INT8 pays much on units made for it and less on CPUs, and much less for blocks with poor support."
    if lower is None:
        return Finding(5, question, claim, UNKNOWN, "this platform was walked in one precision only")
    figures = {}
    for point in walked.dimensions["blocks"].points:
        other = lower.dimensions["blocks"].at(**point.architecture)
        if other is not None:
            name = f"{point.architecture['block']}{' with SE' if point.architecture['se'] else ''}"
            figures[name] = point.ms / other.ms
    if not figures:
        return Finding(5, question, claim, UNKNOWN, "blocks did not run")
    best, worst = max(figures.values()), min(figures.values())
    unequal = best / worst >= UNEQUAL
    verdict = HOLDS if best >= PAYS and unequal else NOT if worst >= PAYS and not unequal else MIXED
    said = "; ".join(f"{name}: {value:.2f} times as fast" for name, value in figures.items())
    slow = [name for name, value in figures.items() if value < 1]
    rule = f"Keep the higher precision, or drop these blocks: {', '.join(slow)}." if slow else ""
    return Finding(5, question, claim, verdict, said, figures, rule)
