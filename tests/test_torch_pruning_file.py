"""Torch-Pruning prunes a network to an architecture of a cut."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from models import GivenProfile, imported, random_costs

from spacecut.cut import Reduction, cut
from spacecut.errors import InputError
from spacecut.integrations.torch_pruning_file import write_torch_pruning
from spacecut.operators import expand
from spacecut.space import Candidate, load_space

torch = pytest.importorskip("torch", reason="needs torch; pip install 'spacecut[torch]'")
torch_pruning = pytest.importorskip("torch_pruning", reason="needs torch-pruning; pip install torch-pruning")
nn = torch.nn


def written(directory: Path, name: str = "metapruning/mobilenet_v1") -> tuple[Reduction, ModuleType]:
    """A cut of a shipped space, and the file that was written of it."""
    space = load_space(name)
    reduction = cut(space, GivenProfile(space, random_costs(1)), target_size=4 ** len(space.choices))
    reduction.save(directory)
    (file,) = write_torch_pruning(directory)
    return reduction, imported(file)


class MobileNetV1(nn.Module):  # type: ignore[misc, name-defined]
    """At full width, as its authors describe it."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 32, 3, 2, 1)]
        channels = 32
        for place, out in enumerate((64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)):
            stride = 2 if place in (1, 3, 5, 11) else 1
            layers += [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), nn.ReLU()]
            layers += [nn.Conv2d(channels, out, 1), nn.ReLU()]
            channels = out
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(1024, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images))


def operators_of(reduction: Reduction, architecture: Mapping[str, Candidate]) -> list[tuple[int, int]]:
    """Input and output channels of each convolution, by the space."""
    workload = expand(reduction.space)
    network = workload.network(reduction.space.encode(architecture)[0])
    return [(n.operator.in_channels, n.operator.out_channels) for n in network.nodes if n.operator.kind == "conv2d"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_is_pruned_to_the_widths_of_the_architecture(tmp_path: Path, seed: int) -> None:
    reduction, module = written(tmp_path)
    generator = np.random.default_rng(seed)
    architecture = {name: kept[generator.integers(len(kept))] for name, kept in module.KEPT.items()}
    model, images = MobileNetV1(), torch.zeros(1, 3, 32, 32)
    pruner = torch_pruning.pruner.BasePruner(
        model,
        images,
        torch_pruning.importance.MagnitudeImportance(),
        pruning_ratio=0.0,
        ignored_layers=[model.classifier],
        pruning_ratio_dict=module.pruning_ratios(model, architecture),
    )
    pruner.step()
    pruned = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    assert [(m.in_channels, m.out_channels) for m in pruned] == operators_of(reduction, architecture)
    assert model(images).shape == (1, 1000)


def test_another_network_is_refused(tmp_path: Path) -> None:
    _, module = written(tmp_path)
    architecture = {name: kept[-1] for name, kept in module.KEPT.items()}
    with pytest.raises(ValueError, match="1 convolutions, and the space 14"):
        module.pruning_ratios(nn.Conv2d(3, 8, 3), architecture)
    other = MobileNetV1()
    other.features[0] = nn.Conv2d(3, 32, 5, 2, 2)
    with pytest.raises(ValueError, match="no 3x3 convolution of stride 2"):
        module.pruning_ratios(other, architecture)
    other.features[0] = nn.Conv2d(3, 4, 3, 2, 1)
    with pytest.raises(ValueError, match="has 4 channels, and cannot be pruned to"):
        module.pruning_ratios(other, architecture)


def test_a_space_of_more_than_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pruning channels cannot do that"):
        written(tmp_path, "nasbench201/cell")
