from __future__ import annotations

import itertools
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import psutil
import pytest

import spacecut
from spacecut.errors import InputError, MeasurementError
from spacecut.measure import (
    Budget,
    Campaign,
    PlatformRecord,
    Protocol,
    Run,
    Store,
    Task,
    Worker,
    interleave,
    interleaved,
    platform_record,
    quiet_reference,
    quiet_runs,
    settled,
)
from spacecut.measure.plan import plan, sampled_networks
from spacecut.measure.programs import Programs
from spacecut.measure.protocol import Samples
from spacecut.operators import Network, Operator, expand
from spacecut.platforms import get_platform
from spacecut.space import load_space

QUICK = Protocol(warmup=1, least=3, most=3, seconds=1.0, timeout=60.0, shortest=0.0)
RECORD = PlatformRecord("onnxruntime", "1", "cpu", "fp32", 1, 1, "a machine")
NETWORK = Network.single(Operator("conv2d", 8, 14, 14, 12, kernel=3, activation="relu"))


def run_of(task, ms=1.0, error=None, reference=0.0):
    return Run(task, "2026-01-01T00:00:00+00:00", 0.1, (ms, ms), {0: (ms, ms)}, (ms, ms), reference, error)


def test_a_program_stays_loaded_where_it_can_be_run_again_and_there_is_room():
    platform = get_platform("onnxruntime")
    programs = Programs(platform)
    assert not programs.hold(NETWORK, False)
    with programs.opened(NETWORK, False) as (first, kept):
        assert kept
    assert programs.hold(NETWORK, False)
    with programs.opened(NETWORK, True) as (_, kept):  # ONNX Runtime times the nodes of a session but once
        assert not kept
    with Programs(platform, room=0).opened(NETWORK, False) as (_, kept):
        assert not kept
    with programs.opened(NETWORK, False) as again:
        assert again == (first, True)


def test_programs_take_a_quarter_of_the_memory_that_a_container_has(tmp_path, monkeypatch):
    platform = get_platform("onnxruntime")
    total = psutil.virtual_memory().total
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("spacecut.measure.programs._LIMIT", limit)
    for text, expected in ((None, total), ("max\n", total), (f"{total * 2}\n", total), ("4096\n", 4096)):
        if text is not None:
            limit.write_text(text)
        assert Programs(platform).room == expected // 4


def test_a_program_that_fails_is_loaded_anew_and_the_others_stay():
    programs = Programs(get_platform("onnxruntime"))
    other = Network.single(Operator("linear", 8, 1, 1, 5))
    with programs.opened(NETWORK, False) as (first, _), programs.opened(other, False) as (second, _):
        pass
    with pytest.raises(MeasurementError), programs.opened(NETWORK, False):
        raise MeasurementError("it fails")
    with programs.opened(NETWORK, False) as (program, kept):
        assert program is not first
        assert kept
    with programs.opened(other, False) as again:
        assert again == (second, True)


def test_interleaved_runs_are_made_one_by_one_as_they_are_asked_for(monkeypatch):
    keys = [NETWORK.key, Network.single(Operator("conv2d", 8, 14, 14, 24, kernel=3)).key]
    platform = get_platform("onnxruntime")
    measured, measure = [], Worker.measure
    monkeypatch.setattr(Worker, "measure", lambda *given: measured.append(given) or measure(*given))
    runs = interleaved(platform, keys, 2)
    assert not measured
    found = [next(runs)]
    assert len(measured) == 1
    found += itertools.islice(runs, 3)
    assert [run.task.repeat for run in found] == [0, 0, 1, 1]
    assert {run.task.network for run in found[:2]} == {run.task.network for run in found[2:]} == set(keys)
    impossible = Network.single(Operator("conv2d", 8, 14, 14, 12, kernel=3, groups=5))
    with pytest.raises(MeasurementError, match="a network failed on onnxruntime"):
        next(interleaved(platform, [impossible.key], 2))


def test_interleaved_networks_are_quantised_ahead_and_once(monkeypatch):
    keys = [Network.single(Operator("conv2d", 8, 14, 14, width, kernel=3)).key for width in (8, 12, 16)]
    made, make = [], Worker.make
    monkeypatch.setattr(
        Worker, "make", lambda worker, network, folder: made.append(network.key) or make(worker, network, folder)
    )
    monkeypatch.setattr("spacecut.measure.makers._cores", lambda: 2)
    runs = interleave(get_platform("onnxruntime:int8"), keys, 2)
    assert Counter(run.task.network for run in runs if run.task.repeat < 2) == dict.fromkeys(keys, 2)
    assert len(made) == 2  # the third is alone in its batch, and made where it is measured


