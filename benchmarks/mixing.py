"""What precisions chosen layer by layer gain over all float32 and all int8, measured end to end.

    make bench-mixing

Each network is cut with a precision to choose for every layer with weights (``cut --mix int8``); the fastest mix that
is left, by the latency model, is then measured in turn with the network in float32 and in int8 throughout, and with the
mix that has the fewest layers in int8 and is predicted to be hardly slower. Writes
``benchmarks/results/mixing-DATE.md``. Nothing else should run meanwhile; it takes about 40 minutes. What is measured is
kept under ``.spacecut/mixing``: a run that was stopped goes on from there, and ``--fresh`` measures everything anew.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import spacecut
from spacecut.cut import TOLERANCE, mix
from spacecut.latency import SumTable, Trellis
from spacecut.latency.elimination import minimum
from spacecut.latency.evidence import whole_latencies
from spacecut.latency.profile import read_profile
from spacecut.measure import interleave, platform_record
from spacecut.operators import Network
from spacecut.platforms import get_platform
from spacecut.space.ranges import shown_size

RESULTS = Path(__file__).parent / "results"
FOLDER = Path(".spacecut/mixing")
SPACES = ("mobilenet/v2", "mobilenet/v3_large")
PLATFORMS = ("onnxruntime", "openvino")
SECONDS = 420.0
PASSES = 8
SPARING = 1.05
"""So much slower than the fastest mix may the one be that has the fewest layers in int8."""
FLOAT, INT8, FASTEST, SPARSE = "all float32", "all int8", "fastest mix", "fewest int8 within 5 %"


@dataclass(frozen=True)
class Pair:
    """A network on a platform.

    Attributes:
        name: Of the network's space.
        platform: Of the platform.
        cut: What the cut left.
        model: Latency over all mixes.
        mixes: The architectures to measure.
        measured: Milliseconds of each mix's quiet passes.
    """

    name: str
    platform: str
    cut: spacecut.Reduction
    model: spacecut.LatencyModel
    mixes: Mapping[str, Mapping[str, str]]
    measured: Mapping[str, list[float]]

    def network(self, what: str) -> Network:
        """One of the mixes as a network."""
        return network_of(self.model, self.mixes[what])

    def rows(self) -> list[str]:
        """The mixes, as Markdown."""
        ms = {what: float(np.median(found)) for what, found in self.measured.items()}
        lines = []
        for what, taken in self.measured.items():
            (predicted,) = self.model.predict(self.mixes[what])
            low, high = (bound[0] for bound in self.model.interval(self.mixes[what]))
            network = self.network(what)
            layers = sum(word == "int8" for word in self.mixes[what].values())
            conversions = sum(operator.conversions for operator in network.operators)
            noise = f" ± {np.std(np.log(taken), ddof=1):.1%}" if len(taken) > 1 else ""
            lines.append(
                f"| {self.name} | {self.platform} | {what} | {layers} of {len(self.mixes[what])} | {conversions} | "
                f"{predicted:.2f} ({low:.2f} to {high:.2f}) | {ms[what]:.2f}{noise} | "
                f"{ms[FLOAT] / ms[what]:.2f} | {ms[INT8] / ms[what]:.3f} |"
            )
        return lines

    def left(self) -> str:
        """What the cut decided, as Markdown."""
        dropped = [decision for decision in self.cut.decisions if decision.verdict == "dominated"]
        layers = len(self.cut.full.choices)
        certified = self.cut.certificate.slowdown
        return (
            f"| {self.name} | {self.platform} | {len(dropped)} of {layers} | {shown_size(self.cut.full.size)} | "
            f"{shown_size(self.cut.space.size)} | {certified:.1%} | {self.model.correction.error:.1%} |"
        )


def network_of(model: spacecut.LatencyModel, architecture: Mapping[str, str]) -> Network:
    """One architecture's network."""
    return model.workload.network(model.space.encode(architecture)[0])


