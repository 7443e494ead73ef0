"""MetaPruning's scripts in a reduced space; the platform that it is cut for is simulated."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from metapruning_layout import write_layout

import spacecut
from spacecut.errors import InputError
from spacecut.integrations.metapruning import AllowedIds, read_config, write_metapruning
from spacecut.integrations.metapruning.encoding import FAMILIES
from spacecut.latency import RecordedPlatform
from spacecut.latency.recorded import Accuracy, CostTable

SPACES = tuple(FAMILIES)
SCRIPTS = [(space, script) for space in SPACES for script in ("searching/search.py", "training/train.py")]


def simulated(space: spacecut.SearchSpace, step: int) -> RecordedPlatform:
    """A platform on which layers between neighbouring choices take their widths in steps, multiplied."""
    tables = []
    for one, other in zip(space.choices, space.choices[1:], strict=False):
        steps = [np.ceil(choice.attributes["width"] / step) for choice in (one, other)]
        ms = np.outer(*steps).ravel() * 1e-3
        tables.append(
            CostTable((one.name, other.name), (one.candidates, other.candidates), tuple(ms), (1e-6,) * ms.size)
        )
    accuracy = Accuracy(100, 1.0, 1.0, 1.0, 0.0, 0.01)
    return RecordedPlatform(
        space.name, "nothing.csv", f"simulated, steps of {step}", 100, 0, "2026-01-01", "choices", 0.25, accuracy, None,
        tuple(tables),
    )  # fmt: skip


@pytest.fixture(scope="module", params=SPACES)
def cut(request, tmp_path_factory):
    """A reduction for two simulated platforms, and its directory."""
    space = spacecut.load_space(request.param)
    reduction = spacecut.cut(space, [simulated(space, 16), simulated(space, 8)], tolerance=0.02)
    folder = tmp_path_factory.mktemp("cut")
    reduction.save(folder)
    return reduction, folder


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """By space: a directory with a cut and its config."""
    found = {}
    for name in SPACES:
        space = spacecut.load_space(name)
        found[name] = tmp_path_factory.mktemp("exported")
        spacecut.cut(space, simulated(space, 16), tolerance=0.02).save(found[name])
        write_metapruning(found[name])
    return found


@pytest.fixture
def layout(tmp_path):
    write_layout(tmp_path)
    return tmp_path


def run(config: Path, script: Path, *arguments: object, bound: float | None = None):
    limits = () if bound is None else ("--max-latency", bound)
    command = [sys.executable, "-m", "spacecut.integrations.metapruning", "--config", config, *limits, "--", script]
    return subprocess.run(
        [*map(str, command), *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_config_holds_what_the_cut_left(cut):
    reduction, folder = cut
    (path,) = write_metapruning(folder)
    config = read_config(path)
    assert [slot.ids for slot in config.slots] == [list(choice.candidates) for choice in reduction.space.choices]
    assert [slot.widths for slot in config.slots] == [c.attributes["width"].tolist() for c in reduction.space.choices]
    assert [platform.slowdown for platform in config.platforms] == [o.certificate.slowdown for o in reduction.outcomes]
    assert sorted(at for slot in config.slots for at in slot.at) == list(range(len(config.family.candidate)))

    allowed = AllowedIds(config)
    drawn = allowed.sample(500, np.random.default_rng(0))
    ids = drawn[:, [slot.at[0] for slot in config.slots]]
    for number, outcome in enumerate(reduction.outcomes):
        assert np.allclose(allowed.latency_ms(drawn, number), outcome.model.predict(ids))


def test_a_million_draws_stay_inside(cut):
    config = read_config(write_metapruning(cut[1])[0])
    allowed, generator = AllowedIds(config), np.random.default_rng(0)
    ones, others = (allowed.sample(250_000, generator) for _ in range(2))
    mutants = allowed.mutate(ones, 0.5, generator)
    for drawn in (ones, others, mutants, allowed.crossover(ones, others, generator)):
        assert allowed.contains(drawn).all()
    for slot in config.slots:
        assert set(np.unique(ones[:, slot.at[0]])) == set(slot.ids)
        changed = np.mean(mutants[:, slot.at[0]] != ones[:, slot.at[0]])
        assert changed == pytest.approx(0.5 if len(slot.ids) > 1 else 0.0, abs=0.01)
    first = allowed.sample(1000, generator, config.family.first)
    low, high = config.family.first
    for slot in config.slots:
        if any(low <= one < high for one in slot.ids):
            assert ((first[:, slot.at[0]] >= low) & (first[:, slot.at[0]] < high)).all()


def test_children_have_each_slot_from_a_parent(cut):
    allowed, generator = AllowedIds(read_config(write_metapruning(cut[1])[0])), np.random.default_rng(0)
    ones, others = (allowed.sample(1000, generator) for _ in range(2))
    children = allowed.crossover(ones, others, generator)
    assert ((children == ones) | (children == others)).all()
    assert np.mean(children[ones != others] == ones[ones != others]) == pytest.approx(0.5, abs=0.05)


def test_what_was_dropped_is_not_contained(cut):
    config = read_config(write_metapruning(cut[1])[0])
    allowed = AllowedIds(config)
    candidate = allowed.sample(1, np.random.default_rng(0))
    for slot in config.slots:
        dropped = sorted(set(range(31)) - set(slot.ids))
        for strange in [*dropped[:1], -1, 31, slot.ids[0] + 0.5]:
            other = candidate.astype(float)
            other[:, slot.at] = strange
            assert not allowed.contains(other).any()
        if len(slot.at) > 1 and len(slot.ids) > 1:  # tied ids differ
            other = candidate.copy()
            other[0, slot.at[-1]] = next(one for one in slot.ids if one != candidate[0, slot.at[0]])
            assert not allowed.contains(other).any()
    strange = candidate.copy()
    strange[0, 0] = next(one for one in range(31) if one not in config.slots[0].ids)
    with pytest.raises(InputError, match="not among the architectures"):
        allowed.latency_ms(strange)


@pytest.mark.parametrize(("space", "script"), SCRIPTS)
def test_a_published_script_draws_only_what_is_left(directories, layout, space, script):
    config = read_config(directories[space] / "metapruning.json")
    family, allowed = config.family, AllowedIds(config)
    path = layout / family.folder / script
    searches = script.endswith("search.py")
    middle = float(np.median(allowed.latency_ms(allowed.sample(2000, np.random.default_rng(0), family.first))))
    arguments = ("--max_iters", 3) if searches else ("--epochs", 2)
    before = {file: file.read_text() for file in path.parent.glob("*.py")}
    done = run(directories[space] / "metapruning.json", path, *arguments, bound=middle if searches else None)
    assert done.returncode == 0, done.stderr
    assert "architectures of" in done.stderr
    assert {file: file.read_text() for file in path.parent.glob("*.py")} == before  # no edit

    called = lines(path.parent / "called.jsonl")
    if searches:
        assert len(called) == 150
        candidates = np.asarray(lines(path.parent / "latencies.jsonl"))
        assert allowed.contains(candidates[:, :-1]).all()
        assert np.allclose(candidates[:, -1], allowed.latency_ms(candidates[:, :-1]))
        assert candidates[:, -1].max() * (1 + 1.645 * config.platforms[0].error) <= middle * (1 + 1e-9)
        seen = [[number for ids in one.values() for number in ids] for one in called]
        assert seen == candidates[:, :-1].astype(int).tolist()
        assert len(set(map(tuple, seen))) == 150
    else:
        assert len(called) == 2 * (4 + 2)
        for ids in called:
            assert ids.keys() == family.arguments.keys()
            for name, slots in family.arguments.items():
                for one, slot in zip(ids[name], slots, strict=True):
                    assert slot is None or one in config.slots[slot].ids
        assert len({json.dumps(one) for one in called}) == 2 * (4 + 1)  # validation keeps its architecture


def test_ids_spread_over_what_is_allowed(directories):
    allowed = AllowedIds(read_config(directories[SPACES[0]] / "metapruning.json"))
    for slot, one in enumerate(allowed.config.slots):
        taken = [allowed.nearby([number], [slot])[0] for number in range(31)]
        assert set(taken) == set(one.ids)
        assert taken == sorted(taken)
        counts = np.unique(taken, return_counts=True)[1]
        assert counts.max() - counts.min() <= 1
    assert allowed.nearby([-1, 30], [None, None]) == [-1, 30]


def test_older_names_are_there_for_the_run_only(directories, layout):
    config, script = directories[SPACES[0]] / "metapruning.json", layout / "mobilenetv1" / "training" / "train.py"
    code = (
        "import sys, numpy, torch; from pathlib import Path\n"
        "from spacecut.integrations.metapruning.runner import run_script\n"
        "from spacecut.integrations.metapruning import read_config\n"
        "def now():\n"
        "    changed = torch.nn.Module.cuda, torch.Tensor.cuda, torch.nn.DataParallel\n"
        "    return *changed, sys.argv, Path.cwd(), hasattr(numpy, 'int')\n"
        "before = now()\n"
        f"run_script(read_config({str(config)!r}), Path({str(script)!r}), ['--epochs', '1'], [])\n"
        "assert before == now() and sys.modules['__main__'].__dict__ is globals()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


REFUSED = {
    "another argument": ("def get_mutation(keep_top_k, ", "def get_mutation(parents, ", "get_mutation takes (parents"),
    "no function": ("def random_can(", "def random_candidates(", "has no random_can"),
    "other scales": (
        "MobileNetV1, channel_scale\n",
        "MobileNetV1\nchannel_scale = [0.5, 1.0]\n",
        "31 published scales",
    ),
    "no main part": ("if __name__ == '__main__':", "if True:", "does not end with"),
    "no Python": ("def run():", "def run(:", "no Python"),
    "another count": ("num_states = 13", "num_states = 14", "asks for 14 ids"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_script_that_is_not_as_published_is_refused(directories, layout, why):
    old, new, message = REFUSED[why]
    script = layout / "mobilenetv1" / "searching" / "search.py"
    text = script.read_text()
    assert old in text
    script.write_text(text.replace(old, new))
    done = run(directories[SPACES[0]] / "metapruning.json", script, bound=100)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_what_does_not_go_together_is_refused(directories, layout):
    config = directories[SPACES[0]] / "metapruning.json"
    search, train = (layout / "mobilenetv1" / script for script in ("searching/search.py", "training/train.py"))
    for done, message in (
        (run(config, search), "a search needs a bound"),
        (run(config, train, bound=3), "training has no bound"),
        (run(config, layout / "nothing.py", bound=3), "give the path of a published"),
        (run(layout / "nothing.json", search, bound=3), "make it with `spacecut export"),
        (run(config, layout / "utils" / "utils.py", bound=3), "does not end with"),
        (run(config, layout / "resnet" / "searching" / "search.py", bound=3), "has no MobileNetV1"),
        (run(config, search, bound=1e-3), "there is no further architecture of at most 0.001 ms"),
    ):
        assert done.returncode == 2, done.stderr
        assert message in done.stderr


def test_a_snapshot_of_another_space_is_refused(directories, layout):
    config = read_config(directories[SPACES[0]] / "metapruning.json")
    script = layout / "mobilenetv1" / "searching" / "search.py"
    strange = next(one for one in range(31) if one not in config.slots[-1].ids)
    candidates = [np.asarray([*[slot.ids[0] for slot in config.slots[:-1]], strange, 2.0])]
    snapshot = {"candidates": candidates, "keep_top_k": [], "keep_top_50": [], "iter": 0}
    (script.parent / "searching_snapshot.pkl").write_bytes(pickle.dumps(snapshot))
    done = run(directories[SPACES[0]] / "metapruning.json", script, bound=100)
    assert done.returncode == 2
    assert "of a search in another space" in done.stderr


def test_a_broken_config_is_refused(directories, tmp_path):
    good = json.loads((directories[SPACES[0]] / "metapruning.json").read_text())
    for change, message in (
        (lambda c: c["slots"][0]["ids"].append(31), "slots.0.ids"),
        (lambda c: c["slots"].pop(), "13 slots, not 12"),
        (lambda c: c["slots"][3].update(at=[4]), "does not stand where"),
        (lambda c: c["slots"][3]["ids"].reverse(), "ascending"),
        (lambda c: c["platforms"][0]["tables"][0]["ms"].pop(), "entries, not"),
        (lambda c: c.update(space="my/space"), "space"),
        (lambda c: c.update(more=1), "more"),
    ):
        content = json.loads(json.dumps(good))
        change(content)
        path = tmp_path / "broken.json"
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            read_config(path)


def test_only_the_published_spaces_are_exported(tmp_path):
    space = spacecut.load_space("behaviour_study/conv3x3_out_channels").restrict({"width": [8, 16]})
    table = CostTable(("width",), ((8, 16),), (1.0, 2.0), (0.1, 0.1))
    accuracy = Accuracy(100, 1.0, 1.0, 1.0, 0.0, 0.01)
    recorded = RecordedPlatform(
        space.name, "nothing.csv", "simulated", 100, 0, "2026-01-01", "choices", 0.25, accuracy, None, (table,)
    )
    spacecut.cut(space, recorded).save(tmp_path)
    command = [sys.executable, "-m", "spacecut", "export", str(tmp_path), "--to", "metapruning"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "none of the published spaces" in done.stderr
