"""Rules of a behaviour study in a cut: what they drop, what they never do, and that the certificate stays right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, run
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Cost, GivenProfile, enumerated, latencies, random_costs, round_up, space_of, spaces
from test_several_platforms import Named

from spacecut.cut import Reduction, Rule, RuleBook, check_certificate, cut, read_rules
from spacecut.cut.rules import RULES_FILE, write_rules
from spacecut.errors import InputError
from spacecut.operators import Operator
from spacecut.operators.operator import encode, macs
from spacecut.space import SearchSpace, save_space

HERE = "given"
STEPS = tuple(
    Rule(platform=HERE, finding=1, dimension="channels", kind=kind, side=side, multiple=8, evidence="8, 16, 24")
    for kind, side in (("conv2d", "out_channels"), ("conv2d", "in_channels"), ("depthwise_conv2d", ""))
)
NO_GATE = Rule(platform=HERE, finding=2, dimension="squeeze_excite", evidence="+80 %")
NO_SWISH = Rule(
    platform=HERE, finding=3, dimension="activation", avoid="swish", prefer=("relu", "relu6"), evidence="+40 %"
)
KERNELS = Rule(platform=HERE, finding=4, dimension="kernel", kind="depthwise_conv2d", evidence="0.2")
LOSSY_GATE = Rule(platform=HERE, finding=6, dimension="squeeze_excite", evidence="11 dB")


def book(*rules: Rule) -> RuleBook:
    return RuleBook(platforms=(HERE,), rules=rules)


def network_space() -> SearchSpace:
    choices = {
        "width": {"candidates": [5, 6, 8, 12, 16], "order": "larger"},
        "kernel": {"candidates": [3, 5], "order": "larger"},
        "act": {"candidates": ["relu", "hardswish", "swish"], "order": "none"},
        "se": {"candidates": [0, 1], "order": "larger"},
        "depth": {"candidates": [1, 2, 3], "order": "larger"},
    }
    network = [
        {"conv2d": {"out_channels": "width", "kernel": 3, "activation": "act"}},
        {"depthwise_conv2d": {"kernel": "kernel", "activation": "act"}},
        {"squeeze_excite": {"reduced": 4, "when": "se == 1"}},
        {"squeeze_excite": {"reduced": 4, "when": "depth > 1"}},
        {"conv2d": {"out_channels": 8, "kernel": 1, "when": "depth > 1"}},
        {"conv2d": {"out_channels": 8, "kernel": 1}},
    ]
    return space_of(choices, network)


def price(operator: Operator) -> float:
    """Compute, with dear gates and swish."""
    cost = 1e-5 * float(macs(encode([operator]))[0])
    return cost + (1.0 if operator.kind == "squeeze_excite" else 0.0) + (0.5 if operator.activation == "swish" else 0.0)


def verdicts(reduction: Reduction, choice: str) -> dict[object, tuple[str, object]]:
    return {d.candidate: (d.verdict, d.dominator) for d in reduction.decisions if d.choice == choice}


def ruled(*rules: Rule, cost: Cost = price, **asked: Any) -> Reduction:
    space = network_space()
    reduction = cut(space, GivenProfile(space, cost), rules=book(*rules), **asked)
    certificate, model = reduction.certificate, reduction.model
    assert check_certificate(space, reduction.space, certificate, model).problems == ()
    return reduction


def test_a_rule_speaks_against_what_only_it_tells_apart() -> None:
    reduction = ruled(NO_GATE, NO_SWISH)
    assert verdicts(reduction, "se") == {0: ("kept", None), 1: ("against a rule", None)}
    assert verdicts(reduction, "act")["swish"] == ("against a rule", None)
    assert verdicts(reduction, "act")["hardswish"][0] == "kept"
    # A deeper network has one gate more, but a convolution too: it is no network without the gate.
    assert {verdict for verdict, _ in verdicts(reduction, "depth").values()} == {"dominated", "kept"}
    (gone,) = (d for d in reduction.decisions if d.choice == "se" and d.verdict != "kept")
    assert gone.rule == "finding 2 on given: no squeeze-and-excitation (+80 %)"
    covered = {old for old, _ in reduction.certificate.round_up["se"]}
    assert 1 not in covered


def test_a_rule_is_not_followed_where_it_gains_nothing() -> None:
    def free(operator: Operator) -> float:
        return 0.0 if operator.kind == "squeeze_excite" else price(operator)

    assert verdicts(ruled(NO_GATE, cost=free), "se")[1] == ("kept", None)
    # What loses accuracy falls whatever it costs.
    assert verdicts(ruled(LOSSY_GATE, cost=free), "se")[1] == ("against a rule", None)


def test_steps_and_kernels_need_only_hold_on_average() -> None:
    def uneven(operator: Operator) -> float:
        """Wider is slower behind one activation and as much faster behind the other two."""
        wider = 0.02 * operator.out_channels if operator.kind == "conv2d" and operator.kernel == 3 else 0.0
        return 1.0 + (wider if operator.activation == "relu" else -wider)

    assert verdicts(ruled(cost=uneven, tolerance=0.0), "width")[12] == ("kept", None)
    followed = ruled(*STEPS, cost=uneven, tolerance=0.0)
    assert verdicts(followed, "width")[12] == ("dominated", 16)
    assert verdicts(followed, "width")[5][0] == "dominated"
    assert verdicts(followed, "width")[8][0] == "kept"
    assert followed.certificate.slowdown > 0  # and that is what the certificate tells
    (cited,) = {d.rule for d in followed.decisions if d.choice == "width" and d.verdict == "dominated"}
    assert "multiples of 8" in cited
    assert verdicts(ruled(*STEPS), "width")[12] == ("kept", None)  # here it costs more on average


def test_a_larger_kernel_takes_the_place_of_one_that_costs_the_same() -> None:
    def flat(operator: Operator) -> float:
        return 1.0

    reduction = ruled(KERNELS, cost=flat)
    (gone,) = (d for d in reduction.decisions if d.choice == "kernel" and d.verdict == "dominated")
    assert "larger kernel" in gone.rule


def test_what_falls_by_a_rule_is_rounded_up_where_a_better_one_is_kept() -> None:
    space = network_space()
    chained = space_of(
        {"act": {"candidates": ["swish", "relu"], "order": [["swish", "relu"]]}},
        [{"conv2d": {"out_channels": 8, "kernel": 3, "activation": "act"}}],
    )
    reduction = cut(chained, GivenProfile(chained, price), rules=book(NO_SWISH))
    assert verdicts(reduction, "act") == {"swish": ("against a rule", "relu"), "relu": ("kept", None)}
    assert dict(reduction.certificate.round_up["act"]) == {"swish": "relu"}
    assert (
        cut(space, GivenProfile(space, price), rules=book()).space.size
        == cut(space, GivenProfile(space, price)).space.size
    )


def test_rules_and_a_target_size() -> None:
    reduction = ruled(NO_GATE, NO_SWISH, target_size=20)
    assert reduction.space.size <= 20
    assert verdicts(reduction, "se")[1][0] == "against a rule"


@settings(deadline=None, max_examples=60)
@given(spaces() | st.just(network_space()), st.integers(0, 1000), st.sampled_from([0.0, 0.3]))
def test_the_certificate_is_what_enumeration_finds(space: SearchSpace, seed: int, tolerance: float) -> None:
    cost = random_costs(seed)
    rules = book(*STEPS, NO_GATE, NO_SWISH, KERNELS)
    reduction = cut(space, GivenProfile(space, cost, 0.1), rules=rules, tolerance=tolerance)
    covered = {(d.choice, d.candidate) for d in reduction.decisions if d.verdict == "kept" or d.dominator is not None}
    every = enumerated(space)
    numbers = every[[covered.issuperset(space.decode(row).items()) for row in every]]
    rounded = round_up(reduction, numbers)
    old, new = (latencies(reduction.model, cost, rows) for rows in (numbers, rounded))
    assert reduction.certificate.slowdown == pytest.approx(max((new / old).max() - 1, 0.0), abs=1e-12)
    assert check_certificate(space, reduction.space, reduction.certificate, reduction.model).holds


def test_the_command_follows_rules(tmp_path: Path) -> None:
    pytest.importorskip("ethosu.regor")
    npu = "ethos-u/u55-128"
    small = network_space().restrict({"width": [8, 16], "kernel": [3], "depth": [1]})
    save_space(small, tmp_path / "space.yaml")
    gate = NO_GATE.model_copy(update={"platform": npu})
    write_rules(RuleBook(platforms=(npu,), rules=(gate,)), tmp_path / RULES_FILE)
    content = answer("cut", "space.yaml", "-p", npu, "--rules", ".", "--budget", "10", "-o", "reduced", cwd=tmp_path)
    gone = {d["choice"]: d for d in content["decisions"] if d["verdict"] == "against a rule"}
    assert gone["se"]["candidate"] == 1
    assert gone["se"]["rule"] == str(gate)
    assert content["kept"]["se"] == [0]
    assert "no squeeze-and-excitation" in (tmp_path / "reduced" / "report.html").read_text()
    assert answer("check-certificate", "reduced", cwd=tmp_path)["holds"]
    refused = run("cut", "space.yaml", "-p", "onnxruntime", "--rules", ".", cwd=tmp_path)
    assert refused.returncode == 2
    assert "not of onnxruntime" in refused.stderr


def test_several_platforms_must_all_speak_against_it() -> None:
    space = network_space()
    profiles = [Named(name, space, price) for name in (HERE, "other")]
    rules = RuleBook(platforms=(HERE, "other"), rules=(NO_GATE,))
    assert verdicts(cut(space, profiles, rules=rules), "se")[1] == ("kept", None)
    both = RuleBook(platforms=(HERE, "other"), rules=(NO_GATE, NO_GATE.model_copy(update={"platform": "other"})))
    reduction = cut(space, profiles, rules=both)
    assert verdicts(reduction, "se")[1] == ("against a rule", None)
    assert "other" in next(d.rule for d in reduction.outcomes[1].decisions if d.rule)


def test_rules_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_rules(book(*STEPS, NO_SWISH), tmp_path / RULES_FILE)
    assert read_rules(tmp_path) == read_rules(tmp_path / RULES_FILE) == book(*STEPS, NO_SWISH)
    assert json.loads((tmp_path / RULES_FILE).read_text())["spacecut_rules"] == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "no rules"),
        ('{"platforms": ["a"], "rules": [{"platform": "a", "finding": 9}]}', "rules.0.finding"),
        ('{"spacecut_rules": 2, "platforms": ["a"], "rules": []}', "spacecut_rules"),
    ],
)
def test_what_is_no_rules_is_told(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / RULES_FILE).write_text(content)
    with pytest.raises(InputError, match=named):
        read_rules(tmp_path)
    with pytest.raises(InputError, match="spacecut study"):
        read_rules(tmp_path / "nowhere")
    with pytest.raises(InputError, match="not of openvino; make them with `spacecut study -p openvino"):
        book().of("openvino")
