"""What the published scripts need of older NumPy and PyTorch, and of a GPU that is not there: for one run only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

__all__ = ["accuracy", "older", "with_cuda"]


@contextmanager
def older() -> Iterator[bool]:
    """NumPy's old alias ``np.int``; without a GPU also ``.cuda()`` that leaves things where they are.

    Yields whether there is a GPU.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    with ExitStack() as stack:
        if not hasattr(np, "int"):
            stack.enter_context(patch.object(np, "int", int, create=True))
        if not has_gpu:
            for owner in (torch.nn.Module, torch.Tensor):
                stack.enter_context(patch.object(owner, "cuda", lambda self, *_, **__: self))
            stack.enter_context(patch.object(torch.nn, "DataParallel", _one_device()))
        yield has_gpu


def accuracy(output: Any, target: Any, topk: tuple[int, ...] = (1,)) -> list[Any]:
    """Share of the targets among the ``k`` highest scores, %, for each ``k``: ``[1]`` each.

    The published one views a tensor that is no longer contiguous in PyTorch 1.7 and later.
    """
    import torch

    with torch.no_grad():
        best = output.topk(max(topk), dim=1).indices
        hits = (best == target[:, None]).float()
        return [100.0 * hits[:, :k].sum(1).mean(0, keepdim=True) for k in topk]


def with_cuda(torch: ModuleType) -> Any:
    """PyTorch as a script sees it that ends itself without a GPU, and loads what a GPU has saved."""

    class Cuda:
        def __getattr__(self, name: str) -> Any:
            return getattr(torch.cuda, name)

        def is_available(self) -> bool:
            return True

    class Torch:
        cuda = Cuda()

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

        def load(self, *arguments: Any, **named: Any) -> Any:
            return torch.load(*arguments, **{"map_location": "cpu", **named})

    return Torch()


def _one_device() -> type:
    """What stands for ``DataParallel``: its state has the same names, so that checkpoints fit."""
    from torch import nn

    class OneDevice(nn.Module):
        def __init__(self, module: nn.Module, *_: Any, **__: Any) -> None:
            super().__init__()
            self.module = module

        def forward(self, *arguments: Any, **named: Any) -> Any:
            return self.module(*arguments, **named)

    return OneDevice
