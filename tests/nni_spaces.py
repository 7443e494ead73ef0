"""Small NNI model spaces for tests: importable by name, as a training service needs it."""

from __future__ import annotations

from typing import Any

import nni
import torch
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.nn.pytorch import (
    InputChoice,
    LayerChoice,
    ModelSpace,
    MutableBatchNorm2d,
    MutableConv2d,
    MutableLinear,
    Repeat,
)
from torch import nn

INPUT_SHAPE = (3, 16, 16)


class SmallSpace(ModelSpace):  # type: ignore[misc]
    """Widths, a kernel, an expansion, a layer, a depth and a skip to choose."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("width", [8, 12, 16, 17, 24, 32])
        expansion = nni.choice("expansion", [1, 2, 4])
        kernel = nni.choice("kernel", [1, 3, 5])
        self.stem = MutableConv2d(3, width, kernel, padding=kernel // 2)
        self.norm = MutableBatchNorm2d(width)
        self.grow = MutableConv2d(width, width * expansion, 1)
        self.layer = LayerChoice({"pool": nn.MaxPool2d(3, 1, 1), "none": nn.Identity()}, label="layer")
        self.shrink = MutableConv2d(width * expansion, width, 1)
        self.blocks = Repeat(
            lambda index: nn.Sequential(MutableConv2d(width, width, 3, padding=1), nn.ReLU()), (1, 3), label="depth"
        )
        self.skip = InputChoice(2, n_chosen=1, label="skip")
        self.head = MutableLinear(width, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        start = torch.relu(self.norm(self.stem(images)))
        inner = self.shrink(self.layer(torch.relu(self.grow(start))))
        return self.head(self.skip([start, self.blocks(inner)]).mean((2, 3)))


def report_size(model: Any) -> None:
    """A cheap metric of a model that really runs."""
    assert model.eval()(torch.zeros(1, *INPUT_SHAPE)).isfinite().all()
    nni.report_final_result(float(sum(weights.numel() for weights in model.parameters())))


def evaluator() -> FunctionalEvaluator:
    return FunctionalEvaluator(report_size)


class WidthSpace(ModelSpace):  # type: ignore[misc]
    """One width to choose."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("conv_width", [8, 12, 16])
        self.conv = MutableConv2d(3, width, 3, padding=1)
        self.head = MutableLinear(width, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(images).mean((2, 3)))
