"""A profile: all runs of a space on a platform, as text that can be kept, read and traced."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from spacecut.errors import InputError
from spacecut.latency.correction import held_out_error
from spacecut.latency.evidence import Evidence, gather
from spacecut.latency.model import LatencyModel, fit_latency_model
from spacecut.measure import (
    DEFAULT_STORE,
    Budget,
    Campaign,
    PlatformRecord,
    Progress,
    Run,
    Store,
    Task,
    is_calm,
    platform_record,
    quiet_reference,
    sampled_networks,
)
from spacecut.operators import Network, expand
from spacecut.platforms import get_platform
from spacecut.space import SearchSpace

__all__ = ["Profile", "profile", "read_profile"]

_VERSION = 2


class Profile:
    """What was measured on a platform.

    Attributes:
        platform: Where.
        space: Name of the space that the networks were drawn from.
        runs: Every run with its raw samples, failed ones too.
        fresh: How many of the runs were made now; the others were in the store.
    """

    file_name = "profile.jsonl.gz"

    def __init__(self, platform: PlatformRecord, space: str, runs: Sequence[Run], fresh: int = 0) -> None:
        self.platform = platform
        self.space = space
        self.runs = tuple(runs)
        self.fresh = fresh

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} FAILED" if self.failures else ""
        return f"Profile({self.space!r} on {self.platform}: {len(self.runs)} runs{failed})"

    @property
    def failures(self) -> list[Run]:
        """The runs that failed."""
        return [run for run in self.runs if run.error is not None]

    @property
    def disturbed(self) -> int:
        """How many runs were made while something else slowed the machine down."""
        quiet = quiet_reference(self.runs)
        return sum(not is_calm(run, quiet) for run in self.runs if run.error is None)

    @property
    def seconds(self) -> float:
        """How long the measuring took, in all."""
        return sum(run.seconds for run in self.runs)

    @cached_property
    def evidence(self) -> Evidence:
        """What the runs say of operators and networks."""
        return gather(self.runs, self.platform.deterministic)

    def latency_model(self, space: SearchSpace) -> LatencyModel:
        """The latency of every architecture of a space made of operators like those measured.

        Raises:
            InputError: The space has an operator unlike any that was measured; it is named.
        """
        return fit_latency_model(expand(space), self.evidence)

    def save(self, path: str | Path) -> None:
        """Write the profile: gzipped JSON lines, a header and then one run a line."""
        header = {"spacecut_profile": _VERSION, "space": self.space, "platform": asdict(self.platform)}
        networks = {network: number for number, network in enumerate(dict.fromkeys(r.task.network for r in self.runs))}
        lines: list[dict[str, Any]] = [header, {"networks": list(networks)}]
        for run in self.runs:
            line = {**asdict(run), "task": [networks[run.task.network], run.task.nodes, run.task.repeat]}
            lines.append(line)
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as file:
            file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def read_profile(path: str | Path) -> Profile:
    """Read a profile that :meth:`Profile.save` wrote.

    Raises:
        InputError: The file is missing or no profile.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            header, listed, *lines = (json.loads(line) for line in file)
        if (version := header["spacecut_profile"]) != _VERSION:
            raise InputError(f"{path}: a profile of version {version}; this spacecut reads {_VERSION}")
        networks = listed["networks"]
        runs = [
            Run(
                Task(networks[line["task"][0]], *line["task"][1:]),
                line["taken_at"],
                line["seconds"],
                tuple(line["total_ms"]),
                {int(node): tuple(times) for node, times in line["node_ms"].items()},
                tuple(line["watched_ms"]),
                line["reference_ms"],
                line["error"],
                line.get("clock_mhz", 0.0),
                line.get("preparing", 0.0),
            )
            for line in lines
        ]
        return Profile(PlatformRecord(**header["platform"]), header["space"], runs)
    except FileNotFoundError:
        raise InputError(f"no profile {str(path)!r}; make one with `spacecut profile`") from None
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: no spacecut profile ({error}); make one with `spacecut profile`") from None


def profile(
    subject: SearchSpace | Network,
    platform: str,
    *,
    threads: int = 1,
    batch: int = 1,
    store: str = DEFAULT_STORE,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Profile:
    """Measure what a space, or one network, asks of a platform.

    Args:
        subject: The space or network.
        platform: ``RUNTIME[/DEVICE][:PRECISION]``.
        threads: Threads of one inference.
        batch: Inputs in one inference.
        store: Path or URL of the store of raw samples; what it already holds is not measured again.
        budget: How long to measure.
        progress: Called with the seconds of measurement done and expected.

    Raises:
        InputError: An unknown platform, or a store that cannot be opened.
        PlatformUnavailable: The platform cannot run here.
        MeasurementError: Nothing could be measured.
    """
    networks = [subject] if isinstance(subject, Network) else sampled_networks(expand(subject))
    name = "one network" if isinstance(subject, Network) else subject.name
    target = get_platform(platform, threads, batch)
    record = platform_record(target)
    opened = Store(store, record)
    try:
        campaign = Campaign(target, opened, progress=progress)
        limits = budget or Budget()

        def enough(runs: Sequence[Run]) -> bool:
            return limits.error > 0 and held_out_error(gather(runs, target.deterministic)) < limits.error

        runs = campaign.cover(networks, limits, enough)
        return Profile(record, name, runs, campaign.measured)
    finally:
        opened.close()
