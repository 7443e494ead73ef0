"""What PyTorch's functions mean as layers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from spacecut.integrations.nni.recording import Recorder, Value, plain

__all__ = ["on_function"]

_ACTIVATIONS = {
    "relu": "relu", "relu_": "relu", "relu6": "relu6", "hardswish": "hardswish", "silu": "swish",
    "sigmoid": "sigmoid", "hardsigmoid": "hardsigmoid",
}  # fmt: skip
_SAME = ("dropout", "contiguous", "clone", "detach", "to", "float", "identity")
_VIEWS = (
    "view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "chunk", "split", "narrow",
    "movedim", "swapaxes", "unflatten", "select", "unbind",
)  # fmt: skip


def on_function(
    recorder: Recorder, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> Any:
    """Record what a function does to values.

    Args:
        recorder: The recording.
        function: Of PyTorch.
        args: Its arguments; at least one of them is, or holds, a value.
        kwargs: Likewise.
        result: What it gives, without data.

    Raises:
        InputError: It is none that a layer stands for.
    """
    name = getattr(function, "__name__", str(function)).removeprefix("__").removesuffix("__")
    first: Any = args[0] if args else None
    given = first if isinstance(first, list | tuple) else [first]
    if not all(isinstance(each, Value) for each in given) and name not in _OF_TWO:
        raise recorder.refuse(f"the function {name} of a tensor of its own")
    if name in _ACTIVATIONS:
        return recorder.put("activation", [first], result, activation=_ACTIVATIONS[name])
    if name in _SAME:
        return recorder.value(result, first.source, first.views, first.parts, first.padded)
    if name == "getitem" and first.padded:
        return _shifted(recorder, first, args[1], result)
    if name in _VIEWS or name == "getitem":
        return _viewed(recorder, function, first, (tuple(args[1:]), kwargs), result)
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](recorder, args, kwargs, result)
    raise recorder.refuse(f"the function {name} is not known")


def _viewed(
    recorder: Recorder, function: Any, value: Value, rest: tuple[tuple[Any, ...], dict[str, Any]], result: Any
) -> Any:
    """A rearranged value, or several, by a function with the rest of its arguments."""

    def again(numbers: Any, *args: Any, **kwargs: Any) -> Any:
        return plain(function, numbers, *args, **kwargs)

    view = (again, *rest)
    if isinstance(result, torch.Tensor):
        return recorder.value(result, value.source, (*value.views, view), value.parts, value.padded)
    pieces = []
    for number, piece in enumerate(result):
        views = (*value.views, view, (operator.getitem, (number,), {}))
        pieces.append(recorder.value(piece, value.source, views, value.parts, value.padded))
    return tuple(pieces)


def _shifted(recorder: Recorder, value: Value, places: Any, result: torch.Tensor) -> Value:
    """A padded value without its first row and column."""
    whole, behind = slice(None), slice(1, None)
    if places != (whole, whole, behind, behind):
        raise recorder.refuse("padding of its own; only a shift by one pixel is known")
    bare = recorder.value(result, value.source)
    return recorder.put("shift", [bare], result)


def _sum_of_two(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    one, other = args[:2]
    if kwargs.get("alpha", 1) != 1:
        raise recorder.refuse("a weighted sum")
    for value, constant in ((one, other), (other, one)):
        if isinstance(constant, int | float):
            if constant != 0:
                raise recorder.refuse("it adds a constant")
            return recorder.value(result, value.source, value.views, value.parts, value.padded)
    if not (isinstance(one, Value) and isinstance(other, Value)):
        raise recorder.refuse("it adds a tensor of its own")
    return recorder.put("add", [one, other], result)


def _product(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    values = [each for each in args[:2] if isinstance(each, Value)]
    if len(values) == 2:
        return recorder.put("product", values, result)
    (constant,) = (each for each in args[:2] if not isinstance(each, Value))
    if not isinstance(constant, int | float):
        raise recorder.refuse("it multiplies by a tensor of its own")
    return recorder.put("scale", values, result, erases=constant == 0)


def _quotient(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    if not (isinstance(args[0], Value) and isinstance(args[1], int | float)):
        raise recorder.refuse("it divides by a tensor")
    return recorder.put("scale", [args[0]], result)


def _stack(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    parts, dim = args[0], kwargs.get("dim", args[1] if len(args) > 1 else 0)
    if dim != 0:
        raise recorder.refuse(f"a stack along dimension {dim}; one along 0 is known")
    return recorder.value(result, parts[0].source, parts=tuple(parts))


def _total(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    value, dim = args[0], kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not value.parts or dim not in (0, [0], (0,)) or value.views:
        raise recorder.refuse("a sum that is not over a stack of tensors")
    return recorder.put("stack_sum", value.parts, result)


def _concatenation(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    if dim not in (1, -3):
        raise recorder.refuse(f"a concatenation along dimension {dim}; one of channels, along 1, is known")
    return recorder.put("concat", args[0], result)


def _mean(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    dims = kwargs.get("dim", args[1] if len(args) > 1 else None)
    value = args[0]
    if not isinstance(dims, list | tuple) or sorted(dim % value.dim() for dim in dims) != [2, 3] or value.dim() != 4:
        raise recorder.refuse(f"a mean over {dims}; one over height and width is known")
    return recorder.put("global_avg_pool", [value], result)


def _pooled(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    if tuple(result.shape[2:]) != (1, 1):
        raise recorder.refuse("adaptive pooling to more than one pixel")
    return recorder.put("global_avg_pool", [args[0]], result)


def _padding(recorder: Recorder, args: Sequence[Any], kwargs: dict[str, Any], result: torch.Tensor) -> Value:
    value, pads = args[0], args[1] if len(args) > 1 else kwargs["pad"]
    if tuple(pads) != (0, 1, 0, 1) or value.padded:
        raise recorder.refuse(f"padding by {list(pads)}; only a shift by one pixel is known")
    return recorder.value(result, recorder.settled(value), padded=True)


_SUMS = ("add", "add_", "radd", "iadd")
_PRODUCTS = ("mul", "mul_", "rmul", "imul", "multiply")
_OF_TWO = (*_SUMS, *_PRODUCTS, "div", "truediv", "true_divide")

_FUNCTIONS: dict[str, Callable[[Recorder, Sequence[Any], dict[str, Any], torch.Tensor], Value]] = {
    **dict.fromkeys(_SUMS, _sum_of_two),
    **dict.fromkeys(_PRODUCTS, _product),
    **dict.fromkeys(("div", "truediv", "true_divide"), _quotient),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenation),
    "stack": _stack,
    "sum": _total,
    "mean": _mean,
    "adaptive_avg_pool2d": _pooled,
    "pad": _padding,
}
