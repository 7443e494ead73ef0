"""Running a model without numbers, to learn which layers it calls and what each of them reads.

The model stays on PyTorch's meta device. Every value that flows through it is a tensor without data which knows the
entry of the recording that it comes of; calls of modules and of functions on such values are caught, and
:mod:`~spacecut.integrations.nni.modules` and :mod:`~spacecut.integrations.nni.functions` say what they mean.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from spacecut.errors import InputError
from spacecut.integrations.nni.labels import Labels, Listed
from spacecut.integrations.nni.order import LARGER, larger_along
from spacecut.integrations.nni.views import settled

__all__ = ["INPUT", "Entry", "Recorder", "Value", "on_meta"]

INPUT = -1
"""An entry's input that is the network's input."""


@dataclass
class Entry:
    """One layer of the recording.

    Attributes:
        kind: Of a layer of a space file, or ``product``, which no layer is.
        inputs: Numbers of earlier entries, or ``INPUT``.
        fields: Of the layer, over the labels.
        path: The module that called for it.
        when: Where it is there, over the labels; None where it always is.
        erases: It multiplies by zero.
    """

    kind: str
    inputs: tuple[int, ...]
    fields: dict[str, Listed | str]
    path: str
    when: Listed | str | None = None
    erases: bool = False


class Value(torch.Tensor):
    """What flows through the model: a shape, and where it comes from.

    Attributes:
        recorder: Whose value it is.
        source: The entry that gives it.
        views: How the entry's output was rearranged since: functions with their further arguments.
        parts: The values stacked, of a stack.
        padded: The entry's output, padded by one behind height and width.
    """

    recorder: Recorder
    source: int
    views: tuple[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]], ...]
    parts: tuple[Value, ...]
    padded: bool

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Catch a function of PyTorch."""
        values = [value for value in _flat((*args, *(kwargs or {}).values())) if isinstance(value, Value)]
        result = plain(function, *args, **(kwargs or {}))
        if not any(isinstance(piece, torch.Tensor) for piece in _flat([result])):
            return result  # a size, a type and the like
        return values[0].recorder.on_function(values[0].recorder, function, args, kwargs or {}, result)


