"""Where choices have an effect, against networks put together one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from models import enumerated, space_of, spaces

from spacecut.operators import Workload, expand
from spacecut.space import SearchSpace, load_space


def changed(workload: Workload, row: np.ndarray, choice: int) -> bool:
    """Whether an architecture's operators depend on which candidate a choice takes."""
    others = np.repeat(row[None], workload.space.lengths[choice], axis=0)
    others[:, choice] = np.arange(len(others))
    used = workload.used(others)
    return bool((used != used[0]).any())


@settings(deadline=None, max_examples=50)
@given(spaces())
def test_a_choice_has_an_effect_where_the_operators_depend_on_it(space: SearchSpace) -> None:
    workload = expand(space)
    for row in enumerated(space)[:40]:
        for choice, effect in enumerate(workload.effects):
            assert bool(effect.at(row)) == changed(workload, row, choice)


def test_blocks_beyond_the_depth_and_edges_that_lead_nowhere_have_none() -> None:
    space = space_of(
        {"depth": {"candidates": [1, 2]}, "first": {"candidates": [3, 5]}, "second": {"candidates": [3, 5]}},
        [
            {"depthwise_conv2d": {"kernel": "first"}},
            {"depthwise_conv2d": {"kernel": "second", "when": "depth > 1"}},
            {"linear": {"out_channels": 3}},
        ],
    )
    depth, first, second = expand(space).effects
    assert (depth.scope, bool(depth.values)) == ((), True)
    assert (first.scope, bool(first.values)) == ((), True)
    assert (second.scope, second.values.tolist()) == ((0,), [False, True])
    cell = load_space("nasbench201/cell")
    effects = dict(zip((choice.name for choice in cell.choices), expand(cell).effects, strict=True))
    beyond = {name: {cell.choices[position].name for position in effect.scope} for name, effect in effects.items()}
    assert beyond["edge2_0"] == {"edge3_2"}
    assert beyond["edge3_1"] == {"edge1_0"}
    assert beyond["edge3_0"] == set()
