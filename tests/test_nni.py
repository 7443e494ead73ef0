"""NNI's model spaces, real ones: read, cut, searched by its strategies in its sequential engine."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from command_line import run_apart
from models import GivenProfile

pytest.importorskip("nni", reason="needs nni; pip install 'spacecut[nni]'")

import torch
from nni.mutable import MutableSymbol
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.hub.pytorch import DARTS as DARTSSpace
from nni.nas.hub.pytorch import ENAS as ENASSpace
from nni.nas.hub.pytorch import AutoFormer, MobileNetV3Space, NasBench201, ProxylessNAS, ShuffleNetSpace
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.oneshot.pytorch.profiler import ExpectationProfilerPenalty, RangeProfilerFilter
from nni.nas.space import ModelStatus, RawFormatModelSpace, SimplifiedModelSpace
from nni.nas.strategy import DARTS, GridSearch, Random, RegularizedEvolution
from nni_spaces import INPUT_SHAPE, SmallSpace, WidthSpace, evaluator
from torch import nn

from spacecut import load_space
from spacecut.errors import InputError
from spacecut.integrations.nni import (
    LatencyProfiler,
    ReadSpace,
    SpaceCut,
    cut_model_space,
    narrow,
    read_model_space,
)
from spacecut.integrations.nni.reading import unfused
from spacecut.integrations.nni_file import write_nni
from spacecut.integrations.opening import open_space
from spacecut.operators import Operator
from spacecut.operators.onnx_reader import read_onnx

HUB = {
    "mobilenet_v3": (MobileNetV3Space, (3, 224, 224), 3**5 * 4**5),
    "proxyless": (ProxylessNAS, (3, 224, 224), 6**21 * 4**5),
    "shufflenet": (ShuffleNetSpace, (3, 224, 224), 4**20),
    "nasbench201": (NasBench201, (3, 32, 32), 5**6),
    "darts": (lambda: DARTSSpace(width=8, num_cells=3, dataset="cifar"), (3, 32, 32), None),
    "enas": (lambda: ENASSpace(width=8, num_cells=3, dataset="cifar"), (3, 32, 32), None),
}


def steps_of_eight(operator: Operator) -> float:
    """A platform that pads the widths of large convolutions to blocks of eight; all else costs next to nothing."""
    if operator.kind != "conv2d" or operator.kernel == 1:
        return 0.001
    return 0.01 * math.ceil(operator.in_channels / 8) * math.ceil(operator.out_channels / 8) * operator.kernel


@pytest.fixture(scope="module")
def read() -> ReadSpace:
    return read_model_space(SmallSpace(), INPUT_SHAPE, checked=60)


@pytest.fixture
def profile(read: ReadSpace) -> GivenProfile:
    return GivenProfile(read.space, steps_of_eight)


def samples(space, count: int, seed: int = 0):
    """Samples that a space draws by itself."""
    state = np.random.RandomState(seed)
    for _ in range(count):
        memo: dict = {}
        space.random(memo=memo, random_state=state)
        yield memo


def inside(kept: dict, sample: dict) -> bool:
    return all(
        set(sample[label]) <= set(values) if isinstance(sample[label], list) else sample[label] in values
        for label, values in kept.items()
    )


def test_choices_are_the_labels_with_their_quality_orders(read: ReadSpace) -> None:
    told = {choice.name: (choice.candidates, choice.order) for choice in read.space.choices}
    assert told == {
        "width": ((8, 12, 16, 17, 24, 32), "larger"),
        "expansion": ((1, 2, 4), "larger"),
        "kernel": ((1, 3, 5), "larger"),
        "layer": (("pool", "none"), "none"),
        "depth": ((1, 2, 3), "larger"),
        "skip": ((0, 1), "none"),
    }


def test_samples_and_architectures_stand_for_each_other(read: ReadSpace) -> None:
    for sample in samples(SmallSpace(), 50):
        assert read.sample(read.architecture(sample)) == sample
    with pytest.raises(InputError, match="width"):
        read.architecture({"width": 9})


def test_networks_are_those_that_torch_exports(read: ReadSpace, tmp_path: Path) -> None:
    for number, sample in enumerate(samples(SmallSpace(), 12, seed=3)):
        path = tmp_path / f"{number}.onnx"
        model = SmallSpace().freeze(sample).eval()
        torch.onnx.export(model, torch.zeros(1, *INPUT_SHAPE), path, dynamo=False)
        ours, theirs = (
            sorted(str(node.operator) for node in unfused(network).nodes)
            for network in (read.network(sample), read_onnx(path))
        )
        assert ours == theirs


@pytest.mark.parametrize("name", HUB)
def test_hub_spaces_are_read(name: str) -> None:
    made, shape, least = HUB[name]
    space = made()
    read = read_model_space(space, shape, checked=3)
    if least is not None:
        assert read.space.size % least == 0
    for sample in samples(SimplifiedModelSpace.from_model(space), 3):
        network = read.network(sample)
        assert network.input_shape == shape
        assert network.nodes[-1].operator.kind == "linear"


class Unknown(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.inner = LayerChoice([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3)], label="layer")

    def forward(self, images):
        return self.inner(images).mean((2, 3))


class OfItsOwn(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice([nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)], label="layer")

    def forward(self, images):
        return torch.fft.fft(self.layer(images)).mean((2, 3))


@pytest.mark.parametrize(
    ("made", "shape", "told"),
    [
        (Unknown, (3, 8, 8), r"inner\.1: \[8, 8\] pixels become \[6, 6\]"),
        (OfItsOwn, (3, 8, 8), "the function .*fft"),
        (AutoFormer, (3, 224, 224), "cls_token: the function cat of a tensor of its own"),
    ],
)
def test_what_cannot_be_read_says_where(made, shape, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_model_space(made(), shape)


def test_a_cut_space_samples_only_inside_the_cut(profile: GivenProfile) -> None:
    for form in (lambda space: space, SimplifiedModelSpace.from_model, RawFormatModelSpace.from_model):
        space = SmallSpace()
        result = cut_model_space(space, profile, INPUT_SHAPE, tolerance=0.0)
        assert result.kept["width"] == [8, 16, 24, 32]  # the others are no faster than the next multiple of eight
        assert result.space.size == result.reduction.space.size < result.reduction.full.size
        drawn = list(samples(form(space), 3000 if form is SimplifiedModelSpace.from_model else 100))
        assert all(inside(result.kept, sample) for sample in drawn)
        assert {sample["width"] for sample in drawn} == {8, 16, 24, 32}
        assert all(math.isfinite(result.latency.of(sample)) for sample in drawn[:50])


def test_the_written_file_narrows_as_the_cut_does(profile: GivenProfile, tmp_path: Path) -> None:
    cut_space, result = SmallSpace(), cut_model_space(space := SmallSpace(), profile, INPUT_SHAPE, tolerance=0.0)
    result.reduction.save(tmp_path)
    (file,) = write_nni(tmp_path)
    loaded(file).narrow(cut_space)

    def values(space: ModelSpace) -> list:
        return [(leaf.label, leaf.values) for leaf in space.leaf_mutables(lambda m: isinstance(m, MutableSymbol))]

    assert values(cut_space) == values(space) != values(SmallSpace())


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("nni_cut", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_narrowing_refuses_what_is_not_there() -> None:
    with pytest.raises(InputError, match="no label 'nothing'"):
        narrow(SmallSpace(), {"nothing": [1]})
    with pytest.raises(InputError, match="no value 9"):
        narrow(SmallSpace(), {"width": [9]})


def search(strategy: SpaceCut, form: str, models: int, folder: Path) -> list:
    config = NasExperimentConfig("sequential", form)
    config.experiment_working_directory = folder
    config.execution_engine.max_model_count = models
    experiment = NasExperiment(SmallSpace(), evaluator(), strategy, config)
    try:
        experiment.run()
    finally:
        experiment.stop()
    return list(strategy.list_models(sort=False))


@pytest.mark.parametrize(
    ("strategy", "form"),
    [
        (lambda: Random(seed=1), "simplified"),
        (lambda: Random(seed=1), "raw"),
        (lambda: RegularizedEvolution(population_size=4, sample_size=2, seed=1), "simplified"),
        (lambda: RegularizedEvolution(population_size=4, sample_size=2, seed=1), "raw"),
        (lambda: GridSearch(seed=1), "simplified"),
    ],
)
def test_strategies_search_inside_the_cut_and_the_bound(
    strategy, form: str, profile: GivenProfile, read, tmp_path
) -> None:
    model = profile.latency_model(read.space)
    bound = float(np.median(model.predict(read.space.sample(200))))
    wrapped = SpaceCut(strategy(), INPUT_SHAPE, platform=profile, max_latency=bound, tolerance=0.0)
    models = search(wrapped, form, 12, tmp_path)
    trained = [model for model in models if model.status == ModelStatus.Trained]
    rejected = [model for model in models if model.status == ModelStatus.Invalid]
    assert len(trained) == 12 == wrapped.report.submitted
    assert len(rejected) == wrapped.report.rejected > 0
    assert all(inside(wrapped.cut.kept, model.sample) for model in models)
    assert all(wrapped.cut.latency.of(model.sample) <= bound for model in trained)
    assert all(wrapped.cut.latency.of(model.sample) > bound for model in rejected)
    assert all(model.metric is None for model in rejected)
    assert f"{wrapped.report.rejected} rejected" in str(wrapped.report)


def test_a_search_without_a_bound_rejects_nothing(profile: GivenProfile, tmp_path) -> None:
    wrapped = SpaceCut(Random(seed=1), INPUT_SHAPE, platform=profile)
    assert len(search(wrapped, "simplified", 5, tmp_path)) == 5
    assert wrapped.report.rejected == 0


def test_one_shot_strategies_are_refused(profile: GivenProfile) -> None:
    with pytest.raises(InputError, match="LatencyProfiler"):
        SpaceCut(DARTS(), INPUT_SHAPE, platform=profile)


def test_the_profilers_expression_is_the_latency(read: ReadSpace, profile: GivenProfile) -> None:
    profiler = LatencyProfiler(read, profile)
    for sample in samples(SmallSpace(), 30):
        plain = {label: value[0] if isinstance(value, list) else value for label, value in sample.items()}
        assert profiler.expression.evaluate(plain) == pytest.approx(profiler.profile(sample))
    uniform = {
        choice.name: dict.fromkeys(choice.candidates, 1 / len(choice.candidates)) for choice in read.space.choices
    }
    every = np.indices(read.space.lengths).reshape(len(read.space.lengths), -1).T
    mean = float(profile.latency_model(read.space).predict(every).mean())
    assert ExpectationProfilerPenalty(profiler, baseline=1.0).profile(uniform) == pytest.approx(mean)


def test_the_profiler_filters_samples(read: ReadSpace, profile: GivenProfile) -> None:
    profiler = LatencyProfiler(SmallSpace(), profile, INPUT_SHAPE)
    passes = RangeProfilerFilter(profiler, max=0.5)
    told = {passes(sample) == (profiler.profile(sample) <= 0.5) for sample in samples(SmallSpace(), 30)}
    assert told == {True}
    with pytest.raises(InputError, match="input_shape"):
        LatencyProfiler(SmallSpace(), profile)


def test_the_command_line_cuts_a_space_by_its_import_path_and_exports_it(tmp_path: Path) -> None:
    (tmp_path / "nni_spaces.py").write_text((Path(__file__).parent / "nni_spaces.py").read_text())
    name = "nni:nni_spaces:WidthSpace@3x16x16"
    arguments = ("-p", "onnxruntime", "--budget", 3, "--tolerance", 0.5, "-o", tmp_path / "cut", "--json")
    done = run_apart("cut", name, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["space"], content["full_size"]) == (name, "3")
    assert load_space(tmp_path / "cut" / "reduced.yaml").size == int(content["reduced_size"])

    done = run_apart("export", tmp_path / "cut", "--to", "nni", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (file,) = json.loads(done.stdout)["files"]
    assert "spacecut" not in "".join(line for line in Path(file).read_text().splitlines() if "import" in line)
    written = loaded(file)
    space = WidthSpace()
    written.narrow(space)
    leaves = list(space.leaf_mutables(lambda mutable: isinstance(mutable, MutableSymbol)))
    assert len(leaves) > 1
    assert all((leaf.label, leaf.values) == ("conv_width", content["kept"]["conv_width"]) for leaf in leaves)
    with pytest.raises(ValueError, match="lacks conv_width"):
        written.narrow(SmallSpace())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nni:nowhere", "write nni:PACKAGE.MODULE:FACTORY@3x224x224"),
        ("nni:nowhere:Space", "No module named 'nowhere'"),
        ("nni:nni.nas.hub.pytorch:Nothing", "Nothing"),
        ("nni:nni.nas.hub.pytorch:NasBench201", "does not tell the shape of its input"),
    ],
)
def test_names_of_no_space_say_how_to_mend(name: str, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        open_space(name)


@pytest.mark.parametrize(("target", "told"), [("nni", "nowhere"), ("nobody", "'nobody' is not known")])
def test_exporting_nothing_is_one_line(target: str, told: str, tmp_path: Path) -> None:
    done = run_apart("export", "nowhere", "--to", target, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert told in done.stderr
