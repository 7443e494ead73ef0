"""Random small search spaces."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import assume, settings
from hypothesis import strategies as st

from spacecut.errors import InputError
from spacecut.operators import ABSENT, Network, Operator, Workload, expand
from spacecut.space import SearchSpace
from spacecut.space.document import SpaceDocument

quick = settings(deadline=None, max_examples=60)

HEAD: dict[str, Any] = {"spacecut": 1, "name": "random", "input": [4, 8, 6]}
WIDTHS = st.lists(st.sampled_from([2, 4, 6, 8]), min_size=1, max_size=3, unique=True)
ACTIVATION = st.sampled_from(["none", "relu", "hardswish"])
CONDITION = st.sampled_from(["k > 1", "a > 4 or k == 3", "op == 'conv'", "op != 'none' and a < 8"])

BLOCKS: dict[str, Any] = {
    "residual": {
        "parameters": {"kernel": 3, "activation": "none"},
        "layers": [
            {"conv2d": {"out_channels": "in_channels * 2", "kernel": 1, "activation": "activation"}},
            {"depthwise_conv2d": {"kernel": "kernel", "when": "kernel > 1"}},
            {"conv2d": {"out_channels": "in_channels // 2", "kernel": 1}},
            {"add": {"inputs": ["previous", "input"]}},
        ],
    },
    "edge": {
        "parameters": {"op": None, "width": "in_channels"},
        "layers": [
            {"conv2d": {"out_channels": "width", "kernel": 3, "when": "op == 'conv'"}},
            {"zero": {"when": "op == 'none'"}},
        ],
    },
    "cell": {
        "parameters": {"activation": "none"},
        "layers": [
            {"edge": {"op": "op", "name": "one"}},
            {"edge": {"op": "other", "input": "input", "name": "two"}},
            {"add": {"inputs": ["one", "two"], "activation": "activation"}},
        ],
    },
}


@st.composite
def layers(draw: st.DrawFn) -> dict[str, Any]:
    """One layer that leaves an even number of channels."""
    kind, body = draw(
        st.one_of(
            st.fixed_dictionaries(
                {
                    "out_channels": st.sampled_from([6, "a", "b", "a.wide", "max(a, b)", "in_channels"]),
                    "kernel": st.sampled_from([3, "k"]),
                },
                optional={"stride": st.just(2), "groups": st.sampled_from([1, 2]), "activation": ACTIVATION},
            ).map(lambda body: ("conv2d", body)),
            st.fixed_dictionaries({"kernel": st.sampled_from([3, "k"])}, optional={"activation": ACTIVATION}).map(
                lambda body: ("depthwise_conv2d", body)
            ),
            st.fixed_dictionaries({"kernel": st.just(2)}, optional={"stride": st.just(2)}).map(
                lambda body: ("max_pool2d", body)
            ),
            st.just(("squeeze_excite", {"reduced": "in_channels // 2"})),
            st.fixed_dictionaries(
                {}, optional={"kernel": st.just("k"), "activation": ACTIVATION, "repeat": st.just(2)}
            ).map(lambda body: ("residual", body)),
            st.fixed_dictionaries({}, optional={"activation": ACTIVATION, "repeat": st.just(2)}).map(
                lambda body: ("cell", body)
            ),
            st.just(("zero", {"when": "op == 'none'"})),
            st.just(("conv2d", {"out_channels": 2, "kernel": 3, "name": "unused"})),
        )
    )
    if kind != "zero" and draw(st.integers(0, 3)) == 0:
        body = {**body, "when": draw(CONDITION)}
    return {kind: body}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A space of at most 54 architectures with convolutions, residual sums, cells, absent and zero layers."""
    body = draw(st.lists(layers(), min_size=1, max_size=5))
    at = next((number for number, layer in enumerate(body) if "unused" in str(layer)), None)
    if at is not None:  # read what stands before the layer that nothing reads
        body = [*body[:at], {"activation": {"activation": "relu", "name": "kept"}}, *body[at:]]
        body.insert(at + 2, {"activation": {"activation": "relu", "input": "kept"}})
    head: list[dict[str, Any]] = [{"global_avg_pool": {}}, {"linear": {"out_channels": 5}}]
    return {
        **HEAD,
        "choices": {
            "a": {"candidates": draw(WIDTHS), "order": "larger", "attributes": {"wide": "candidate * 2"}},
            "b": {"candidates": draw(WIDTHS)},
            "k": {"candidates": draw(st.sampled_from([[1, 3], [3], [1, 3, 5]]))},
            "op": {"candidates": draw(st.sampled_from([["conv", "none"], ["none", "skip", "conv"], ["skip"]]))},
        },
        "definitions": {"other": "op if k > 1 else 'skip'"},
        "blocks": BLOCKS,
        "network": [*body, *(head if draw(st.booleans()) else [])],
    }


def space_of(document: dict[str, Any]) -> SearchSpace:
    return SearchSpace(SpaceDocument.model_validate(document))


def architectures(space: SearchSpace) -> np.ndarray:
    """Candidate numbers of all of them."""
    return np.asarray(list(itertools.product(*map(range, space.lengths))), dtype=np.int64)


def expanded(document: dict[str, Any]) -> Workload:
    try:
        return expand(space_of(document))
    except InputError as error:
        assume("no operator" not in str(error))
        raise


def operators_of(workload: Workload, candidates: np.ndarray) -> Counter[Operator]:
    used = workload.used(candidates[None])[0]
    return Counter(workload.operators[number] for number in used if number != ABSENT)


def network_of(workload: Workload, candidates: np.ndarray) -> Network | None:
    try:
        return workload.network(candidates)
    except InputError:
        return None


def network_space(choices: dict[str, Any], network: Sequence[dict[str, Any]]) -> SearchSpace:
    return space_of({**HEAD, "choices": choices, "network": list(network)})
