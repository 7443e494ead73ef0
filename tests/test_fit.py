"""Costs from whole-network latencies, on simulated platforms whose truth is known."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from models import enumerated, model_of, random_costs, space_of

import spacecut
from spacecut.errors import InputError, MeasurementError
from spacecut.latency import Latencies, RecordedPlatform, fit, read_latencies
from spacecut.latency.regression import regress

CELL = "nasbench201/cell"
DATA = Path(os.environ.get("SPACECUT_DATA", Path(__file__).parents[2] / "shared" / "data"))
COST = {"none": 0.0, "skip_connect": 0.1, "nor_conv_1x1": 1.0, "nor_conv_3x3": 3.0, "avg_pool_3x3": 0.5}


def simulated(space, count, cost, noise=0.02, seed=0):
    """Networks whose candidates cost what ``cost(choice, candidate)`` says, with noise and now and then an outlier."""
    numbers = space.sample(count, seed)
    generator = np.random.default_rng(seed + 1)
    tables = [np.asarray([cost(c.name, candidate) for candidate in c.candidates]) for c in space.choices]
    true = 2.0 + sum(table[numbers[:, position]] for position, table in enumerate(tables))
    factor = np.exp(noise * generator.standard_normal(count))
    factor[generator.random(count) < 0.05] *= 1.5
    return Latencies(numbers, true * factor, "simulated.csv", "simulated_device"), true


def written(path, space, latencies, form="columns"):
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        writer = csv.writer(file)
        names = [choice.name for choice in space.choices]
        writer.writerow([*(["arch"] if form != "columns" else names), latencies.column])
        for row, ms in zip(latencies.numbers, latencies.ms, strict=True):
            words = [str(word) for word in space.decode(row).values()]
            if form == "string":
                ends = iter(words)
                words = ["+".join("|" + "".join(f"{next(ends)}~{i}|" for i in range(n)) for n in (1, 2, 3))]
            elif form == "arch":
                words = [" ".join(words)]
            writer.writerow([*words, ms])
    return path


def test_costs_of_a_simulated_platform_are_found_in_spite_of_outliers():
    space = spacecut.load_space(CELL)
    seen, true = simulated(space, 200, lambda _, candidate: COST[candidate])
    recorded = fit(space, seen)
    assert recorded.explained_by == "choices"
    model = recorded.latency_model(space)
    assert np.abs(model.predict(seen.numbers) / true - 1).max() < 0.02
    for table in recorded.tables:
        cost = dict(zip(table.candidates[0], table.ms, strict=True))
        for candidate, ms in COST.items():
            assert cost[candidate] == pytest.approx(ms, abs=0.12)
    assert min(min(table.ms) for table in recorded.tables) == 0
    assert recorded.held_out.rank_correlation > 0.95
    assert 0.01 < recorded.held_out.spread < 0.2


def test_what_leads_nowhere_costs_nothing_where_a_runtime_leaves_it_out():
    """But what is made of nothing but zeros is computed: the operators of the space would leave that out too."""
    space = spacecut.load_space(CELL)
    numbers = space.sample(400, 0)
    none = numbers == space.choices[0].index("none")
    names = {choice.name: position for position, choice in enumerate(space.choices)}
    dead = np.zeros_like(none)
    dead[:, [names["edge2_0"], names["edge2_1"]]] = none[:, [names["edge3_2"]]]
    dead[:, names["edge1_0"]] = none[:, names["edge3_1"]] & (none[:, names["edge2_1"]] | none[:, names["edge3_2"]])
    cost = np.asarray([COST[candidate] for candidate in space.choices[0].candidates])
    true = 2.0 + np.where(dead, 0.0, cost[numbers]).sum(axis=1)
    factor = np.exp(0.01 * np.random.default_rng(1).standard_normal(len(true)))
    recorded = fit(space, Latencies(numbers, true * factor, "simulated.csv", "ms"), 200)
    assert recorded.explained_by == "live choices"
    assert np.abs(recorded.latency_model(space).predict(numbers) / true - 1).max() < 0.03
    assert sorted(map(len, (table.choices for table in recorded.tables))) == [1, 1, 1, 2, 2, 4]


def test_standard_errors_are_about_as_large_as_the_errors():
    space = spacecut.load_space(CELL)
    ratios = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        truth = {(c.name, k): generator.uniform(0, 3) for c in space.choices for k in c.candidates}
        seen, _ = simulated(space, 150, lambda *at, truth=truth: truth[at], 0.05, seed)
        for table in fit(space, seen).tables:
            true = np.asarray([truth[table.choices[0], candidate] for candidate in table.candidates[0]])
            ms = np.asarray(table.ms)
            ratios += list(((ms - ms.mean()) - (true - true.mean())) / np.asarray(table.error_ms))
    assert 0.5 < np.sqrt(np.mean(np.square(ratios))) < 1.6


def test_choices_share_their_operators_where_that_predicts_better():
    choices = {f"c{n}": {"candidates": {f"w{w}": {"width": 3 * w} for w in range(1, 9)}} for n in range(10)}
    network = [
        layer
        for name in choices
        for layer in (
            {"conv2d": {"out_channels": f"{name}.width", "kernel": 3}},
            {"conv2d": {"out_channels": 8, "kernel": 1}},
        )
    ]
    space = space_of(choices, network)
    model = model_of(space, random_costs(1))
    numbers = space.sample(120, 0)
    recorded = fit(space, Latencies(numbers, model.predict(numbers), "simulated.csv", "ms"))
    fresh = space.sample(500, 1)
    error = np.abs(recorded.latency_model(space).predict(fresh) / model.predict(fresh) - 1)
    assert error.mean() < 0.01


def test_nothing_is_predicted_below_zero():
    space = spacecut.load_space(CELL)
    numbers = space.sample(200, 0)
    cost = np.asarray([COST[candidate] for candidate in space.choices[0].candidates])
    ms = np.maximum(cost[numbers].sum(axis=1) - 3, 0.01)  # what none of the explanations can say
    recorded = fit(space, Latencies(numbers, ms, "simulated.csv", "ms"))
    model = recorded.latency_model(space)
    assert recorded.overhead_ms >= 0
    assert model.predict(enumerated(space)).min() >= 0


def test_a_fit_that_is_no_good_is_refused():
    space = spacecut.load_space(CELL)
    numbers = space.sample(100, 0)
    ms = np.random.default_rng(0).uniform(1, 2, 100)
    with pytest.raises(MeasurementError, match="no good fit"):
        fit(space, Latencies(numbers, ms, "simulated.csv", "noise"))
    with pytest.raises(MeasurementError, match="no good fit"):
        fit(space, Latencies(numbers, np.ones(100), "simulated.csv", "flat"))


def test_rows_are_drawn_and_the_others_judge():
    space = spacecut.load_space(CELL)
    seen, _ = simulated(space, 300, lambda _, candidate: COST[candidate])
    recorded = fit(space, seen, rows=100, seed=3)
    assert (recorded.networks, recorded.seed, recorded.left_out.networks) == (100, 3, 200)
    assert recorded.left_out.rank_correlation > 0.95
    again = fit(space, seen, rows=100, seed=3)
    assert again.tables == recorded.tables
    assert fit(space, seen, rows=100, seed=4).tables != recorded.tables
    for rows in (0, 19, 301):
        with pytest.raises(InputError, match="-n must be"):
            fit(space, seen, rows=rows)
    with pytest.raises(InputError, match="at least 20"):
        fit(space, seen.some(np.arange(10)))


def test_a_candidate_that_no_network_has_is_named():
    space = spacecut.load_space(CELL)
    seen, _ = simulated(space, 300, lambda _, candidate: COST[candidate])
    without = seen.some(~(seen.numbers == 4).any(axis=1))
    with pytest.raises(InputError, match="avg_pool_3x3"):
        fit(space, without)


@pytest.mark.parametrize("form", ["columns", "arch", "string"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_every_form_of_file_reads_the_same(tmp_path, form, ending):
    space = spacecut.load_space(CELL)
    seen, _ = simulated(space, 30, lambda _, candidate: COST[candidate])
    path = written(tmp_path / f"a.{ending}", space, seen, form)
    read = read_latencies(path, space)
    assert (read.numbers == seen.numbers).all()
    assert np.allclose(read.ms, seen.ms)
    assert (read.source, read.column) == (path.name, seen.column)


def test_candidates_that_are_words_may_be_given_by_position(tmp_path):
    space = spacecut.load_space("fbnet/fbnet")
    assert space.choices[0].candidates == (
        "k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip",
    )  # fmt: skip
    path = tmp_path / "a.csv"
    names = ",".join(space.positions)
    path.write_text(f"{names},ms\n{','.join(['8'] * 22)},1.5\n{','.join(['k3_e1'] * 22)},2\n")
    assert read_latencies(path, space).numbers.tolist() == [[8] * 22, [0] * 22]


def test_numbers_are_candidates_and_never_positions(tmp_path):
    space = space_of({"w": {"candidates": [2, 4]}}, [{"conv2d": {"out_channels": "w", "kernel": 1}}])
    (tmp_path / "a.csv").write_text("w,ms\n2,1\n4,2\n")
    assert read_latencies(tmp_path / "a.csv", space).numbers.tolist() == [[0], [1]]
    (tmp_path / "a.csv").write_text("w,ms\n1,1\n")
    with pytest.raises(InputError, match=r"a\.csv:2: .*'1'"):
        read_latencies(tmp_path / "a.csv", space)


def test_a_recorded_platform_is_kept_whole(tmp_path):
    space = spacecut.load_space(CELL)
    seen, _ = simulated(space, 100, lambda _, candidate: COST[candidate])
    recorded = fit(space, seen)
    recorded.save(tmp_path / "device.json")
    read = spacecut.load_profile(tmp_path / "device.json")
    assert read == recorded
    assert isinstance(read, RecordedPlatform)
    assert str(tmp_path) not in (tmp_path / "device.json").read_text()
    small = space.restrict({"edge1_0": ["nor_conv_3x3", "none"], "edge3_2": ["skip_connect"]})
    models = read.latency_model(small), read.latency_model(space)
    for architecture in (small.decode(row) for row in small.sample(20, 0)):
        one, other = (model.predict(architecture)[0] for model in models)
        assert one == pytest.approx(other)
    with pytest.raises(InputError, match="only, not on"):
        read.latency_model(spacecut.load_space("fbnet/fbnet"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"spacecut_recorded_platform": 9}, "version 9"),
        ({"overhead_ms": -1}, "overhead_ms"),
        ({"tables": [{"choices": ["a"], "candidates": [["b"]], "ms": [1, 2], "error_ms": [1]}]}, "combination"),
        ({"tables": "none"}, "tables"),
    ],
)
def test_a_broken_recorded_platform_is_one_clear_line(tmp_path, change, named):
    space = spacecut.load_space(CELL)
    recorded = fit(space, simulated(space, 60, lambda _, candidate: COST[candidate])[0])
    recorded.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(InputError, match=named):
        spacecut.load_profile(tmp_path / "a.json")


def test_regression_tells_groups_that_matter_from_those_that_do_not():
    generator = np.random.default_rng(0)
    columns = generator.random((80, 30))
    ms = 5 + columns[:, :3] @ np.asarray([1.0, 2.0, 3.0])
    group = np.repeat([0, 1], [3, 27])
    posterior = regress(columns, ms, group)
    coefficients = posterior.directions @ posterior.mean[1:]
    assert np.allclose(coefficients[:3], [1, 2, 3], atol=0.02)
    assert np.abs(coefficients[3:]).max() < 0.02


@pytest.mark.parametrize(
    ("name", "column"), [("nasbench201", "1080ti_1"), ("nasbench201", "silver_4210r"), ("fbnet", "titanxp_1")]
)
def test_real_devices_are_ranked_from_200_rows(name, column):
    file = DATA / name / "latency_ms.csv.gz"
    if not file.is_file():
        pytest.skip(f"{file} is not here; SPACECUT_DATA may name another folder")
    space = spacecut.load_space(CELL if name == "nasbench201" else "fbnet/fbnet")
    recorded = fit(space, read_latencies(file, space, column), rows=200)
    assert recorded.left_out.rank_correlation >= 0.97
