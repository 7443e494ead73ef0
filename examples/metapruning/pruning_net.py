"""One network for all widths, whose weights small networks generate (Liu et al., MetaPruning, ICCV 2019, section 3.1).

The layers are read off the search space itself, so that what is searched is what is measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from spacecut.operators import Operator, Workload

HIDDEN = 32
"""Units between the widths of a layer and its weights."""
CLASSES = 10

Statistics = list[tuple[torch.Tensor, torch.Tensor]]
"""Mean and variance of every normalisation, by layer."""


def convolutions(workload: Workload, ids: Sequence[int]) -> list[Operator]:
    """An architecture's layers with weights to generate, in order; the space's candidates are 0, 1, 2, ..."""
    return [node.operator for node in workload.network(np.asarray(ids)).nodes if "conv2d" in node.operator.kind]


def weight_shape(operator: Operator) -> tuple[int, int, int, int]:
    """Of a convolution's kernel."""
    inner = 1 if operator.kind == "depthwise_conv2d" else operator.in_channels
    return operator.out_channels, inner, operator.kernel, operator.kernel


class PruningNet(nn.Module):
    """Weights of every architecture of a space.

    Normalisation has no parameters of its own, and its statistics are an architecture's: they are of the batch while
    training, and calibrated anew for each architecture that is judged.
    """

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.workload = workload
        self.widest = convolutions(workload, [length - 1 for length in workload.space.lengths])
        self.generators = nn.ModuleList(
            nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, int(np.prod(weight_shape(operator)))))
            for operator in self.widest
        )
        self.head = nn.Linear(self.widest[-1].out_channels, CLASSES)

    def forward(
        self, images: torch.Tensor, ids: Sequence[int], known: Statistics | None = None, seen: Statistics | None = None
    ) -> torch.Tensor:
        """Scores of one architecture.

        Args:
            images: ``[batch, 1, 28, 28]``.
            ids: Of the scales, slot by slot.
            known: Statistics to normalise by; those of the batch where there are none.
            seen: Gets the statistics of the batch.

        Returns:
            ``[batch, 10]``.
        """
        values = images
        layers = convolutions(self.workload, ids)
        for place, (operator, widest, generator) in enumerate(zip(layers, self.widest, self.generators, strict=True)):
            share = torch.tensor(
                [operator.in_channels / widest.in_channels, operator.out_channels / widest.out_channels],
                device=images.device,
            )
            outer, inner, *_ = weight_shape(operator)
            kernel = generator(share).view(weight_shape(widest))[:outer, :inner]
            groups = operator.in_channels if operator.kind == "depthwise_conv2d" else 1
            values = functional.conv2d(
                values, kernel, stride=operator.stride, padding=operator.kernel // 2, groups=groups
            )
            if seen is not None:
                variance, mean = torch.var_mean(values, (0, 2, 3), correction=0)
                seen.append((mean, variance))
            mean_variance = (None, None) if known is None else known[place]
            values = functional.relu(functional.batch_norm(values, *mean_variance, training=known is None))
        return self.head(values.mean((2, 3)))


def plain(workload: Workload, ids: Sequence[int], seed: int) -> nn.Module:
    """One architecture, with random weights."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    operators = convolutions(workload, ids)
    for operator in operators:
        inner, outer = operator.in_channels, operator.out_channels
        groups = inner if operator.kind == "depthwise_conv2d" else 1
        padding = operator.kernel // 2
        layers += [
            nn.Conv2d(inner, outer, operator.kernel, operator.stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(operators[-1].out_channels, CLASSES))
