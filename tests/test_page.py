"""The page of a cut, in a real browser where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from models import enumerated, space_of

from spacecut.cut import Reduction, cut
from spacecut.latency import Profile
from spacecut.measure import PlatformRecord, Run, Task
from spacecut.operators import Operator, expand
from spacecut.report import write_reduction_page
from spacecut.space import SearchSpace

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def small() -> SearchSpace:
    names = ("stem", "body", "head")
    choices = {name: {"candidates": [4, 8, 12, 16], "order": "larger"} for name in names}
    return space_of(choices, [{"conv2d": {"out_channels": name, "kernel": 1}} for name in names], name="a <b> & c")


def steps(operator: Operator) -> float:
    return 0.1 * -(-operator.out_channels // 8) + 0.001 * operator.in_channels


def simulated(name: str, space: SearchSpace) -> Profile:
    """A profile of a simulated platform: every network, with its node times."""
    workload, runs = expand(space), []
    for row in enumerated(space):
        network = workload.network(row)
        times = {number: (steps(node.operator),) * 3 for number, node in enumerate(network.nodes)}
        total = (0.2 + sum(values[0] for values in times.values()),) * 3
        for repeat in range(2):
            runs.append(
                Run(Task(network.key, True, repeat), f"2026-01-02T03:04:0{repeat}+00:00", 0.5, total, times, total)
            )
    return Profile(PlatformRecord(name, "1", "cpu", "fp32", 1, 1, "simulated"), space.name, runs)


def saved(folder: Path, **asked: Any) -> Reduction:
    reduction = cut(small(), [simulated(name, small()) for name in ("one", "other")], **asked)
    reduction.save(folder)
    return reduction


def test_the_page_holds_everything_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    reduction = saved(tmp_path, target_size=8)
    text = write_reduction_page(tmp_path).read_text()
    assert "a &lt;b&gt; &amp; c: 64 →" in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    for outcome in reduction.outcomes:
        assert f"<h2>{outcome.certificate.platform}</h2>" in text
        assert f"{outcome.certificate.slowdown:.2%} slower" in text
    assert text.count("<figure>") == 1 + 2 * 2  # staircases; inflation and fronts of each platform
    assert f"{2 * 12} decisions" in text
    assert "128 runs in 64 s, 0 of them disturbed, from 2026-01-02T03:04:00+00:00 to 2026-01-02T03:04:01" in text


def test_a_verification_is_shown(tmp_path: Path) -> None:
    saved(tmp_path, tolerance=0.05)
    (tmp_path / "verification.csv").write_text(
        "predicted_ms,measured_ms,rounded_predicted_ms,rounded_measured_ms,noise\n"
        "1.0,1.02,1.1,1.2,0.01\n2.0,2.3,2.1,2.2,0.01\n"
    )
    assert "50% are predicted within ±5 %, 50% within ±10 %" in write_reduction_page(tmp_path).read_text()
    saved(tmp_path, tolerance=0.05)  # what was verified was another cut
    assert not (tmp_path / "verification.csv").exists()
    assert not (tmp_path / "report.html").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)")
@pytest.mark.parametrize("size", ["1200,900", "390,844"])
def test_a_browser_draws_every_figure_without_an_error(tmp_path: Path, size: str) -> None:
    saved(tmp_path, target_size=8)
    page = write_reduction_page(tmp_path)
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={tmp_path / 'browser'}", f"--window-size={size}", "--virtual-time-budget=8000",
        f"--screenshot={tmp_path / 'page.png'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    wrong = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not wrong
    assert done.stdout.count('class="main-svg"') >= 5
    assert (tmp_path / "page.png").stat().st_size > 10_000
