"""The file that suggests a cut's architectures to Optuna."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from models import GivenProfile, imported, random_costs

from spacecut.cut import Reduction, cut
from spacecut.integrations.optuna_file import write_optuna
from spacecut.space import load_space

optuna = pytest.importorskip("optuna", reason="needs optuna; pip install optuna")


def written(directory: Path, name: str) -> tuple[Reduction, ModuleType]:
    """A cut of a shipped space, and the file that was written of it."""
    space = load_space(name)
    reduction = cut(space, GivenProfile(space, random_costs(1)), target_size=4**6)
    reduction.save(directory)
    (file,) = write_optuna(directory)
    return reduction, imported(file)


@pytest.mark.parametrize("name", ["metapruning/mobilenet_v1", "nasbench201/cell"])
def test_suggestions_are_architectures_of_the_reduced_space_and_reach_all_of_it(tmp_path: Path, name: str) -> None:
    reduction, module = written(tmp_path, name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [module.suggest(study.ask(), prefix="cell.") for _ in range(300)]
    for choice in reduction.space.choices:
        assert {architecture[choice.name] for architecture in drawn} == set(choice.candidates)
    reduction.outcomes[0].model.predict(drawn[0])  # an architecture of the full space too
    asked = {f"cell.{choice.name}" for choice in reduction.space.choices if len(choice) > 1}
    assert set(study.trials[0].params) == asked


def test_candidates_with_an_order_are_asked_for_by_position(tmp_path: Path) -> None:
    reduction, module = written(tmp_path, "metapruning/mobilenet_v1")
    assert set(module.ORDERED) == set(module.KEPT) == {choice.name for choice in reduction.space.choices}
    assert all(candidates == sorted(candidates) for candidates in module.KEPT.values())
    least = optuna.trial.FixedTrial({choice.name: 0 for choice in reduction.space.choices})
    assert module.suggest(least) == {choice.name: min(choice.candidates) for choice in reduction.space.choices}
