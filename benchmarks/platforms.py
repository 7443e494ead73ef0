"""The main job on every platform, as a user runs it: `spacecut cut` within a minute of measurement, `spacecut verify`.

    make bench-platforms            every platform that can run here
    .venv/bin/python benchmarks/platforms.py ncnn litert:int8    some of them

Writes ``benchmarks/results/platforms-DATE.md`` with all platforms answered for so far. What the commands answered is
kept under ``out/platforms``, so a run that was stopped goes on from there. Nothing else should run meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import spacecut
from spacecut.space.ranges import shown_size

RESULTS = Path(__file__).parent / "results"
KEPT = Path("out/platforms")
SPACE = "metapruning/mobilenet_v1"
SECONDS = 60
NPUS = ("ethos-u/u55-128", "ethos-u/u65-512", "ethos-u/u85-512")
"""One of each family; the others differ in how many units they have."""


def names() -> list[str]:
    """Every platform that can run here, in each of its precisions."""
    found = []
    for runtime, status in spacecut.platform_statuses().items():
        if runtime == "ethos-u":
            found += NPUS if status.available else ()
            continue
        for device in status.devices:
            where = f"{runtime}/{device}" if runtime == "torch" else runtime
            words = ("fp32",) if where == "torch/cpu" else status.precisions
            found += [where if word == "fp32" else f"{where}:{word}" for word in words]
    return found


def answer(*arguments: str) -> dict[str, Any]:
    """What a command answers in JSON."""
    done = subprocess.run([sys.executable, "-m", "spacecut", *arguments, "--json"], stdout=subprocess.PIPE, check=True)
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def job(platform: str) -> None:
    """Cut and verify, unless that was done before."""
    folder = KEPT / platform.replace("/", "_").replace(":", "_")
    kept = folder / "answers.json"
    if kept.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    options = ("-p", platform, "--budget", str(SECONDS), "-o", str(folder), "--store", str(folder / "store.sqlite"))
    answers = {"cut": answer("cut", SPACE, *options), "verify": answer("verify", str(folder))}
    kept.write_text(json.dumps({"platform": platform, **answers}))


def row(answers: dict[str, Any]) -> str:
    """A line of the table."""
    cut, found = answers["cut"], answers["verify"]
    record, slowdowns = cut["profile"]["platform"], [pair["slowdown"] for pair in found["pairs"]]
    measured = [pair["measured_ms"] for pair in found["pairs"]]
    estimate = " (estimated)" if record["estimated_by"] else ""
    return (
        f"| {answers['platform']}{estimate} | {record['version']} | {min(measured):.3g}–{max(measured):.3g} | "
        f"{cut['profile']['runs']} in {cut['profile']['seconds']:.0f} s | {shown_size(int(cut['reduced_size']))} | "
        f"{found['within_5_percent']:.0%} / {found['within_10_percent']:.0%} | {found['rank_correlation']:.3f} | "
        f"{found['drift']:+.1%} | {found['certified_slowdown']:.1%} | {np.median(slowdowns):+.1%} "
        f"({min(slowdowns):+.1%} to {max(slowdowns):+.1%}) | {found['violations']} |"
    )


def main() -> None:
    """Do what is left to do, and write the table."""
    for platform in sys.argv[1:] or names():
        job(platform)
    answers = [json.loads(path.read_text()) for path in sorted(KEPT.glob("*/answers.json"))]
    machines = {a["cut"]["profile"]["platform"]["machine"] for a in answers}
    today = datetime.now(UTC).date().isoformat()
    text = f"""# The main job on every platform, {today}

`spacecut cut {SPACE} -p PLATFORM --budget {SECONDS}`, then `spacecut verify`: 20 random architectures
and what they are rounded up to, end to end. One thread, batch 1. Repeat with `make bench-platforms`. Machines:

{chr(10).join(f"- {machine}" for machine in sorted(machines))}

| platform | version | ms | profile's runs | architectures left | within ±5 / ±10 % | Spearman | drift | certified | \
slow-down by rounding up | broken |
|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(map(row, answers))}

Of {shown_size(31**13)} architectures. ms: the fastest and the slowest of the 20. Within: share of the 20 that are
predicted so well. Drift: how the profile's own networks changed until the verification, a part of the errors.
Certified: the largest slow-down by rounding up; then what it was measured to be, median and range (negative: the wider
network is faster); broken: pairs slower than certified by more than the noise. Where it says *estimated*, nothing was
run: the milliseconds are the compiler's own, and its prediction is what is checked.
"""
    (RESULTS / f"platforms-{today}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