def sparing(model: spacecut.LatencyModel, most_ms: float) -> dict[str, str]:
    """The fewest layers in int8 that a price for each of them finds within so many ms, by bisection of the price."""
    lengths = model.space.lengths

    def at(price: float) -> np.ndarray:
        prices = [SumTable((position,), np.asarray([price, 0.0])) for position in range(len(lengths))]
        return minimum(Trellis(lengths, [*model.tables, *prices]))[1]

    low, high = 0.0, most_ms
    for _ in range(40):
        middle = (low + high) / 2
        if model.predict(at(middle)[None])[0] <= most_ms:
            low = middle
        else:
            high = middle
    return {name: str(word) for name, word in model.space.decode(at(low)).items()}


def mixed(name: str, platform: str, seconds: float, passes: int, size: int | None) -> Pair:
    """Profile, cut and measure one pair."""
    space = spacecut.load_space(name)
    stem = f"{name.replace('/', '-')}-{platform}{'' if size is None else f'-{size}'}"
    full = mix(space if size is None else space.on_input((3, size, size)))
    budget = spacecut.Budget(seconds=seconds)
    profile = spacecut.profile(full, platform, store=str(FOLDER / f"{stem}.sqlite"), budget=budget)
    model = profile.latency_model(full)
    cut = spacecut.cut(full, profile)
    least, fastest = profile.latency_model(cut.space).fastest()
    mixes = {
        FLOAT: {choice.name: "platform" for choice in full.choices},
        INT8: {choice.name: "int8" for choice in full.choices},
        FASTEST: {choice: str(word) for choice, word in fastest.items()},
        SPARSE: sparing(model, SPARING * least),
    }
    keys = {what: network_of(model, architecture).key for what, architecture in mixes.items()}
    path = FOLDER / f"{stem}.gz"
    target = get_platform(platform)
    if not path.exists():
        runs = interleave(target, list(dict.fromkeys(keys.values())), passes, 0)
        spacecut.Profile(platform_record(target), full.name, runs).save(path)
    taken = whole_latencies(read_profile(path).runs)
    if lacking := [what for what, key in keys.items() if key not in taken]:
        raise SystemExit(f"{path} has no {', '.join(lacking)}: it is of another profile; delete it")
    return Pair(name, platform, cut, model, mixes, {what: taken[key] for what, key in keys.items()})


def main() -> None:
    """Measure what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="measure everything anew")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of measurement for each profile")
    parser.add_argument("--passes", type=int, default=PASSES, help="of the networks measured in turn")
    parser.add_argument("--size", type=int, help="height and width of the input, where it is not to be the network's")
    asked = parser.parse_args()
    if asked.fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    pairs = []
    for name in SPACES:
        for platform in PLATFORMS:
            pairs.append(mixed(name, platform, asked.seconds, asked.passes, asked.size))
            print("\n".join(pairs[-1].rows()), flush=True)
    today = datetime.now(UTC).date().isoformat()
    records = [platform_record(get_platform(platform)) for platform in PLATFORMS]
    text = f"""# Precisions layer by layer, {today}

{records[0].machine}; {", ".join(f"{record.name} {record.version}" for record in records)}; one thread, batch 1, input
{"of the network" if asked.size is None else f"3x{asked.size}x{asked.size}"}. Repeat with `make bench-mixing`. Every \
layer with weights chooses between float32 and int8; what lies
between follows the layer before it. Profiles of {asked.seconds:g} s. Measured: median of at least {asked.passes} passes
in turn, quiet ones only, and the standard deviation between them; predicted with 90 % intervals. *Fewest int8*: the mix
with the fewest layers in int8, by a price for each, that is predicted to be at most {SPARING - 1:.0%} slower than the
fastest. Conversions: how many times an operator reads what another precision gave.

| network | platform | mix | layers in int8 | conversions | predicted, ms | measured, ms | × float32 | × int8 |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(line for pair in pairs for line in pair.rows())}

How many times as fast as float32 and as int8 throughout each mix was measured to be.

## What the cuts dropped, at the tolerance of {TOLERANCE:.0%}

Int8 falls where float32 is not slower, whatever the neighbours are in.

| network | platform | int8 dropped in | mixes | left | certified slow-down | error of the model |
|---|---|---|---|---|---|---|
{chr(10).join(pair.left() for pair in pairs)}
"""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"mixing-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
