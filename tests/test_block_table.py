"""Tables of blocks: read, priced and written, against enumeration and a simulated platform."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import answer, run
from models import GivenProfile, random_costs

from spacecut.cut import cut
from spacecut.errors import InputError
from spacecut.integrations.ofa import write_ofa
from spacecut.latency import fit_blocks, load_profile, read_blocks, table_of
from spacecut.space import SearchSpace, load_space, save_space
from spacecut.space.document import SpaceDocument

CONV, LOGITS = "Conv-input:6x6x4-output:3x3x8", "Logits-input:3x3x8-output:10"


def block(expand: int, kernel: int, skip: int = 1, rest: str = "") -> str:
    return f"expanded_conv-input:3x3x8-output:3x3x8-expand:{expand}-kernel:{kernel}-stride:1-idskip:{skip}{rest}"


def small() -> SearchSpace:
    """A stem, two residuals of which the second may be left out, and a classifier."""
    residual = [
        {"conv2d": {"out_channels": "in_channels * expand", "kernel": 1, "activation": "relu6"}},
        {"depthwise_conv2d": {"kernel": "kernel", "activation": "relu6"}},
        {"conv2d": {"out_channels": 8, "kernel": 1}},
        {"add": {"inputs": ["previous", "input"]}},
    ]
    content = {
        "spacecut": 1,
        "name": "small",
        "input": [4, 6, 6],
        "choices": {
            "depth": {"candidates": [1, 2], "order": "larger"},
            "kernel0": {"candidates": [3, 5], "order": "larger"},
            "expand0": {"candidates": [3, 6], "order": "larger"},
            "kernel1": {"candidates": [3, 5], "order": "larger"},
        },
        "blocks": {"residual": {"parameters": {"kernel": None, "expand": None}, "layers": residual}},
        "network": [
            {"conv2d": {"out_channels": 8, "kernel": 3, "stride": 2}},
            {"residual": {"kernel": "kernel0", "expand": "expand0"}},
            {"residual": {"kernel": "kernel1", "expand": 3, "when": "depth > 1"}},
            {"global_avg_pool": {}},
            {"linear": {"out_channels": 10}},
        ],
    }
    return SearchSpace(SpaceDocument.model_validate(content))


MS = {CONV: 1.0, LOGITS: 0.5, **{block(e, k): 0.1 * e + k for e in (3, 6) for k in (3, 5)}}


def written(path: Path, table: object) -> Path:
    path.write_text(yaml.safe_dump(table))
    return path


@pytest.mark.parametrize("form", [lambda ms: ms, lambda ms: {"count": 3, "mean": ms}])
def test_latencies_are_the_sums_of_blocks(tmp_path: Path, form: object) -> None:
    space = small()
    table = read_blocks(written(tmp_path / "t.yaml", {key: form(ms) for key, ms in MS.items()}))  # type: ignore[operator]
    recorded = fit_blocks(space, table)
    assert (recorded.networks, recorded.overhead_ms, recorded.held_out) == (6, 1.5, None)
    recorded.save(tmp_path / "device.json")
    model = load_profile(tmp_path / "device.json").latency_model(space)
    for numbers in np.indices(space.lengths).reshape(4, -1).T:
        one = space.decode(numbers)
        expected = 1.5 + MS[block(one["expand0"], one["kernel0"])]  # type: ignore[arg-type]
        if one["depth"] == 2:
            expected += MS[block(3, one["kernel1"])]  # type: ignore[arg-type]
        assert model.predict(one) == pytest.approx(expected)
    assert cut(space, recorded, tolerance=0.0).space.size >= 1


def test_attributes_count_only_where_the_table_tells_them_apart(tmp_path: Path) -> None:
    space = small()
    told = {key + ("-se:0-hs:0" if "expanded" in key else ""): ms for key, ms in MS.items()}
    assert fit_blocks(space, read_blocks(written(tmp_path / "t.yaml", told))).overhead_ms == 1.5
    wrong = {key.replace("-se:0", "-se:1"): ms for key, ms in told.items()}
    with pytest.raises(InputError, match="lacks 4 blocks of small, such as expanded_conv"):
        fit_blocks(space, read_blocks(written(tmp_path / "t.yaml", wrong)))


def test_gaps_are_named_and_never_filled(tmp_path: Path) -> None:
    table = {key: ms for key, ms in MS.items() if key != block(6, 5)}
    with pytest.raises(InputError, match=r"t\.yaml lacks 1 blocks of small, such as expanded_conv.*expand:6-kernel:5"):
        fit_blocks(small(), read_blocks(written(tmp_path / "t.yaml", table)))
    with pytest.raises(InputError, match="nothing like the activation at"):
        fit_blocks(load_space("nasbench201/cell"), read_blocks(written(tmp_path / "t.yaml", MS)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", "no table of blocks"),
        ("a: [", "no YAML"),
        ("conv-8: 1.0", "'conv-8' is no block"),
        (f"{CONV}: fast", "takes 'fast'"),
        (f"{CONV}: {{count: 1}}", "takes None"),
        (f"{CONV}: 0", "above 0"),
    ],
)
def test_broken_tables_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        read_blocks(path)
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="give a YAML table"):
        read_blocks(tmp_path / "none.yaml")


def test_a_cut_is_written_as_a_table_and_read_again(tmp_path: Path) -> None:
    space = load_space("ofa/mobilenet_v3")
    reduction = cut(space, GivenProfile(space, random_costs(3), overhead=0.0), tolerance=0.0)
    model = reduction.outcomes[0].model
    table = table_of(model)
    assert {key.partition("-")[0] for key in table} == {"Conv", "Conv_1", "expanded_conv", "AvgPool2D", "Logits"}
    recorded = fit_blocks(space, read_blocks(written(tmp_path / "t.yaml", table)))
    again = recorded.latency_model(space)
    numbers = space.sample(50, 0)
    assert again.predict(numbers) == pytest.approx(model.predict(numbers), rel=1e-6)


def test_what_has_no_such_blocks_or_no_operators_is_refused(tmp_path: Path) -> None:
    cell = load_space("nasbench201/cell")
    with pytest.raises(InputError, match="nothing like"):
        table_of(GivenProfile(cell, random_costs(0)).latency_model(cell))
    space = small()
    recorded = fit_blocks(space, read_blocks(written(tmp_path / "t.yaml", MS)))
    cut(space, recorded, tolerance=0.0).save(tmp_path)
    with pytest.raises(InputError, match="knows no operators"):
        write_ofa(tmp_path)


def test_the_command_line_writes_what_it_reads(tmp_path: Path) -> None:
    save_space(small(), tmp_path / "small.yaml")
    answer("cut", "small.yaml", "-p", "onnxruntime", "--budget", "15", "-o", "cut", cwd=tmp_path)
    files = answer("export", "cut", "--to", "ofa", cwd=tmp_path)["files"]
    assert [Path(file).name for file in files] == ["blocks.yaml"]
    fitted = answer("fit", "cut/reduced.yaml", "--blocks", "cut/blocks.yaml", "-o", "device.json", cwd=tmp_path)
    assert fitted["explained_by"] == "blocks measured alone"
    assert fitted["held_out"] is None
    shown = run("fit", "cut/reduced.yaml", "--blocks", "cut/blocks.yaml", "-o", "device.json", cwd=tmp_path)
    assert "blocks" in shown.stdout
    again = answer("cut", "cut/reduced.yaml", "-p", "device.json", "-o", "again", cwd=tmp_path)
    assert again["profile"]["source"] == "blocks.yaml"
    assert answer("check-certificate", "again", cwd=tmp_path)["holds"]
    refused = run("fit", "small.yaml", "--blocks", "cut/blocks.yaml", "-n", "3", "-o", "x.json", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--latencies" in refused.stderr
