"""What is written to space files reads back, and a damaged one is read or refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import HEAD, documents, space_of

from spacecut.errors import InputError
from spacecut.operators import expand
from spacecut.space import SearchSpace, load_space, save_space, shipped_spaces

START = "spacecut: 1\nname: test\ninput: [3, 8, 8]\n"
NETWORK = "network:\n  - conv2d: {out_channels: 8, kernel: 3}\n"


def test_a_directory_with_a_reduced_space(tmp_path: Path) -> None:
    (tmp_path / "reduced.yaml").write_text(START + NETWORK)
    assert load_space(tmp_path).name == "test"


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        save_space(load_space("mobilenet/v2"), tmp_path / "no" / "space.yaml")


def test_merged_keys_and_dates(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        START + "choices:\n  a: &a {candidates: 1..3, order: larger}\n  b: {<<: *a, order: none}\n"
        "  c: {candidates: [2020-01-01, 2020-01-02]}\n" + NETWORK
    )
    a, b, c = load_space(path).choices
    assert (a.candidates, a.order) == ((1, 2, 3), "larger")
    assert (b.candidates, b.order) == ((1, 2, 3), "none")
    assert c.candidates == ("2020-01-01", "2020-01-02")


numbers = st.integers(-1000, 1000) | st.floats(-1e6, 1e6)
words = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() and text.isprintable()) | st.sampled_from(
    ["1", "1.5", "true", "null", "~", "none", "1..3", "2020-01-01", "<<", "=", "#", "- a", "a: b", "&a", "*a", "'", '"']
)
scalars = st.booleans() | numbers | words


@st.composite
def choice_documents(draw: st.DrawFn) -> dict[str, Any]:
    candidates: Any = draw(
        st.lists(numbers, min_size=1, max_size=5, unique=True) | st.lists(words, min_size=1, max_size=5, unique=True)
    )
    order: Any = draw(st.sampled_from(["none", [candidates, candidates[:1]], [candidates[::-1]]]))
    if not isinstance(candidates[0], str):
        order = draw(st.sampled_from(["larger", order]))
    if draw(st.booleans()):
        values = draw(st.sampled_from([numbers, words, st.booleans()]))
        candidates = {candidate: {"a": draw(values), "b": 1} for candidate in candidates}
    computed = {} if isinstance(next(iter(candidates)), str) else {"twice": "candidate * 2", "one": True}
    return {"candidates": candidates, "order": order, "attributes": computed}


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    document = draw(documents())
    more = draw(st.dictionaries(st.sampled_from(["c1", "c2", "none_", "yes", "null"]), choice_documents(), max_size=3))
    text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
    about = {"name": draw(words), "description": draw(text), "source": draw(text)}
    return space_of({**document, **about, "choices": {**document["choices"], **more}})


def assert_same(one: SearchSpace, other: SearchSpace) -> None:
    assert (one.name, one.document.description, one.size) == (other.name, other.document.description, other.size)
    assert one.choices == other.choices
    for choice, again in zip(one.choices, other.choices, strict=True):
        assert list(map(type, choice.candidates)) == list(map(type, again.candidates))
        assert np.array_equal(choice.not_worse(), again.not_worse())
        assert choice.attributes.keys() == again.attributes.keys()
        for name, values in choice.attributes.items():
            assert values.dtype == again.attributes[name].dtype
            assert values.tolist() == again.attributes[name].tolist()
    assert [(layer.name, layer.inputs) for layer in one.layers] == [
        (layer.name, layer.inputs) for layer in other.layers
    ]


def rows_of(space: SearchSpace) -> list[Any]:
    try:
        workload = expand(space)
    except InputError:
        return []
    return [workload.rows.tolist(), *((factor.scope, factor.index.tolist()) for factor in workload.factors)]


@given(spaces(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_what_is_saved_reads_back(tmp_path_factory: Any, space: SearchSpace, chance: random.Random) -> None:
    path = tmp_path_factory.mktemp("spaces") / "space.yaml"
    kept = {
        choice.name: chance.sample(choice.candidates, chance.randint(1, len(choice)))
        for choice in space.choices
        if chance.random() < 0.7
    }
    for whole in (space, space.restrict(kept)):
        save_space(whole, path)
        again = load_space(path)
        assert_same(whole, again)
        assert rows_of(whole) == rows_of(again)


MUTATIONS = [
    "0", "-1", "1.5", ".nan", "true", "null", "[]", "{}", "''", "'", "w", "op", "w.x", "1..5", "*a", "&a ", "\t",
    "\n  ", "- ", ": ", "!!set ", "relu", "zero", "add", "when", "inputs", "repeat", "w / 0", "(", "lambda: 0",
]  # fmt: skip


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_damaged_file_is_read_or_refused(tmp_path_factory: Any, data: st.DataObject) -> None:
    text = yaml.safe_dump(data.draw(st.just({**HEAD}) | documents()), sort_keys=False)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 8))
        text = text[:start] + data.draw(st.sampled_from(MUTATIONS)) + text[end:]
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text(text)
    try:
        expand(load_space(path))
    except InputError as error:
        assert str(error).isprintable()


def test_shipped_spaces_are_found() -> None:
    assert all(load_space(name).layers for name in shipped_spaces())