def test_store_keeps_runs_by_platform_and_replaces_failures(tmp_path):
    path = str(tmp_path / "folder" / "store.sqlite")
    task = Task("a network", True, 0)
    store = Store(path, RECORD)
    store.add(run_of(task, error="it crashed"))
    assert store.find(task).error == "it crashed"
    assert not store.succeeded()
    store.add(run_of(task, 2.5))
    store.close()
    again = Store(path, RECORD)
    assert again.find(task) == run_of(task, 2.5)
    assert again.succeeded()
    assert Store(path, replace(RECORD, threads=2)).find(task) is None


def test_a_store_of_an_earlier_version_is_brought_up_to_date(tmp_path):
    path = str(tmp_path / "store.sqlite")
    task = Task("a network", True, 0)
    store = Store(path, RECORD)
    store.add(run_of(task))
    store.close()
    with sqlite3.connect(path) as connection:
        for column in ("clock_mhz", "preparing"):
            connection.execute(f"ALTER TABLE runs DROP COLUMN {column}")
    assert Store(path, RECORD).find(task) == run_of(task)
    added = replace(run_of(Task("another", True, 0)), clock_mhz=1980.0, preparing=0.5)
    Store(path, RECORD).add(added)
    assert Store(path, RECORD).find(added.task) == added


def test_store_that_is_no_database_is_an_input_error(tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_text("this is no database, but a text that is long enough to be read as a header " * 20)
    with pytest.raises(InputError, match="cannot be opened"):
        Store(str(path), RECORD)
    with pytest.raises(InputError, match="cannot be opened"):
        Store("nosuch://database", RECORD)
    with pytest.raises(InputError, match="cannot be opened"):
        Store(str(path / "inside"), RECORD)


def small_space():
    return load_space("behaviour_study/conv3x3_out_channels").restrict({"width": [4, 8, 16]})


def test_campaign_resumes_from_the_store_and_measures_nothing_twice(tmp_path):
    networks, platform = list(sampled_networks(expand(small_space()))), get_platform("onnxruntime")
    store = Store(str(tmp_path / "store.sqlite"), platform_record(platform))
    told = []
    first = Campaign(platform, store, QUICK, lambda done, expected: told.append((done, expected)))
    runs = first.cover(networks, Budget(5.0))
    assert first.measured == len(runs) > 0
    assert all(run.error is None for run in runs)
    assert told
    second = Campaign(platform, store, QUICK)
    assert second.cover(networks, Budget(5.0)) == runs
    assert second.measured == 0


def test_campaign_gives_up_when_everything_fails(tmp_path, monkeypatch):
    def fail(self, network, nodes, protocol, made):
        raise MeasurementError("the runtime is broken")

    monkeypatch.setattr(Worker, "measure", fail)
    networks, platform = list(sampled_networks(expand(small_space()))), get_platform("onnxruntime")
    store = Store(str(tmp_path / "store.sqlite"), platform_record(platform))
    with pytest.raises(MeasurementError, match="the runtime is broken"):
        Campaign(platform, store, QUICK).cover(networks, Budget(1.0))
    (task,) = next(plan(networks, platform.tells_node_times))
    assert store.find(task).error == "the runtime is broken"
    assert not store.succeeded()


def test_a_killed_campaign_loses_nothing(tmp_path):
    path = tmp_path / "store.sqlite"
    command = [sys.executable, "-m", "spacecut", "profile", "behaviour_study/conv3x3_out_channels", "-p", "onnxruntime"]
    command += ["--store", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        time.sleep(0.05)
        if path.is_file() and _count(path) >= 10:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = _count(path)
    assert before >= 10
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    content = json.loads(done.stdout)
    assert content["fresh"] <= content["runs"] - before
    assert _count(path) == content["runs"]


def _count(path):
    try:
        with sqlite3.connect(path) as connection:
            return connection.execute("select count(*) from runs").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_the_quiet_runs_are_those_not_far_slower_than_the_fastest():
    runs = [run_of(Task("a network", False, repeat), ms) for repeat, ms in enumerate((1.3, 1.0, 1.01, 1.4, 1.2))]
    assert quiet_runs(runs) == [runs[1], runs[2], runs[4]]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (((1.0, 1.0), (1.01, 1.0)), True),
        (((1.0, 1.0),), False),  # nothing to agree with
        (((1.0, 1.0), (1.2, 1.0)), False),
        (((1.0, 1.3), (1.01, 1.3)), False),  # both while the reference was slow
        (((1.0, 1.3), (1.01, 1.05)), True),
        (((1.0, 0.0), (1.01, 0.0)), True),  # no reference on this platform
    ],
)
def test_a_network_is_settled_once_two_runs_agree_and_one_was_calm(runs, expected):
    made = [
        run_of(Task("a network", False, repeat), ms, reference=reference) for repeat, (ms, reference) in enumerate(runs)
    ]
    assert settled(made, 1.0) == expected


