"""``spacecut fit`` and what a recorded platform is good for, as a user runs it; the platform is simulated."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from command_line import answer, run

import spacecut
from spacecut.operators import Network, Operator
from spacecut.operators.onnx_builder import build_onnx

CELL = "nasbench201/cell"
COST = {"none": 0.0, "skip_connect": 0.1, "nor_conv_1x1": 2.98, "nor_conv_3x3": 3.0, "avg_pool_3x3": 3.5}
HEAD = "arch,simulated_device,simulated_noise\n"


def row(words, ms="1.5", noise="1.0"):
    return f"|{words[0]}~0|+|{words[1]}~0|{words[2]}~1|+|{words[3]}~0|{words[4]}~1|{words[5]}~2|,{ms},{noise}\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder with latencies of a simulated device on which 1x1 convolutions cost as much as 3x3 ones."""
    folder = tmp_path_factory.mktemp("fit")
    space = spacecut.load_space(CELL)
    generator = np.random.default_rng(0)
    lines = []
    for numbers in space.sample(260, 0):
        words = list(space.decode(numbers).values())
        ms = (2 + sum(COST[word] for word in words)) * np.exp(0.01 * generator.standard_normal())
        lines.append(row(words, ms, generator.uniform(1, 2)))
    (folder / "latencies.csv").write_text(HEAD + "".join(lines))
    with gzip.open(folder / "latencies.csv.gz", "wt") as file:
        file.write(HEAD + "".join(lines))
    (folder / "few.csv").write_text(HEAD + "".join(lines[:10]))
    good = list(space.decode(space.sample(1, 0)[0]).values())
    (folder / "unknown.csv").write_text(HEAD + lines[0] + row(["nor_conv_5x5", *good[1:]]))
    (folder / "negative.csv").write_text(HEAD + lines[0] + lines[1] + row(good, "-3"))
    (folder / "words.csv").write_text(HEAD + row(good, "fast"))
    (folder / "short.csv").write_text(HEAD + "|none~0|,1,1\n")
    (folder / "ragged.csv").write_text(HEAD + "a,1\n")
    (folder / "binary.csv.gz").write_bytes(b"\x1f\x8bnothing")
    (folder / "choice.csv").write_text("edge1_0,ms\nnone,1\n")
    (folder / "empty.csv").write_text("")
    done = run(
        "fit", CELL, "--latencies", "latencies.csv", "--column", "simulated_device", "-o", "device.json", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert "Spearman" in done.stdout
    return folder


def test_a_recorded_platform_stands_for_a_platform(workspace):
    arguments = ("fit", CELL, "--latencies", "latencies.csv.gz", "--column", "simulated_device", "-n", "200")
    fitted = answer(*arguments, "-o", "sub/zipped.json", cwd=workspace)
    assert fitted["networks"] == 200
    assert fitted["held_out"]["rank_correlation"] > 0.97
    assert fitted["left_out"]["networks"] == 60
    assert fitted["left_out"]["within_5_percent"] > 0.9
    assert fitted["source"] == "latencies.csv.gz"

    content = answer("cut", CELL, "-p", "sub/zipped.json", "-o", "cut", cwd=workspace)
    assert content["kept"]["edge3_0"] == ["none", "skip_connect", "nor_conv_3x3"]
    assert content["profile"]["column"] == "simulated_device"
    assert (workspace / "cut" / "profile.json").read_text() == (workspace / "sub" / "zipped.json").read_text()
    assert answer("check-certificate", "cut", cwd=workspace)["holds"]
    scored = answer("score", "cut", "--max-latency", "12", "--pareto", cwd=workspace)
    assert scored["size"] == content["reduced_size"]
    assert 0 < int(scored["count"]) < int(scored["size"])
    assert scored["largest"][0]["macs"] > 0
    profiled = answer("profile", CELL, "-p", "device.json", "-o", "copy.json", cwd=workspace)
    assert profiled["platform"] == "simulated_device, recorded in latencies.csv"
    assert (workspace / "copy.json").read_text() == (workspace / "device.json").read_text()
    shown = run("cut", CELL, "-p", "device.json", "--target-size", "100", cwd=workspace)
    assert shown.returncode == 0, shown.stderr
    assert "certificate" in shown.stdout


def test_a_cut_for_another_kind_of_platform_takes_the_place_of_an_earlier_one(workspace):
    answer("cut", CELL, "-p", "device.json", "-o", "again", cwd=workspace)
    (workspace / "again" / "profile.jsonl.gz").write_bytes(b"of an earlier cut")
    content = answer("cut", CELL, "-p", "device.json", "-o", "again", cwd=workspace)
    assert {path.rsplit("/", 1)[-1] for path in content["files"]} == {
        path.name for path in (workspace / "again").iterdir()
    }
    assert answer("check-certificate", "again", cwd=workspace)["holds"]


def test_a_fit_that_is_no_good_exits_with_4(workspace):
    done = run(
        "fit", CELL, "--latencies", "latencies.csv", "--column", "simulated_noise", "-o", "x.json", cwd=workspace
    )
    assert done.returncode == 4
    assert "rank correlation" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (workspace / "x.json").exists()


DEVICE = ("--column", "simulated_device", "-o", "x.json")
BAD = {
    "missing file": (("--latencies", "nowhere.csv", *DEVICE), "nowhere.csv"),
    "missing latencies": (DEVICE, "--latencies"),
    "missing output": (("--latencies", "latencies.csv", "--column", "simulated_device"), "--output"),
    "no column named": (("--latencies", "latencies.csv", "-o", "x.json"), "simulated_device, simulated_noise"),
    "unknown column": (("--latencies", "latencies.csv", "--column", "simulated_devise", "-o", "x"), "did you mean"),
    "column of architectures": (("--latencies", "latencies.csv", "--column", "arch", "-o", "x"), "'arch'"),
    "unknown candidate": (("--latencies", "unknown.csv", *DEVICE), "unknown.csv:3: choice 'edge1_0'"),
    "negative latency": (("--latencies", "negative.csv", *DEVICE), "negative.csv:4: simulated_device is -3"),
    "no number": (("--latencies", "words.csv", *DEVICE), "words.csv:2: simulated_device is 'fast'"),
    "short architecture": (("--latencies", "short.csv", *DEVICE), "short.csv:2: the architecture has 1"),
    "ragged row": (("--latencies", "ragged.csv", *DEVICE), "ragged.csv:2: 2 values for 3 columns"),
    "too few rows": (("--latencies", "few.csv", *DEVICE), "10 rows"),
    "too few wanted": (("--latencies", "latencies.csv", *DEVICE, "-n", "5"), "-n"),
    "too many wanted": (("--latencies", "latencies.csv", *DEVICE, "-n", "5000"), "260 rows"),
    "negative seed": (("--latencies", "latencies.csv", *DEVICE, "--seed", "-1"), "--seed"),
    "no gzip": (("--latencies", "binary.csv.gz", *DEVICE), "binary.csv.gz"),
    "missing choice": (("--latencies", "choice.csv", "-o", "x.json"), "'edge2_0'"),
    "empty file": (("--latencies", "empty.csv", "-o", "x.json"), "empty.csv"),
    "folder for a file": (("--latencies", ".", *DEVICE), "no CSV file"),
    "output is a folder": (("--latencies", "latencies.csv", "--column", "simulated_device", "-o", "."), "-o"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line_and_exit_status_2(workspace, name):
    arguments, named = BAD[name]
    done = run("fit", CELL, *arguments, "--json", cwd=workspace)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert named in done.stderr
    told = json.loads(done.stdout)
    assert told["exit_status"] == 2
    assert named in told["error"]


def test_what_a_recorded_platform_cannot_do_is_one_clear_line(workspace, tmp_path):
    answer("cut", CELL, "-p", "device.json", "-o", "refused", cwd=workspace)
    model = tmp_path / "model.onnx"
    model.write_bytes(build_onnx(Network.single(Operator("conv2d", 3, 32, 32, 16, kernel=3))))
    for arguments, named in (
        (("predict", model, "-p", "device.json"), "not the operators of other networks"),
        (("verify", "refused"), "cannot be measured here"),
        (("cut", "fbnet/fbnet", "-p", "device.json"), "nasbench201/cell only"),
    ):
        done = run(*arguments, cwd=workspace)
        assert done.returncode == 2, done.stderr
        assert named in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
