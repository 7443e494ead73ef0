"""How a loaded program is timed: warm-up, then repeats until enough of them agree or a cap is reached."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field

from spacecut.platforms import Program

__all__ = ["ONCE", "Protocol", "Samples", "time_program", "timed_run"]


@dataclass(frozen=True)
class Protocol:
    """The rules of one run.

    Attributes:
        warmup: Untimed inferences first.
        least: So many inferences must agree with the fastest.
        most: Timed inferences; only bounds those beyond ``shortest`` and, where a program is loaded for this run
            alone, beyond the time that loading took, which is spent on inferences in any case. The rest of a machine
            disturbs it for seconds at a time, so that many short runs tell more than few long ones.
        seconds: No further inference is begun after this long.
        shortest: Seconds that are spent on inferences in any case: a whole run of a small network would fit into one
            disturbance by the rest of the machine.
        spread: Inferences agree with the fastest within this share of it.
        timeout: Seconds after which a run counts as hung and its worker is ended.
    """

    warmup: int = 2
    least: int = 6
    most: int = 20
    seconds: float = 0.5
    shortest: float = 0.02
    spread: float = 0.02
    timeout: float = 120.0


ONCE = Protocol(warmup=0, least=1, most=1, shortest=0.0)
"""For platforms on which every run takes the same."""


@dataclass(frozen=True)
class Samples:
    """What a run gave.

    Attributes:
        total_ms: Milliseconds of each timed inference.
        node_ms: Milliseconds of each node, where the runtime tells.
        watched_ms: Milliseconds of each inference whose nodes were timed, which may make it slower.
        reference_ms: Milliseconds of the reference network beside the run; 0 where there is none.
        clock_mhz: Clock of the platform's hardware right after the run; 0 where it is not told.
        preparing: Seconds that went into what further runs need not do again.
    """

    total_ms: list[float]
    node_ms: dict[int, list[float]] = field(default_factory=dict)
    watched_ms: list[float] = field(default_factory=list)
    reference_ms: float = 0.0
    clock_mhz: float = 0.0
    preparing: float = 0.0


def time_program(program: Program, protocol: Protocol, nodes: bool, loading: float = 0.0) -> Samples:
    """Time a loaded program.

    Args:
        program: The program; it is run but not closed.
        protocol: The rules.
        nodes: Time each node too, apart from the whole network unless that makes no difference. The whole comes first
            where it can, as it does where no nodes are timed: a processor is a little faster when it is at work.
        loading: Seconds that loading took, where it was for this run alone: what was dear is worth as long a look.
    """
    for _ in range(protocol.warmup):
        program.run()
    if not nodes:
        return Samples(_inferences(program, protocol, loading))
    apart = not program.watched_as_fast
    total = _inferences(program, protocol, loading / 2) if apart and not program.watched_once else []
    program.mark()
    watched = _inferences(program, protocol, loading / 2 if apart else loading)
    node_ms = program.node_times()
    if not apart:
        return Samples(watched, node_ms, watched)
    return Samples(total or _inferences(program, protocol, loading / 2), node_ms, watched)


def _inferences(program: Program, protocol: Protocol, loading: float) -> list[float]:
    """Milliseconds of inferences until enough agree."""
    total: list[float] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        begin = time.perf_counter()
        while True:
            total.append(timed_run(program))
            end = time.perf_counter()
            limit = (1 + protocol.spread) * min(total)
            enough = len(total) >= protocol.most or sum(sample <= limit for sample in total) >= protocol.least
            if end - begin > protocol.seconds or (end - begin > max(loading, protocol.shortest) and enough):
                break
    finally:
        if collecting:
            gc.enable()
    return total


def timed_run(program: Program) -> float:
    """Run a program once; the milliseconds that it took, by the platform's own clock where it has one."""
    start = time.perf_counter()
    told = program.run()
    return (time.perf_counter() - start) * 1e3 if told is None else told
