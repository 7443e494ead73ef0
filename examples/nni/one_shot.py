"""NNI's differentiable search on Fashion-MNIST, with the latency on a platform as a penalty.

python examples/nni/one_shot.py onnxruntime --baseline 0.1 --scale 0.5
"""

from __future__ import annotations

import argparse

import torch
from fashion import INPUT_SHAPE, convolution, data
from nni.nas.evaluator.pytorch import Classification
from nni.nas.experiment import NasExperiment
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.strategy import DARTS
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spacecut
from spacecut.integrations.nni import LatencyProfiler, read_model_space

WIDTH, LAYERS = 24, 4
IMAGES = 4000
"""Half of them train weights, half the choices."""


def separable(kernel: int) -> nn.Module:
    """A depthwise convolution and a pointwise one."""
    return nn.Sequential(
        *convolution(WIDTH, WIDTH, kernel, groups=WIDTH), nn.ReLU(), *convolution(WIDTH, WIDTH, 1), nn.ReLU()
    )


class LayerSpace(ModelSpace):
    """A layer to choose at each of four places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(1, WIDTH, 3, stride=2), nn.ReLU())
        self.layers = nn.Sequential(
            *(
                LayerChoice(
                    {
                        "none": nn.Identity(),
                        "separable3": separable(3),
                        "separable7": separable(7),
                        "full3": nn.Sequential(*convolution(WIDTH, WIDTH, 3), nn.ReLU()),
                    },
                    label=f"layer{place}",
                )
                for place in range(LAYERS)
            )
        )
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images, ``[batch, 1, 28, 28]``, to scores, ``[batch, 10]``."""
        return self.head(self.layers(self.stem(images)).mean((2, 3)))


def main() -> None:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("platform")
    parser.add_argument("--baseline", type=float, required=True, help="ms that the penalty is relative to")
    parser.add_argument("--scale", type=float, default=0.5, help="weight of the penalty; 0: accuracy alone")
    parser.add_argument("--epochs", type=int, default=3)
    asked = parser.parse_args()

    torch.manual_seed(0)
    read = read_model_space(LayerSpace(), INPUT_SHAPE)
    profile = spacecut.profile(read.space, asked.platform)
    profiler = LatencyProfiler(read, profile)
    images, classes = data()
    halves = [
        DataLoader(TensorDataset(images[part], classes[part]), batch_size=64, shuffle=True)
        for part in (slice(0, IMAGES // 2), slice(IMAGES // 2, IMAGES))
    ]
    evaluator = Classification(
        num_classes=10, learning_rate=0.05, train_dataloaders=halves[0], val_dataloaders=halves[1],
        max_epochs=asked.epochs, accelerator="cpu", enable_progress_bar=False, logger=False, enable_checkpointing=False,
    )  # fmt: skip
    penalty = {"profiler": profiler, "baseline": asked.baseline, "scale": asked.scale}
    strategy = DARTS(penalty=penalty)  # the one line
    experiment = NasExperiment(LayerSpace(), evaluator, strategy)
    try:
        experiment.run()
        (chosen,) = experiment.export_top_models(formatter="dict")
    finally:
        experiment.stop()
    print(f"{chosen}: {profiler.profile(chosen):.3f} ms")


if __name__ == "__main__":
    main()
