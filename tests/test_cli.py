"""The command line end to end, as a user runs it, on real runtimes."""

from __future__ import annotations

import csv
import json

import pytest
from command_line import answer, answer_apart, run, run_apart

import spacecut
from spacecut.cli import app, main

STUDY = "behaviour_study/conv3x3_out_channels"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder with a small study cut on each platform."""
    folder = tmp_path_factory.mktemp("cli")
    space = spacecut.load_space(STUDY).restrict({"width": [8, 16, 24, 32, 40, 48]})
    spacecut.save_space(space, folder / "small.yaml")
    return folder


@pytest.mark.parametrize("command", [command.callback.__name__ for command in app.registered_commands])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command.replace("_", "-"), "--help"])
    assert not ended.value.code
    told = capsys.readouterr().out
    assert "Usage: spacecut" in told
    if "RUNTIME" in told:
        assert "RUNTIME[/DEVICE][:PRECISION]" in told


@pytest.mark.parametrize("platform", ["onnxruntime", "openvino", "litert"])
def test_cut_score_verify_on_every_live_platform(workspace, platform):
    directory = workspace / platform
    content = answer_apart("cut", "small.yaml", "-p", platform, "-o", directory, cwd=workspace)
    assert content["full_size"] == "6"
    assert 1 <= int(content["reduced_size"]) <= 6
    kept = content["kept"]["width"]
    assert 48 in kept  # nothing is better than the widest
    for decision in content["decisions"]:
        assert decision["latency_ms"] > 0
        if decision["verdict"] == "dominated":
            assert decision["dominator"] in kept
            assert decision["dominator"] > decision["candidate"]
            assert decision["noise_ms"] > 0
    names = {path.name for path in directory.iterdir()}
    assert {"reduced.yaml", "space.yaml", "decisions.csv", "certificate.json", "profile.jsonl.gz"} <= names
    with (directory / "decisions.csv").open() as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == [d["verdict"] for d in content["decisions"]]
    assert spacecut.load_space(directory / "reduced.yaml").size == int(content["reduced_size"])

    again = answer_apart("cut", "small.yaml", "-p", platform, "-o", directory, cwd=workspace)
    assert again["profile"]["fresh"] == 0
    assert again["kept"] == content["kept"]

    scored = answer_apart("score", directory, "--max-latency", "1000", "--top", "2", "--pareto", cwd=workspace)
    assert scored["size"] == scored["count"] == content["reduced_size"]
    assert scored["largest"][0]["architecture"] == {"width": 48}
    assert scored["pareto"]

    checked = answer_apart("check-certificate", directory, cwd=workspace)
    assert checked["holds"]
    assert checked["slowdown"] == content["certificate"]["slowdown"]
    certificate = workspace / directory / "certificate.json"
    honest = certificate.read_text()
    certificate.write_text(json.dumps({**json.loads(honest), "full_size": "7"}))
    refused = run_apart("check-certificate", directory, cwd=workspace)
    assert refused.returncode == 2
    assert "does not hold: the full space has" in refused.stderr
    certificate.write_text(honest)

    verified = answer_apart("verify", directory, "--samples", "3", cwd=workspace)
    assert len(verified["pairs"]) == 3
    assert all(pair["measured_ms"] > 0 for pair in verified["pairs"])
    assert (directory / "verification.csv").is_file()


def test_cut_of_a_large_space_within_a_short_budget(workspace):
    arguments = ("cut", "metapruning/mobilenet_v1", "-p", "onnxruntime", "--budget", "6", "-o", "large")
    content = answer(*arguments, cwd=workspace)
    assert content["full_size"] == str(31**13)
    assert int(content["reduced_size"]) < 31**13
    assert {len(kept) > 0 for kept in content["kept"].values()} == {True}
    assert len(content["decisions"]) == 13 * 31
    assert content["certificate"]["slowdown"] >= 0
    for core in ("Nehalem", "Haswell"):  # what other processors round otherwise decides nothing
        assert answer_apart("check-certificate", "large", cwd=workspace, OPENBLAS_CORETYPE=core)["holds"]
    target = answer(*arguments, "--target-size", "4^13", cwd=workspace)
    assert int(target["reduced_size"]) <= 4**13
    assert target["target_size"] == str(4**13)
    assert target["tolerance"] is None
    assert 0 <= target["front_inflation"]["mean"] <= target["front_inflation"]["worst"]
    shown = run(*arguments, cwd=workspace)
    assert "certificate" in shown.stdout
    assert "slot12" in shown.stdout


def test_one_space_for_two_platforms(workspace):
    both = ("-p", "onnxruntime", "-p", "litert")
    content = answer(
        "cut", "small.yaml", *both, "--max-latency", "900", "--max-latency", "1000", "-o", "both", cwd=workspace
    )
    assert [entry["max_latency_ms"] for entry in content["platforms"]] == [900, 1000]
    names = [entry["platform"] for entry in content["platforms"]]
    assert [entry["certificate"]["platform"] for entry in content["platforms"]] == names
    assert {"certificate-2.json", "profile-2.jsonl.gz"} <= {path.name for path in (workspace / "both").iterdir()}
    checked = answer("check-certificate", "both", cwd=workspace)
    assert [entry["platform"] for entry in checked["platforms"]] == names
    scored = answer("score", "both", "-p", names[1], cwd=workspace)
    assert scored == answer("score", "both", "-p", "litert", cwd=workspace)
    assert scored["slowest_ms"] != answer("score", "both", cwd=workspace)["slowest_ms"]
    refused = run("score", "both", "-p", "abacus", cwd=workspace)
    assert refused.returncode == 2
    assert "not cut for 'abacus'" in refused.stderr
    shown = run("cut", "small.yaml", *both, cwd=workspace).stdout
    assert shown.count("certificate:") == 2


def test_measured_losses_extend_the_order(workspace):
    space = spacecut.load_space(STUDY).restrict({"width": [8, 16]}).reordered({"width": []})
    spacecut.save_space(space, workspace / "unordered.yaml")
    (workspace / "losses.csv").write_text("choice,candidate,loss\nwidth,8,0.1\nwidth,16,0.2\n")
    arguments = ("cut", "unordered.yaml", "-p", "onnxruntime", "--tolerance", "100")
    assert answer(*arguments, cwd=workspace)["reduced_size"] == "2"
    content = answer(*arguments, "--quality", "losses.csv", cwd=workspace)
    assert content["kept"]["width"] == [8]
    assert content["quality"]["source"] == "losses.csv"
    assert "losses.csv" in run(*arguments, "--quality", "losses.csv", cwd=workspace).stdout


def test_candidates_are_added_on_the_steps(workspace):
    space = spacecut.load_space(STUDY).restrict({"width": [10, 20, 30, 40]})
    spacecut.save_space(space, workspace / "off.yaml")
    content = answer("cut", "off.yaml", "-p", "onnxruntime", "--regrid", "-o", "steps", cwd=workspace)
    (gained,) = content["regrid"]
    assert int(content["full_size"]) == 4 + gained["candidates_added"]
    assert spacecut.load_space(workspace / "steps" / "space.yaml").size == int(content["full_size"])
    assert "regrid:" in run("cut", "off.yaml", "-p", "onnxruntime", "--regrid", cwd=workspace).stdout


def test_a_saved_profile_stands_for_a_platform(workspace):
    content = answer("profile", "small.yaml", "-p", "onnxruntime", "-o", "kept/profile.jsonl.gz", cwd=workspace)
    assert content["operators"] == 6
    assert not content["failures"]
    cut = answer("cut", "small.yaml", "-p", "kept/profile.jsonl.gz", cwd=workspace)
    assert cut["profile"]["platform"] == content["platform"]


def test_an_estimate_says_so_wherever_it_is_shown(workspace):
    pytest.importorskip("ethosu")
    pytest.importorskip("ai_edge_quantizer")
    arguments = ("cut", "small.yaml", "-p", "ethos-u/u55-128", "-o", "npu")
    content = answer(*arguments, cwd=workspace)
    assert "Vela" in content["profile"]["platform"]["estimated_by"]
    assert "ESTIMATED" in content["certificate"]["platform"]
    for name in ("score", "verify"):
        assert "Vela" in answer(name, "npu", cwd=workspace)["estimated_by"]
    with (workspace / "npu" / "verification.csv").open() as file:
        assert "estimated_ms" in next(csv.reader(file))
    for shown in (arguments, ("score", "npu"), ("verify", "npu")):
        assert "Vela: nothing was run" in run(*shown, cwd=workspace).stdout
    assert answer("score", "npu", cwd=workspace)["fastest_ms"] > 0


def test_listings():
    statuses = answer_apart("platforms")["platforms"]
    assert statuses["onnxruntime"]["available"]
    assert {"openvino", "litert", "litert-builtin", "tflite-runtime", "ncnn", "torch", "ethos-u"} <= set(statuses)
    spaces = answer("spaces")["spaces"]
    assert spaces["metapruning/mobilenet_v1"]["size"] == str(31**13)
    assert run("platforms").stdout
    assert "metapruning/resnet50" in run("spaces").stdout
    assert run_apart("--help").returncode == 0


BAD = {
    "unknown command": (("bogus",), "bogus"),
    "missing argument": (("cut", "-p", "onnxruntime"), "SPACE"),
    "missing platform": (("cut", STUDY), "platform"),
    "unknown option": (("cut", STUDY, "-p", "onnxruntime", "--bogus"), "--bogus"),
    "unknown space": (("cut", "metapruning/mobilenet_v", "-p", "onnxruntime"), "did you mean"),
    "missing file": (("cut", "nowhere.yaml", "-p", "onnxruntime"), "nowhere.yaml"),
    "unknown platform": (("cut", STUDY, "-p", "onxruntime"), "did you mean onnxruntime"),
    "unknown precision": (("cut", STUDY, "-p", "onnxruntime:int3"), "int3"),
    "no threads": (("cut", STUDY, "-p", "onnxruntime", "--threads", "0"), "threads"),
    "negative tolerance": (("cut", "small.yaml", "-p", "onnxruntime", "--tolerance", "-1"), "tolerance"),
    "tolerance nan": (("cut", "small.yaml", "-p", "onnxruntime", "--tolerance", "nan"), "tolerance"),
    "two goals": (("cut", STUDY, "-p", "onnxruntime", "--tolerance", "0.1", "--target-size", "3"), "--target-size"),
    "bad size": (("cut", STUDY, "-p", "onnxruntime", "--target-size", "4^x"), "4^x"),
    "huge size": (("cut", STUDY, "-p", "onnxruntime", "--target-size", "9^999999999999"), "--target-size"),
    "bad budget": (("cut", STUDY, "-p", "onnxruntime", "--budget", "0"), "--budget"),
    "impossible bound": (("cut", "small.yaml", "-p", "onnxruntime", "--max-latency", "1e-9"), "--max-latency"),
    "the same platform twice": (("cut", STUDY, "-p", "litert", "-p", "litert"), "twice"),
    "too many bounds": (
        ("cut", STUDY, "-p", "litert", *("--max-latency", "1") * 2, "-p", "openvino", "--max-latency", "1"),
        "--max-latency",
    ),
    "missing quality": (("cut", "small.yaml", "-p", "onnxruntime", "--quality", "none.csv"), "none.csv"),
    "regrid and quality": (("cut", STUDY, "-p", "litert", "--regrid", "--quality", "none.csv"), "--regrid"),
    "bad store": (("cut", "small.yaml", "-p", "onnxruntime", "--store", "small.yaml"), "--store"),
    "model that is none": (("cut", "small.yaml", "-p", "small.yaml"), "profile"),
    "no reduction": (("score", "."), "missing"),
    "output is a file": (("cut", "small.yaml", "-p", "onnxruntime", "-o", "small.yaml"), "small.yaml"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_usage_is_one_clear_line_and_exit_status_2(workspace, name):
    arguments, named = BAD[name]
    done = run(*arguments, cwd=workspace)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("spacecut: ")
    assert named in lines[0]
    assert not done.stdout
    told = json.loads(run(*arguments, "--json", cwd=workspace).stdout)
    assert told["exit_status"] == 2
    assert named in told["error"]


def test_broken_files_name_the_line(tmp_path):
    space = tmp_path / "space.yaml"
    text = "spacecut: 1\nname: a\ninput: [3, 8, 8]\nchoices:\n  w: {candidates: 0..3}\nnetwork:\n"
    for line, problem in (
        ("  - conv2d: {out_channels: w, kernel: 3}\n", "gives 0"),
        ("  - conv2d: {out_channels: v, kernel: 3}\n", "unknown name 'v'"),
        ("  - conv2d: {out_channels: [, kernel: 3}\n", "broken YAML"),
    ):
        space.write_text(text + line)
        done = run("cut", space, "-p", "onnxruntime")
        assert done.returncode == 2
        assert f"{space}:7" in done.stderr
        assert problem in done.stderr


def test_an_uninstalled_platform_exits_with_3(tmp_path):
    (tmp_path / "openvino.py").write_text("raise ModuleNotFoundError('hidden for this test', name='openvino')\n")
    done = run_apart("cut", STUDY, "-p", "openvino", PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "pip install openvino" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    listed = answer_apart("platforms", PYTHONPATH=str(tmp_path))
    assert not listed["platforms"]["openvino"]["available"]


def test_a_failing_measurement_exits_with_4(tmp_path):
    space = spacecut.load_space(STUDY).restrict({"width": [8]})
    spacecut.save_space(space, tmp_path / "small.yaml")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'spacecut.measure.worker' in sys.orig_argv:\n    sys.exit(9)\n"
    )
    done = run_apart("cut", "small.yaml", "-p", "onnxruntime", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 4
    assert len(done.stderr.strip().splitlines()) == 1
