"""Fashion-MNIST, and all that is done with it: training a PruningNet, judging architectures by it, retraining.

The data set is Debian's package dataset-fashion-mnist, or lies in the directory that FASHION_MNIST names.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pruning_net import PruningNet, Statistics
from torch import nn
from torch.nn import functional

from spacecut.operators import Workload

FOLDER = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
JUDGED_ON, CALIBRATED_ON = 2_000, 500
BATCH, RATE, DECAY = 128, 0.1, 1e-4


@dataclass(frozen=True)
class Images:
    """Images, ``[images, 1, 28, 28]``, and their classes, ``[images]``."""

    pixels: torch.Tensor
    classes: torch.Tensor

    def part(self, start: int, stop: int) -> Images:
        """Some of them."""
        return Images(self.pixels[start:stop], self.classes[start:stop])

    @torch.no_grad()
    def accuracy(self, scores: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """Share of them that get the highest score for their class."""
        found = torch.cat([scores(part).argmax(1) for part in self.pixels.split(500)])
        return float((found == self.classes).float().mean())

    def batches(self, generator: torch.Generator) -> Iterator[Images]:
        """All of them once, shuffled; what is left over beyond whole batches is left out."""
        order = torch.randperm(len(self.classes), generator=generator).to(DEVICE)
        for one in order[: len(order) // BATCH * BATCH].view(-1, BATCH):
            yield Images(self.pixels[one], self.classes[one])


def fashion_mnist(which: str) -> Images:
    """The images of ``train`` or ``t10k``."""

    def read(name: str, offset: int) -> np.ndarray:
        path = FOLDER / f"{which}-{name}.gz"
        try:
            with gzip.open(path) as file:
                return np.frombuffer(file.read(), np.uint8, offset=offset)
        except FileNotFoundError:
            raise SystemExit(
                f"{path} is missing; apt-get install dataset-fashion-mnist, or set FASHION_MNIST to its directory"
            ) from None

    pixels = read("images-idx3-ubyte", 16).reshape(-1, 1, 28, 28).astype(np.float32) / 255 - 0.5
    classes = read("labels-idx1-ubyte", 8).astype(np.int64)
    images = torch.from_numpy(pixels).to(DEVICE, memory_format=torch.channels_last)
    return Images(images, torch.from_numpy(classes).to(DEVICE))


def train(
    model: nn.Module, scores: Callable[[torch.Tensor], torch.Tensor], images: Images, epochs: int, seed: int
) -> None:
    """Train in place by SGD in one cycle."""
    shuffling = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=DECAY)
    steps = epochs * (len(images.classes) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for batch in images.batches(shuffling):
            optimiser.zero_grad()
            functional.cross_entropy(scores(batch.pixels), batch.classes).backward()
            optimiser.step()
            schedule.step()


def trained_pruning_net(
    workload: Workload, draw: Callable[[], Sequence[int]], images: Images, epochs: int, seed: int
) -> PruningNet:
    """A PruningNet trained on the architectures that are drawn, a new one for each batch."""
    torch.manual_seed(seed)
    net = PruningNet(workload).to(DEVICE)
    train(net, lambda pixels: net(pixels, draw()), images, epochs, seed)
    return net


@torch.no_grad()
def judge(net: PruningNet, ids: Sequence[int], images: Images) -> float:
    """Accuracy of an architecture with generated weights, after calibrating its normalisation on images apart."""
    net.eval()
    seen: Statistics = []
    net(images.pixels[:CALIBRATED_ON], ids, seen=seen)
    held = images.part(CALIBRATED_ON, CALIBRATED_ON + JUDGED_ON)
    return held.accuracy(lambda pixels: net(pixels, ids, known=seen))


def retrained(model: nn.Module, images: Images, test: Images, epochs: int, seed: int) -> float:
    """Accuracy on the test set of an architecture that is trained from scratch."""
    model.to(DEVICE, memory_format=torch.channels_last)
    train(model, model, images, epochs, seed)
    model.eval()
    return test.accuracy(model)