def test_a_quiet_machine_is_what_the_fastest_references_tell():
    runs = [run_of(Task("a network", False, repeat), reference=1.0 + repeat / 100) for repeat in range(11)]
    assert quiet_reference(runs) == pytest.approx(1.01)
    assert np.isnan(quiet_reference([run_of(Task("a network", False, 0))]))


def test_a_mean_node_time_is_corrected_by_what_the_total_was_disturbed():
    run = Run(Task("a network", True, 0), "", 0.1, (0.9,), {0: (0.4,)}, (1.0,) * 8 + (6.0,) * 2)
    assert run.low_watched_ms == 1.0
    assert run.low_node_ms == {0: pytest.approx(0.2)}


def test_what_the_passes_do_not_agree_on_is_measured_again(tmp_path, monkeypatch):
    count = 0

    def measure(self, network, nodes, protocol, made):
        nonlocal count
        count += 1
        return Samples([1.5 if count == 1 else 1.0], {0: [1.0]}, [1.0], 1.0)

    monkeypatch.setattr(Worker, "measure", measure)
    platform = get_platform("onnxruntime")
    store = Store(str(tmp_path / "store.sqlite"), platform_record(platform))
    networks = list(sampled_networks(expand(small_space())))
    runs = Campaign(platform, store, QUICK).cover(networks, Budget(5.0, passes=2, more_passes=2))
    tasks = [run.task for run in runs]
    assert len(tasks) == len(set(tasks)) == 7  # three networks, twice, and one repair
    assert [task.repeat for task in tasks] == [0] * 3 + [1] * 3 + [2]
    assert tasks[6].network == tasks[0].network


