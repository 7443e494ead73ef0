"""Costs of a space from a table of single operators, against a simulated platform and broken files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import space_of

from spacecut.cut import cut
from spacecut.errors import InputError, MeasurementError
from spacecut.latency import fit_operators, load_profile, read_operators
from spacecut.space import SearchSpace

HEAD = "library,conv_type,in_c,in_h,in_w,out_c,kernel,stride,latency_ms"
WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)


def simulated_ms(out: int, kernel: int = 3) -> float:
    """Steps of 32 channels."""
    return 0.1 * kernel * -(-out // 32)


def table(path: Path, widths: tuple[int, ...] = WIDTHS, extra: tuple[str, ...] = ()) -> Path:
    rows = [
        f"fp16,{kind},4,6,6,{out},{kernel},1,{simulated_ms(out, kernel)}"
        for kind in ("Regular",)
        for kernel in (3, 5)
        for out in widths
    ]
    path.write_text("\n".join([HEAD, *rows, *extra]) + "\n")
    return path


def space(*more: dict[str, object]) -> SearchSpace:
    conv = {"conv2d": {"out_channels": "width", "kernel": "kernel", "activation": "relu"}}
    choices = {
        "width": {"candidates": [8, 16, 24, 32, 40, 48, 56, 64], "order": "larger"},
        "kernel": {"candidates": [3, 5], "order": "larger"},
    }
    return space_of(choices, [conv, *more])


def test_costs_are_those_of_the_table_and_the_cut_finds_its_steps(tmp_path: Path) -> None:
    found = fit_operators(space(), read_operators(table(tmp_path / "v.csv")))
    model = found.latency_model(space())
    for out in WIDTHS:
        for kernel in (3, 5):
            predicted = model.predict({"width": out, "kernel": kernel})
            assert predicted == pytest.approx(simulated_ms(out, kernel), rel=0.02)
    assert found.held_out.networks == 16
    assert cut(space(), found).space.choice("width").candidates == (32, 64)
    found.save(tmp_path / "v.json")
    again = load_profile(tmp_path / "v.json").latency_model(space())
    assert again.predict({"width": 24, "kernel": 5}) == model.predict({"width": 24, "kernel": 5})


def test_operators_that_the_table_lacks_are_never_put_on_a_line_between_steps(tmp_path: Path) -> None:
    every = tuple(range(4, 129, 4))
    wide = space_of(
        {"width": {"candidates": list(every), "order": "larger"}},
        [{"conv2d": {"out_channels": "width", "kernel": 3}}],
    )
    model = fit_operators(wide, read_operators(table(tmp_path / "v.csv", (*every[::2], 128)))).latency_model(wide)
    predicted = model.predict({"width": list(every)})
    assert predicted == pytest.approx([simulated_ms(out) for out in every], rel=0.05)


def test_rows_are_taken_by_condition_and_repeated_ones_count_once(tmp_path: Path) -> None:
    extra = ("fp32,Regular,4,6,6,8,3,1,9.0", "fp16,Regular,4,6,6,8,3,1,0.5")
    path = table(tmp_path / "v.csv", extra=extra)
    with pytest.raises(InputError, match=r"v\.csv:18: library is 'fp32', and 'fp16' above.*--where library=fp32"):
        read_operators(path)
    found = read_operators(path, {"library": "fp16"})
    assert (len(found.operators), found.repeated) == (16, 1)
    assert found.ms[0] == pytest.approx(np.median([simulated_ms(8), 0.5]))
    assert found.column == "latency_ms library=fp16"
    assert len(read_operators(path, {"library": "fp32"}).operators) == 1


def test_what_the_table_lacks_is_named_or_left_out_by_name(tmp_path: Path) -> None:
    known = read_operators(table(tmp_path / "v.csv"))
    larger = space({"global_avg_pool": {}}, {"linear": {"out_channels": 10}})
    with pytest.raises(InputError, match=r"nothing like 16 of the 32 operators.*\(global_avg_pool, linear\)"):
        fit_operators(larger, known)
    found = fit_operators(larger, known, ["global_avg_pool", "linear"])
    assert found.explained_by == "operators measured alone, without global_avg_pool, without linear"
    with pytest.raises(InputError, match="did you mean"):
        fit_operators(larger, known, ["linea"])


def test_a_table_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [f"fp16,Regular,4,6,6,{out},3,1,{generator.uniform(1, 9)}" for out in WIDTHS]
    path = tmp_path / "noise.csv"
    path.write_text("\n".join([HEAD, *rows, *[row.replace(",3,1,", ",5,1,") for row in rows]]) + "\n")
    with pytest.raises(MeasurementError, match="rank correlation"):
        fit_operators(space(), read_operators(path))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,b", "1,2"], "no column kind or operator or op or conv_type"),
        ([HEAD], "no row is left"),
        ([HEAD, "fp16,Regula,4,6,6,8,3,1,1.0"], r"x\.csv:2: there is no kind of operator 'Regula'"),
        ([HEAD, "fp16,Regular,4,6,6,8,3,0,1.0"], r"x\.csv:2: stride is '0'"),
        ([HEAD, "fp16,Regular,4,6,6,8,3,1,0"], r"x\.csv:2: the latency is 0"),
        ([HEAD, "fp16,Regular,4,6,6,8,3,1,fast"], r"x\.csv:2: the latency is 'fast'"),
        ([HEAD + ",median_ms", "fp16,Regular,4,6,6,8,3,1,1.0,1.0"], "name one with --column"),
    ],
)
def test_broken_tables_name_the_line(tmp_path: Path, lines: list[str], said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=said):
        read_operators(path)
