"""The behaviour study: verdicts on platforms whose behaviour is given, and a quick walk of a real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import answer, run
from test_quantisation import network as small_network
from test_quantisation import trained_files

import spacecut
from spacecut.cut import read_rules
from spacecut.latency import Profile
from spacecut.measure import PlatformRecord, Run, Task
from spacecut.operators import Network, Operator, expand
from spacecut.operators.operator import encode, macs
from spacecut.study import Comparison, Finding, ModelOnPlatform, Walk, judge, judge_platforms
from spacecut.study.walk import DIMENSIONS, _dimension, studied_spaces

Cost = Callable[[Operator], float]


def walked(cost: Cost, platform: str = "simulated") -> Walk:
    """A walk of a simulated platform."""
    dimensions = {}
    for name, place in DIMENSIONS.items():
        space = spacecut.load_space(place)
        workload, runs = expand(space), []
        for row in np.indices(space.lengths).reshape(len(space.lengths), -1).T:
            network = workload.network(row)
            times = {number: (cost(node.operator),) * 3 for number, node in enumerate(network.nodes)}
            total = (1e-4 + sum(values[0] for values in times.values()),) * 3
            runs += [
                Run(Task(network.key, True, n), "2026-01-01T00:00:00+00:00", 0.1, total, times, total) for n in (0, 1)
            ]
        profile = Profile(PlatformRecord(platform, "1", "cpu", "fp32", 1, 1, "none"), space.name, runs)
        dimensions[name] = _dimension(space, profile)
    return Walk(platform, False, dimensions)


def compute(operator: Operator) -> float:
    return float(macs(encode([operator]))[0]) * 1e-6


def stepped(operator: Operator) -> float:
    """Steps of 16 channels, kernels that hardly cost, dear gates, new activations that are not fused."""
    width = -(-operator.out_channels // 16)
    if operator.kind == "conv2d":
        width *= -(-operator.in_channels // 16)
    cost = width * 0.02 * operator.kernel**0.3
    if operator.kind == "squeeze_excite":
        cost = 10.0
    return cost + (0.0 if operator.activation in ("none", "relu", "relu6") else 0.5)


def smooth(operator: Operator) -> float:
    """Latency is compute, and everything else is free."""
    return 0.0 if operator.kind == "squeeze_excite" else compute(operator)


def test_a_stepped_platform_has_every_finding() -> None:
    verdicts = {finding.number: finding.verdict for finding in judge(walked(stepped))}
    assert verdicts == {1: "holds", 2: "holds", 3: "holds", 4: "holds", 5: "not measured", 6: "not measured"}
    first, second, third, *_ = judge(walked(stepped))
    assert "16, 32, 48, 64, 80, 96" in first.said
    assert "conv" in second.rule
    assert "relu6" in third.rule
    assert "swish," not in third.rule


def test_a_smooth_platform_has_none() -> None:
    verdicts = {finding.number: finding.verdict for finding in judge(walked(smooth))}
    assert verdicts == {
        1: "does not hold",
        2: "does not hold",
        3: "does not hold",
        4: "does not hold",
        5: "not measured",
        6: "not measured",
    }


def test_a_lower_precision_is_judged_block_by_block() -> None:
    def int8(operator: Operator) -> float:
        return stepped(operator) * (2.0 if operator.kind == "squeeze_excite" else 0.25)

    lower = "simulated:int8"
    finding = judge(walked(stepped), {lower: walked(int8, lower)})[4]
    assert finding.verdict == "holds"
    assert finding.figures["int8 conv"] == pytest.approx(4.0, rel=0.3)
    assert finding.figures["int8 depthwise_conv2d swish"] == pytest.approx(4.0, rel=0.3)
    assert finding.figures["int8 conv with SE"] < 1
    assert "conv with SE" in finding.rule
    (rule,) = finding.rules
    assert (rule.platform, rule.dimension, rule.finding) == (lower, "squeeze_excite", 5)
    even = judge(walked(stepped), {lower: walked(lambda o: stepped(o) / 2, lower)})[4]
    assert (even.verdict, even.rules) == ("does not hold", ())

    def no_swish(operator: Operator) -> float:
        return stepped(operator) / 4 + (3.0 if operator.activation == "swish" else 0.0)

    (rule,) = judge(walked(stepped), {lower: walked(no_swish, lower)})[4].rules
    assert (rule.avoid, rule.platform) == ("swish", lower)
    assert "hardswish" in rule.prefer


def test_rules_are_what_was_put_in() -> None:
    rules = {(r.dimension, r.kind, r.side, r.multiple, r.avoid) for f in judge(walked(stepped)) for r in f.rules}
    assert {rule for rule in rules if rule[0] == "channels"} == {
        ("channels", "conv2d", "out_channels", 16, ""),
        ("channels", "conv2d", "in_channels", 16, ""),
        ("channels", "depthwise_conv2d", "", 16, ""),
    }
    assert {rule[4] for rule in rules if rule[0] == "activation"} >= {"swish", "hardswish"}
    assert {rule[1] for rule in rules if rule[0] == "kernel"} == {"conv2d", "depthwise_conv2d"}
    assert not [rule for finding in judge(walked(smooth)) for rule in finding.rules]


def test_platforms_are_compared_by_their_rules() -> None:
    walks = {name: walked(cost, name) for name, cost in (("one", stepped), ("two", stepped), ("three", smooth))}
    findings = {name: judge(found) for name, found in walks.items()}

    def verdicts(*names: str) -> dict[str, Finding]:
        return judge_platforms({name: walks[name] for name in names}, {name: findings[name] for name in names})

    assert {finding.verdict for finding in verdicts("one", "two").values()} == {"does not hold"}
    assert {finding.verdict for finding in verdicts("one", "three").values()} == {"holds"}
    assert verdicts("one")["one"].verdict == "not measured"
    shares = verdicts("one", "two", "three")["three"].figures
    assert shares["share of rules in common with one"] == 0.0
    assert shares["share of configurations that run"] == 1.0
    assert 0 < shares["share of blocks at which it is the fastest"] <= 1


def test_what_did_not_run_is_told(tmp_path: Path) -> None:
    space = spacecut.load_space(DIMENSIONS["activations"])
    network = expand(space).network(np.zeros(2, dtype=np.int64))
    runs = [Run(Task(network.key, True, 0), "2026-01-01T00:00:00+00:00", 0.1, error="RuntimeError: no such operator")]
    found = _dimension(space, Profile(PlatformRecord("p", "1", "cpu", "fp32", 1, 1, "none"), space.name, runs))
    assert not found.points
    assert found.failures[0] == ({"kind": "conv2d", "activation": "none"}, "RuntimeError: no such operator")
    assert found.failures[1][1] == "not measured within the budget"


def test_a_study_in_full_walks_every_dimension_on_every_input() -> None:
    quick, full = studied_spaces(quick=True), studied_spaces(quick=False)
    assert quick.keys() < full.keys()
    assert sum(space.size for space in quick.values()) == 141
    assert sum(space.size for space in full.values()) == 8357
    assert len({space.document.input for space in full.values()}) == 17


def test_a_quick_study_of_a_live_platform(tmp_path: Path) -> None:
    model, inputs = trained_files(tmp_path, small_network())
    asked = ("study", "-p", "onnxruntime:int8", "--quick", "--quantise", model, "--inputs", inputs, "-o", "study")
    shown = run(*asked, cwd=tmp_path)
    assert "Are activations free?" in shown.stdout
    content = json.loads((tmp_path / "study" / "study.json").read_text())
    assert content["spacecut_study"] == 1
    (platform,) = content["platforms"]
    assert [finding["number"] for finding in platform["findings"]] == [1, 2, 3, 4, 5, 6, 7]
    known = {"holds", "mixed", "does not hold"}
    assert all(finding["verdict"] in known for finding in platform["findings"][:4])
    assert not platform["failures"]
    assert (tmp_path / "study" / "report.html").is_file()
    assert read_rules(tmp_path / "study").platforms == ("onnxruntime:int8",)
    assert platform["findings"][5]["said"].startswith("model.onnx: ")


def test_networks_are_compared(tmp_path: Path) -> None:
    from spacecut.operators.onnx_builder import build_onnx

    network = Network.single(Operator.parse("conv2d 8->8 @14x14 k3 s1 relu"))
    (tmp_path / "small.onnx").write_bytes(build_onnx(network))
    both = ("compare", "small.onnx", "mobilenet/v3_large", "-p", "onnxruntime", "-p", "litert")
    content = answer(*both, "-o", "compared", cwd=tmp_path)
    assert set(content["macs"]) == {"small.onnx", "mobilenet/v3_large"}
    assert len(content["entries"]) == 4
    for entry in content["entries"]:
        assert entry["ms"] > 0
        assert sum(ms for kind, ms in entry["by_kind"].items() if kind.startswith("conv2d")) > 0
    assert (tmp_path / "compared" / "report.html").is_file()
    assert "conv2d" in run(*both, cwd=tmp_path).stdout


def test_what_is_slower_in_spite_of_less_compute_is_told_with_what_is_to_blame() -> None:
    def entry(model: str, platform: str, ms: float | None, **by_kind: float) -> ModelOnPlatform:
        return ModelOnPlatform(model, platform, "p 1", ms, 0.01, by_kind, "" if ms else "does not run")

    compared = Comparison(
        {"large": 3000, "small": 2000},
        (
            entry("large", "cpu", 3.0, conv2d=3.0),
            entry("large", "npu", 2.0, conv2d=1.9, add=0.1),
            entry("large", "dsp", 1.99, conv2d=1.99),
            entry("large", "gpu", None),
            entry("small", "cpu", 2.0, conv2d=2.0),
            entry("small", "npu", 5.0, hardswish=3.0, conv2d=1.0, swish=0.5, sigmoid=0.3, add=0.2),
            entry("small", "dsp", 2.0, conv2d=2.0),  # within the noise
            entry("small", "gpu", 1.0, conv2d=1.0),
        ),
    )
    (upset,) = compared.upsets()
    assert (upset.model, upset.other, upset.platform, upset.slower) == ("small", "large", "npu", 2.5)
    assert upset.blamed == {"hardswish": 3.0, "swish": 0.5, "sigmoid": 0.3}
    assert str(upset).startswith("On npu small takes 2.50 times what large takes, with 0.67 of its compute: +3 ms in ")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("study", "-p", "onxruntime"), "onxruntime"),
        (("study",), "platform"),
        (("compare", "nowhere.onnx", "-p", "onnxruntime"), "nowhere.onnx"),
        (("compare", "nasbench201/cell", "-p", "onnxruntime"), "15625 networks"),
        (("study", "-p", "phone.json"), "networks are run here"),
        (("compare", "mobilenet/v2", "-p", "phone.json"), "networks are run here"),
    ],
)
def test_bad_usage_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    (tmp_path / "phone.json").touch()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