def plain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function without catching anything."""
    with torch._C.DisableTorchFunctionSubclass():
        return function(*_bare(args), **_bare(kwargs))


def _bare(given: Any) -> Any:
    if isinstance(given, Value):
        return given.as_subclass(torch.Tensor)
    if isinstance(given, list | tuple) and not isinstance(given, torch.Size):
        return type(given)(_bare(each) for each in given)
    if isinstance(given, dict):
        return {key: _bare(each) for key, each in given.items()}
    return given


def _flat(given: Any) -> Iterator[Any]:
    if isinstance(given, list | tuple):
        for each in given:
            yield from _flat(each)
    else:
        yield given


@dataclass
class Recorder:
    """A recording in the making.

    Attributes:
        labels: The space's labels; of a model without choices, none.
        on_module: Says what a call of a module means; ``NotImplemented`` where its own code is to say that.
        on_function: Says what a function of values means.
        entries: What was called for, in order.
        not_worse: For each label, the pairs of values of which every use says that the second is not worse.
        path: The module being run.
    """

    labels: Labels
    on_module: Callable[[Recorder, nn.Module, tuple[Any, ...]], Any]
    on_function: Callable[..., Any]
    entries: list[Entry] = field(default_factory=list)
    not_worse: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    _paths: dict[int, str] = field(default_factory=dict)
    _shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _call: Callable[..., Any] = nn.Module.__call__

    def run(self, model: nn.Module, input_shape: tuple[int, int, int]) -> int:
        """Run a model that is on the meta device; the entry of its output is given back.

        Raises:
            InputError: It does something that no layer of a space file stands for; the module is named.
        """
        self.know(model, "")
        with mock.patch.object(nn.Module, "__call__", self._caught()), torch.no_grad(), torch.device("meta"):
            self._shapes[INPUT] = (1, *input_shape)
            start = self.value(torch.empty((1, *input_shape), device="meta"), INPUT)
            output = model(start)
        if not isinstance(output, Value):
            raise self.refuse("its output is no single tensor")
        return self.settled(output)

    def know(self, module: nn.Module, path: str) -> None:
        """Name a module and all inside it."""
        for name, inner in module.named_modules():
            self._paths.setdefault(id(inner), ".".join(filter(None, (path, name))))

    def _caught(self) -> Callable[..., Any]:
        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if not any(isinstance(each, Value) for each in _flat((*args, *kwargs.values()))):
                return self._call(module, *args, **kwargs)
            with self._within(self._paths.get(id(module), type(module).__name__)):
                result = self.on_module(self, module, args)
                return self._call(module, *args, **kwargs) if result is NotImplemented else result

        return call

    @contextmanager
    def _within(self, path: str) -> Iterator[None]:
        before, self.path = self.path, path
        try:
            yield
        except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
            raise self.refuse(f"it cannot be run ({' '.join(str(error).split())[:160]})") from error
        finally:
            self.path = before

    def shape_of(self, module: nn.Module, *args: Any) -> torch.Tensor:
        """What a module gives for values, as a plain tensor without data."""
        with torch._C.DisableTorchFunctionSubclass(), mock.patch.object(nn.Module, "__call__", self._call):
            result: torch.Tensor = module(*_bare(args))
        return result

    def refuse(self, problem: str) -> InputError:
        """An error that names the module being run."""
        return InputError(f"{self.path or 'the model'}: {problem}")

    def value(
        self,
        shape: torch.Tensor,
        source: int,
        views: tuple[Any, ...] = (),
        parts: tuple[Value, ...] = (),
        padded: bool = False,
    ) -> Value:
        """A value of a shape that comes of an entry."""
        with torch._C.DisableTorchFunctionSubclass():
            value: Value = _bare(shape).as_subclass(Value)
        value.recorder, value.source, value.views, value.parts, value.padded = self, source, views, parts, padded
        return value

    def put(
        self,
        kind: str,
        inputs: Sequence[Value],
        shape: torch.Tensor,
        *,
        when: Listed | str | None = None,
        erases: bool = False,
        **fields: Any,
    ) -> Value:
        """Record a layer that reads values and gives one of a shape; fields may be expressions of mutables."""
        sources = tuple(self.settled(value) for value in inputs)
        listed = {
            key: value if isinstance(value, str | Listed) else self.labels.listed(value)
            for key, value in fields.items()
        }
        self.entries.append(Entry(kind, sources, listed, self.path, when, erases))
        self._shapes[len(self.entries) - 1] = tuple(shape.shape)
        for key, value in listed.items():
            if not isinstance(value, str) and kind != "select":
                for axis, label in enumerate(value.labels):
                    better = larger_along(value, axis)
                    self.judge(label, better if key in LARGER else better & better.T)
        return self.value(shape, len(self.entries) - 1)

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """Record shuffles again, even of what was shuffled before: one of several layers to choose from is run."""
        before = dict(self._known)
        yield
        self._known = before

    def judge(self, label: str, not_worse: np.ndarray) -> None:
        """Note of a use of a label which of its values are not worse than which, ``[i, j]``: ``j`` than ``i``."""
        self.not_worse[label] = self.not_worse.get(label, True) & not_worse

    def judge_larger(self, listed: Listed) -> None:
        """Note that of what depends on labels more is not worse."""
        for axis, label in enumerate(listed.labels):
            self.judge(label, larger_along(listed, axis))

    def shape_of_entry(self, source: int) -> tuple[int, ...]:
        """The shape of what an entry gives, for the values of labels that the space has by default."""
        return self._shapes[source]

    def shuffled(self, source: int, groups: int) -> int:
        """The entry of a channel shuffle of what another gives."""
        return self._derived("channel_shuffle", source, self._shapes[source], groups=groups)

    def sliced(self, source: int, channels: int) -> int:
        """The entry of some of the channels that another gives."""
        batch, _, *size = self._shapes[source]
        return self._derived("channel_slice", source, (batch, channels, *size), out_channels=channels)

    def _derived(self, kind: str, source: int, shape: tuple[int, ...], **fields: int) -> int:
        key = (kind, source, *fields.values())
        if kind == "channel_slice" or key not in self._known:
            value = self.value(torch.empty(shape, device="meta"), source)
            self._known[key] = self.put(kind, [value], value, when=None, erases=False, **fields).source
        return self._known[key]

    def settled(self, value: Value) -> int:
        """The entry that gives a value, after what its views stand for has been recorded."""
        return settled(self, value)


def on_meta(model: nn.Module) -> nn.Module:
    """A copy without data, for inference."""
    return copy.deepcopy(model).to("meta").eval()
