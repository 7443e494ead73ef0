"""What PyTorch's modules, and NNI's, mean as layers.

A module that is none of them is run by its own code. One with mutables of its own that NNI freezes in a way of its own
is run once for each of their values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from nni.mutable import Mutable
from nni.nas.nn.pytorch import Cell, InputChoice, LayerChoice, MutableModule, ParametrizedModule, Repeat
from torch import nn

from spacecut.integrations.nni.cells import call_cell
from spacecut.integrations.nni.choosing import each, inputs_chosen, layer_chosen, repeated
from spacecut.integrations.nni.recording import Recorder, Value

__all__ = ["on_module"]

_ACTIVATIONS = {
    nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Hardswish: "hardswish", nn.SiLU: "swish", nn.Sigmoid: "sigmoid",
    nn.Hardsigmoid: "hardsigmoid",
}  # fmt: skip


def on_module(recorder: Recorder, module: nn.Module, args: tuple[Any, ...]) -> Any:
    """Record what a module does to values; ``NotImplemented`` where its own code says that.

    Raises:
        InputError: It is one of PyTorch's that no layer stands for, or has too many choices of its own.
    """
    for kind, rule in _CHOOSING.items():
        if isinstance(module, kind):
            return rule(recorder, module, *args)
    kind = getattr(module, "_bound_type", None) or type(module)
    for known, record in _LAYERS.items():
        if issubclass(kind, known) and kind.forward is known.forward:
            return record(recorder, module, args[0])
    if kind in _ACTIVATIONS:
        return recorder.put("activation", [args[0]], args[0], activation=_ACTIVATIONS[kind])
    if kind.__module__.startswith("torch.nn.") and kind.forward is not nn.Sequential.forward:
        raise recorder.refuse(f"the module {kind.__name__} is not known")
    if isinstance(module, MutableModule) and module.mutables:
        return _each_frozen(recorder, module, args)
    return NotImplemented


def _argument(module: nn.Module, name: str) -> Any:
    """An argument that a module was made with: a value, or an expression of mutables."""
    given = module.args.get(name) if isinstance(module, ParametrizedModule) else None
    return getattr(module, name) if given is None else given


def _one(recorder: Recorder, module: nn.Module, name: str) -> Any:
    """The same where PyTorch also takes a pair, of which both must be the same."""
    value = _argument(module, name)
    if isinstance(value, tuple | list):
        if len(set(value)) != 1:
            raise recorder.refuse(f"{name} {list(value)}; one of equal height and width is known")
        return value[0]
    return value


def _conv(recorder: Recorder, module: nn.Module, value: Value) -> Value:
    names = ("kernel_size", "stride", "dilation", "groups", "in_channels", "out_channels")
    kernel, stride, dilation, groups, inner, outer = (
        recorder.labels.listed(_one(recorder, module, name)) for name in names
    )
    shape = recorder.shape_of(module, value)
    padding = _one(recorder, module, "padding")
    if isinstance(padding, str) or isinstance(module.padding_mode, Mutable) or module.padding_mode != "zeros":
        raise recorder.refuse(f"padding {padding!r}; a number of zeros is known")
    pad, size, apart = recorder.labels.together([recorder.labels.listed(padding), kernel, dilation])
    _check_window(recorder, value, shape, stride, (2 * pad == apart * (size - 1)) | (size % 2 == 0))
    window: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
    count, ins, outs = recorder.labels.together([groups, inner, outer])
    if bool(np.all((count == ins) & (ins == outs))) and count.max() > 1:
        return recorder.put("depthwise_conv2d", [value], shape, **window)
    return recorder.put("conv2d", [value], shape, out_channels=outer, groups=groups, **window)


def _check_window(recorder: Recorder, value: Value, shape: torch.Tensor, stride: Any, centred: np.ndarray) -> None:
    """Whether a window keeps the size, divided by the stride and rounded up."""
    by = stride.values.flat[0]
    sizes = tuple(-(-size // int(by)) for size in value.shape[2:])
    if not bool(np.all(centred)) or stride.labels or tuple(shape.shape[2:]) != sizes:
        raise recorder.refuse(
            f"{list(value.shape[2:])} pixels become {list(shape.shape[2:])}; padding that keeps the size, divided by a "
            "fixed stride, is known"
        )


def _pool(kind: str) -> Callable[[Recorder, nn.Module, Value], Value]:
    def record(recorder: Recorder, module: nn.Module, value: Value) -> Value:
        kernel, stride = (recorder.labels.listed(_one(recorder, module, name)) for name in ("kernel_size", "stride"))
        shape = recorder.shape_of(module, value)
        _check_window(recorder, value, shape, stride, np.asarray(True))
        return recorder.put(kind, [value], shape, kernel=kernel, stride=stride)

    return record


def _linear(recorder: Recorder, module: nn.Module, value: Value) -> Value:
    if value.dim() != 2:
        raise recorder.refuse("a linear layer over more than one dimension")
    out = _argument(module, "out_features")
    return recorder.put("linear", [value], recorder.shape_of(module, value), out_channels=out)


def _norm(recorder: Recorder, module: nn.Module, value: Value) -> Value:
    return recorder.put("batch_norm", [value], value)


def _same(recorder: Recorder, module: nn.Module, value: Value) -> Value:
    return value


def _global_pool(recorder: Recorder, module: nn.Module, value: Value) -> Value:
    shape = recorder.shape_of(module, value)
    if tuple(shape.shape[2:]) != (1, 1):
        raise recorder.refuse("adaptive pooling to more than one pixel")
    return recorder.put("global_avg_pool", [value], shape)


def _flatten(recorder: Recorder, module: Any, value: Value) -> Value:
    flat: Any = torch.flatten(value, module.start_dim, module.end_dim)
    return flat  # type: ignore[no-any-return]


def _pad(recorder: Recorder, module: Any, value: Value) -> Value:
    padded: Any = nn.functional.pad(value, tuple(module.padding))
    return padded  # type: ignore[no-any-return]


def _each_frozen(recorder: Recorder, module: Any, args: Sequence[Any]) -> Any:
    """A module's value for every combination of the values of its mutables."""
    labels = list(module.simplify())
    values = [recorder.labels.values(label) for label in labels]
    found = []
    for chosen in itertools.product(*values):
        frozen = module.freeze(dict(zip(labels, chosen, strict=True))).to("meta").eval()
        recorder.know(frozen, recorder.path)
        found.append(frozen(*args))
    return each(recorder, labels, found)


_LAYERS: dict[type[nn.Module], Callable[[Recorder, nn.Module, Value], Value]] = {
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    nn.BatchNorm2d: _norm,
    nn.MaxPool2d: _pool("max_pool2d"),
    nn.AvgPool2d: _pool("avg_pool2d"),
    nn.AdaptiveAvgPool2d: _global_pool,
    nn.Identity: _same,
    nn.Dropout: _same,
    nn.Dropout2d: _same,
    nn.Flatten: _flatten,
    nn.ConstantPad2d: _pad,
}

_CHOOSING: dict[type[nn.Module], Callable[..., Any]] = {
    Cell: call_cell,
    LayerChoice: layer_chosen,
    InputChoice: inputs_chosen,
    Repeat: repeated,
}