def let_runs_take_a_second(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr("spacecut.measure.campaign.time.perf_counter", lambda: float(next(clock)))


def test_a_deterministic_platform_runs_each_network_once_and_more_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(Worker, "measure", lambda *_: Samples([1.0], {0: [1.0]}, [1.0]))
    platform = get_platform("onnxruntime")
    monkeypatch.setattr(type(platform), "deterministic", True)
    networks = list(sampled_networks(expand(load_space("behaviour_study/conv3x3_out_channels"))))
    asked = []

    def enough(runs):
        asked.append(len(runs))
        return len(runs) >= 16

    for number, (seconds, expected) in enumerate(((1e9, 96), (1e-9, 1))):  # a small space is measured whole
        store = Store(str(tmp_path / f"{number}.sqlite"), platform_record(platform))
        runs = Campaign(platform, store, QUICK).cover(networks, Budget(seconds), enough)
        assert len(runs) == expected
        assert {run.task.repeat for run in runs} == {0}
    assert not asked
    let_runs_take_a_second(monkeypatch)
    store = Store(str(tmp_path / "slow.sqlite"), platform_record(platform))
    runs = Campaign(platform, store, QUICK).cover(networks, Budget(20.0), enough)
    assert len(runs) == 16
    assert asked == [8, 16]


def test_what_is_prepared_once_is_counted_once(tmp_path, monkeypatch):
    let_runs_take_a_second(monkeypatch)
    platform = get_platform("onnxruntime")
    networks = list(sampled_networks(expand(load_space("behaviour_study/conv3x3_out_channels"))))
    chosen = {}
    for preparing in (0.0, 0.75):
        samples = Samples([1.0], {0: [1.0]}, [1.0], 1.0, preparing=preparing)
        monkeypatch.setattr(Worker, "measure", lambda *_, samples=samples: samples)
        path = str(tmp_path / f"{preparing}.sqlite")
        store = Store(path, platform_record(platform))
        runs = Campaign(platform, store, QUICK).cover(networks, Budget(28.0, passes=3, repairs=0), lambda runs: True)
        chosen[preparing] = len({run.task.network for run in runs})
        again = Campaign(platform, Store(path, platform_record(platform)), QUICK)
        assert again.cover(networks, Budget(28.0, passes=3, repairs=0), lambda runs: True) == runs
        assert again.measured == 0
    assert chosen == {0.0: 7, 0.75: 16}  # 28 / 4 runs of 1 s; 28 / (0.75 + 4 * 0.25)


def test_a_network_that_fails_takes_no_room_from_the_others(tmp_path, monkeypatch):
    let_runs_take_a_second(monkeypatch)
    platform = get_platform("onnxruntime")
    networks = list(sampled_networks(expand(load_space("behaviour_study/conv3x3_out_channels"))))
    bad = networks[1].key

    def measure(self, network, nodes, protocol, made):
        if network.key == bad:
            raise MeasurementError("it cannot be run")
        return Samples([1.0], {0: [1.0]}, [1.0], 1.0)

    monkeypatch.setattr(Worker, "measure", measure)
    store = Store(str(tmp_path / "store.sqlite"), platform_record(platform))
    runs = Campaign(platform, store, QUICK).cover(networks, Budget(28.0, passes=3, repairs=0), lambda runs: True)
    assert len({run.task.network for run in runs if run.error is None}) == 7  # (28 - 1) / 4 runs of 1 s, rounded up
    assert {run.task.network for run in runs if run.error} == {bad}


def test_operators_alone_beside_networks_are_run_twice(tmp_path, monkeypatch):
    let_runs_take_a_second(monkeypatch)
    monkeypatch.setattr(Worker, "measure", lambda *_: Samples([1.0], {}, [], 1.0))
    platform = get_platform("litert")
    networks = list(sampled_networks(expand(load_space("metapruning/mobilenet_v1"))))
    store = Store(str(tmp_path / "store.sqlite"), platform_record(platform))
    runs = Campaign(platform, store, QUICK).cover(networks, Budget(300.0, passes=4, repairs=0))
    repeats = defaultdict(set)
    for run in runs:
        repeats[run.task.network].add(run.task.repeat)
    operators = {key for key in repeats if len(Network.parse(key).nodes) == 1}
    assert 1 < len(repeats.keys() - operators) < len(operators)
    assert all(repeats[key] == ({0, 1} if key in operators else {0, 1, 2, 3}) for key in repeats)
    # So many more would not fit: the last of the five passes that are counted is for repairs.
    assert 300.0 <= 5 * len(repeats.keys() - operators) + 3 * len(operators) < 300.0 + 5 + 3 * 6


def test_no_further_pass_is_made_once_the_time_is_spent(tmp_path, monkeypatch):
    """On a SIMULATED machine that is slower from the second pass on."""
    now = [0.0]

    def measure(self, network, nodes, protocol, made):
        now[0] += 1.0 if now[0] < 10.0 else 3.0
        return Samples([1.0], {0: [1.0]}, [1.0], 1.0)

    monkeypatch.setattr("spacecut.measure.campaign.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(Worker, "measure", measure)
    platform = get_platform("onnxruntime")
    networks = list(sampled_networks(expand(load_space("behaviour_study/conv3x3_out_channels"))))
    store = Store(str(tmp_path / "store.sqlite"), platform_record(platform))
    runs = Campaign(platform, store, QUICK).cover(networks, Budget(60.0, repairs=0))
    assert Counter(run.task.repeat for run in runs) == {0: 10, 1: 10, 2: 10}  # 10 + 30 + 30 s


def test_no_further_pass_is_made_once_the_runs_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(Worker, "measure", lambda *_: Samples([1.0], {0: [1.0]}, [1.0], 1.0))
    platform = get_platform("onnxruntime")
    networks = list(sampled_networks(expand(small_space())))
    asked = []

    def enough(runs):
        asked.append(len(runs))
        return True

    for number, (seconds, passes) in enumerate(
        ((1e-9, 2), (1e9, 5))
    ):  # even the first pass is beyond the budget; a small space
        store = Store(str(tmp_path / f"{number}.sqlite"), platform_record(platform))
        runs = Campaign(platform, store, QUICK).cover(networks, Budget(seconds, passes=4, more_passes=5), enough)
        assert len(runs) == passes * len({run.task.network for run in runs})
    assert asked


def test_without_an_error_to_reach_predictions_are_not_asked_for(tmp_path, monkeypatch):
    def asked(evidence):
        raise AssertionError("the error on networks left out was asked for")

    monkeypatch.setattr(sys.modules["spacecut.latency.profile"], "held_out_error", asked)
    store = str(tmp_path / "store.sqlite")
    found = spacecut.profile(small_space(), "onnxruntime", store=store, budget=Budget(20.0, error=0.0))
    assert len({run.task.network for run in found.runs}) == 3
    with pytest.raises(AssertionError, match="was asked for"):
        spacecut.profile(small_space(), "onnxruntime", store=store, budget=Budget(20.0))
