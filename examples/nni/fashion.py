"""Fashion-MNIST: a model space of inverted residuals, and a short training that tells good models from bad ones.

The data set is Debian's package dataset-fashion-mnist, or lies in the directory that FASHION_MNIST names.
"""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path
from typing import Any

import nni
import numpy as np
import torch
from nni.nas.nn.pytorch import ModelSpace, MutableBatchNorm2d, MutableConv2d, MutableLinear, Repeat
from torch import nn

FOLDER = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
INPUT_SHAPE = (1, 28, 28)
TRAINED_ON, TESTED_ON = 5000, 5000
"""Images; both are of the training set, so that the test set stays for whoever trains the winner."""
EPOCHS, BATCH = 2, 64


def convolution(inner: Any, outer: Any, kernel: Any, **options: Any) -> list[nn.Module]:
    """A convolution with its normalisation."""
    return [MutableConv2d(inner, outer, kernel, padding=kernel // 2, bias=False, **options), MutableBatchNorm2d(outer)]


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, inner: Any, outer: Any, expansion: Any, kernel: Any, stride: int) -> None:
        super().__init__()
        middle = inner * expansion
        self.residual = inner is outer
        self.layers = nn.Sequential(
            *convolution(inner, middle, 1),
            nn.ReLU(),
            *convolution(middle, middle, kernel, stride=stride, groups=middle),
            nn.ReLU(),
            *convolution(middle, outer, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images, ``[batch, channels, height, width]``, to the same."""
        return images + self.layers(images) if self.residual else self.layers(images)


class FashionSpace(ModelSpace):
    """Two stages, each with a width, an expansion, a kernel and a depth."""

    input_shape = INPUT_SHAPE

    def __init__(self) -> None:
        super().__init__()
        inner = nni.choice("stem", list(range(4, 33, 2)))
        self.stem = nn.Sequential(*convolution(1, inner, 3, stride=2), nn.ReLU())
        stages = []
        for stage in range(2):
            width = nni.choice(f"width{stage}", list(range(6, 49 * (stage + 1), 3)))
            expansion = nni.choice(f"expansion{stage}", [1, 2, 3, 4])
            kernel = nni.choice(f"kernel{stage}", [3, 5, 7])
            stages += [
                Block(inner, width, expansion, kernel, stride=2),
                Repeat(
                    lambda index, w=width, e=expansion, k=kernel: Block(w, w, e, k, stride=1),
                    nni.choice(f"depth{stage}", [0, 1, 2]),
                ),
            ]
            inner = width
        self.stages = nn.Sequential(*stages)
        self.head = MutableLinear(inner, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images, ``[batch, 1, 28, 28]``, to scores, ``[batch, 10]``."""
        return self.head(self.stages(self.stem(images)).mean((2, 3)))


@cache
def data() -> tuple[torch.Tensor, torch.Tensor]:
    """The training set's images, ``[60000, 1, 28, 28]``, and their classes."""
    try:
        with (
            gzip.open(FOLDER / "train-images-idx3-ubyte.gz") as images,
            gzip.open(FOLDER / "train-labels-idx1-ubyte.gz") as classes,
        ):
            pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, *INPUT_SHAPE)
            numbers = np.frombuffer(classes.read(), np.uint8, offset=8)
    except FileNotFoundError as error:
        raise SystemExit(
            f"{error.filename} is missing; apt install dataset-fashion-mnist, or set FASHION_MNIST"
        ) from None
    return torch.from_numpy(pixels.astype(np.float32) / 255 - 0.5), torch.from_numpy(numbers.astype(np.int64))


def accuracy(model: nn.Module, seed: int = 0) -> float:
    """Train a model shortly, and tell its accuracy on images that it was not trained on."""
    torch.manual_seed(seed)
    for module in model.modules():
        if module is not model and hasattr(module, "reset_parameters"):
            module.reset_parameters()
    images, classes = data()
    rounds = TRAINED_ON // BATCH
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=EPOCHS * rounds)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(TRAINED_ON)[: rounds * BATCH].view(rounds, BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), classes[batch]).backward()
            optimiser.step()
            schedule.step()
    model.eval()
    held = slice(TRAINED_ON, TRAINED_ON + TESTED_ON)
    with torch.no_grad():
        hits = [model(part).argmax(1) for part in images[held].split(500)]
    return float((torch.cat(hits) == classes[held]).float().mean())


def report_accuracy(model: nn.Module) -> None:
    """What NNI calls for each model."""
    nni.report_final_result(accuracy(model))
