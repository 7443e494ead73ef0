"""The compiler's estimate for Arm's NPUs: deterministic, steps that are known, and what is left to the CPU."""

from __future__ import annotations

import csv

import pytest

import spacecut
from spacecut.errors import InputError, MeasurementError
from spacecut.operators import INPUT, Network, Node, Operator
from spacecut.platforms import get_platform

pytest.importorskip("ethosu")
pytest.importorskip("ai_edge_quantizer")


def milliseconds(name: str, network: Network) -> float:
    program = get_platform(name).load(network)
    told = program.run()
    assert told is not None
    assert told == program.run()
    return told


def width(out: int) -> Network:
    return Network.single(Operator("conv2d", 64, 28, 28, out, kernel=3, activation="relu"))


def test_steps_of_eight_output_channels() -> None:
    found = {out: milliseconds("ethos-u/u55-128", width(out)) for out in (33, 36, 40, 41, 48)}
    assert found[33] == found[36] == found[40]
    assert found[41] == found[48] > found[40]


def test_every_device_has_an_estimate_and_more_units_are_not_slower() -> None:
    offered = get_platform("ethos-u").status().devices
    assert len(offered) == 11
    for family in ("u55", "u65", "u85"):
        members = sorted((d for d in offered if d.startswith(family)), key=lambda d: int(d.split("-")[1]))
        times = [milliseconds(f"ethos-u/{device}", width(64)) for device in members]
        assert times == sorted(times, reverse=True)
        assert times[0] > times[-1] > 0


def test_the_estimate_is_that_of_the_compilers_command_line(tmp_path) -> None:
    from ethosu.vela import vela

    from spacecut.platforms.tflite import int8_tflite

    (tmp_path / "model.tflite").write_bytes(int8_tflite(width(40), 1))
    options = ["--accelerator-config", "ethos-u85-256", "--output-dir", str(tmp_path)]
    vela.main([str(tmp_path / "model.tflite"), *options])
    (summary,) = tmp_path.glob("*_summary_*.csv")
    with summary.open() as file:
        (row,) = csv.DictReader(file)
    assert milliseconds("ethos-u/u85-256", width(40)) == pytest.approx(1e3 * float(row["inference_time"]))


def test_node_times_are_of_the_operators_and_add_up() -> None:
    nodes = (
        Node(Operator("conv2d", 8, 14, 14, 16, 3, activation="relu"), (INPUT,)),
        Node(Operator("depthwise_conv2d", 16, 14, 14, 16, 3, activation="relu6"), (0,)),
        Node(Operator("conv2d", 16, 14, 14, 16, 1), (1,)),
        Node(Operator("add", 16, 14, 14, 16, inputs=2), (0, 2)),
    )
    program = get_platform("ethos-u/u65-512").load(Network((8, 14, 14), nodes, 3), nodes=True)
    total = program.run()
    times = program.node_times()
    assert set(times) == {0, 1, 2, 3}
    assert sum(values[0] for values in times.values()) == pytest.approx(total, rel=0.05)


def test_what_the_compiler_leaves_to_the_cpu_is_named_and_no_number() -> None:
    pooled = Operator("avg_pool2d", 8, 14, 14, 8, kernel=9)  # windows above 8 are not the NPU's
    nodes = (Node(Operator("conv2d", 8, 14, 14, 8, 3), (INPUT,)), Node(pooled, (0,)))
    with pytest.raises(MeasurementError, match=r"to the CPU, .*: avg_pool2d 8 @14x14 k9 s1$"):
        get_platform("ethos-u/u55-128").load(Network((8, 14, 14), nodes, 1))


def test_batches_and_threads_are_refused() -> None:
    for arguments in ({"threads": 2}, {"batch": 2}):
        with pytest.raises(InputError, match="one"):
            get_platform("ethos-u", **arguments)


def test_a_profile_runs_each_network_once_and_says_that_it_is_an_estimate(tmp_path) -> None:
    space = spacecut.load_space("behaviour_study/conv3x3_out_channels").restrict({"width": [33, 36, 40, 41, 48]})
    profile = spacecut.profile(space, "ethos-u/u55-128", store=str(tmp_path / "store.sqlite"))
    assert len(profile.runs) == 5
    assert {len(run.total_ms) for run in profile.runs} == {1}
    assert "ESTIMATED by" in str(profile.platform)
    profile.save(tmp_path / "profile")
    again = spacecut.load_profile(tmp_path / "profile")
    assert again.platform == profile.platform
    reduction = spacecut.cut(space, again)
    assert "ESTIMATED by" in reduction.certificate.platform
    assert set(reduction.space.choices[0].candidates) == {40, 48}
    found = spacecut.verify(space, again, reduction.certificate, samples=5)
    assert found.estimated_by
    assert found.within(0.001) == 1.0
    assert [pair.noise for pair in found.pairs] == [0.0] * 5
