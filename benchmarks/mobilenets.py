"""The study's opening example: MobileNetV1, V2 and V3-Large on every runtime, measured in turn.

    make bench-mobilenets

`spacecut compare` measures one network after the other, and a shared machine is a fifth faster in one minute than in
another. Here the networks take turns on each platform, so that their ratios hold whatever the machine does. Writes
``benchmarks/results/mobilenets-DATE.md``. Nothing else should run meanwhile; it takes some five minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import spacecut
from spacecut.latency.evidence import whole_latencies
from spacecut.measure import interleave, platform_record
from spacecut.operators import expand
from spacecut.platforms import get_platform

RESULTS = Path(__file__).parent / "results"
MODELS = ("mobilenet/v1", "mobilenet/v2", "mobilenet/v3_large")
RUNTIMES = ("onnxruntime", "openvino", "litert", "litert-builtin", "tflite-runtime", "ncnn", "torch")
PLATFORMS = (*RUNTIMES, "onnxruntime:int8", "openvino:int8", "litert:int8", "tflite-runtime:int8")
PASSES = 10


def row(platform: str) -> str:
    """Milliseconds of each network with the spread of its passes, and V3 over V2, as Markdown."""
    spaces = [spacecut.load_space(name) for name in MODELS]
    keys = [expand(space).network(np.zeros(len(space.choices), dtype=np.int64)).key for space in spaces]
    taken = whole_latencies(interleave(get_platform(platform), keys, PASSES, 0))
    ms = [float(np.median(taken[key])) for key in keys]
    noise = [float(np.std(np.log(taken[key]), ddof=1)) if len(taken[key]) > 1 else float("nan") for key in keys]
    cells = [f"{value:.3g} ± {spread:.1%}" for value, spread in zip(ms, noise, strict=True)]
    return f"| {platform} | {' | '.join(cells)} | {ms[2] / ms[1]:.2f} |"


def main() -> None:
    """Measure all platforms and write the results."""
    rows = []
    for platform in PLATFORMS:
        rows.append(row(platform))
        print(rows[-1], flush=True)
    today = datetime.now(UTC).date().isoformat()
    text = f"""# MobileNets, {today}

{platform_record(get_platform(PLATFORMS[0])).machine}; one thread, batch 1, 224x224.
Repeat with `make bench-mobilenets`. Milliseconds, the median of the quiet ones of {PASSES} passes in turn and the
standard deviation between them; where one pass alone was quiet there is none.

| platform | V1 | V2 | V3-Large | V3 / V2 |
|---|---|---|---|---|
{chr(10).join(rows)}
"""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"mobilenets-{today}.md").write_text(text)


if __name__ == "__main__":
    main()
