"""How a loaded program is timed: warm-up, then repeats until the spread is small or a cap is reached."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field

import numpy as np

from spacecut.platforms import Program

__all__ = ["Protocol", "Samples", "relative_error", "time_program"]

_NORMAL_IQR = 1.349  # interquartile range of a standard normal
_MEDIAN_ERROR = 1.2533  # standard error of a normal sample's median, relative to its mean's


@dataclass(frozen=True)
class Protocol:
    """The rules of one run.

    Attributes:
        warmup: Untimed inferences first.
        least, most: Timed inferences; ``most`` only bounds those beyond the time that loading took, which is
            spent on inferences in any case.
        seconds: No further inference is begun after this long.
        spread: Enough once the median's standard error is below this share of it.
        timeout: Seconds after which a run counts as hung and its worker is ended.
    """

    warmup: int = 2
    least: int = 6
    most: int = 20
    seconds: float = 0.5
    spread: float = 0.01
    timeout: float = 120.0


@dataclass(frozen=True)
class Samples:
    """What a run gave.

    Attributes:
        total_ms: Milliseconds of each timed inference.
        node_ms: Milliseconds of each node, where the runtime tells.
        reference_ms: Milliseconds of the reference network beside the run; 0 where the platform cannot run it.
    """

    total_ms: list[float]
    node_ms: dict[int, list[float]] = field(default_factory=dict)
    reference_ms: float = 0.0


def relative_error(samples: list[float]) -> float:
    """Standard error of the median of ``samples``, as a share of it; robust to outliers."""
    low, middle, high = np.percentile(samples, (25, 50, 75))
    if middle <= 0:
        return float("inf")
    return float(_MEDIAN_ERROR * (high - low) / _NORMAL_IQR / np.sqrt(len(samples)) / middle)


def time_program(program: Program, protocol: Protocol, nodes: bool, loading: float = 0.0) -> Samples:
    """Time a loaded program.

    Args:
        program: The program; it is run but not closed.
        protocol: The rules.
        nodes: Also ask for the time of each node.
        loading: Seconds that loading took: what was dear to load is worth as long a look.
    """
    for _ in range(protocol.warmup):
        program.run()
    program.mark()
    total: list[float] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        begin = time.perf_counter()
        while True:
            start = time.perf_counter()
            program.run()
            end = time.perf_counter()
            total.append((end - start) * 1e3)
            quiet = len(total) >= protocol.least and relative_error(total) < protocol.spread
            if end - begin > protocol.seconds or (end - begin > loading and (quiet or len(total) >= protocol.most)):
                break
    finally:
        if collecting:
            gc.enable()
    return Samples(total, program.node_times() if nodes else {})
