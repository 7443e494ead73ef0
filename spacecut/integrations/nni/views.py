"""What a rearranged tensor stands for: nothing, a channel shuffle, or some of the channels.

The rearranging functions are replayed on the numbers of the elements; what they do to the channels is read off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from spacecut.integrations.nni.recording import Recorder, Value

__all__ = ["settled"]


def settled(recorder: Recorder, value: Value) -> int:
    """The entry that gives a value, after layers for its rearrangement have been recorded.

    Raises:
        InputError: It is rearranged in another way.
    """
    if value.parts:
        raise recorder.refuse("a stack of tensors is read by something other than a sum over it")
    if value.padded:
        raise recorder.refuse("padding of its own; only a shift by one pixel is known")
    if not value.views:
        return value.source
    shape = recorder.shape_of_entry(value.source)
    numbers = torch.arange(int(np.prod(shape)), device="cpu").reshape(shape)
    whole = numbers
    for function, args, kwargs in value.views:
        numbers = function(numbers, *args, **kwargs)
    if numbers.numel() == whole.numel() and bool((numbers.flatten() == whole.flatten()).all()):
        return value.source
    return _channels(recorder, value, numbers.numpy(), whole.numpy())


def _channels(recorder: Recorder, value: Value, numbers: np.ndarray, whole: np.ndarray) -> int:
    """The entry that gives some of the channels, in some order."""
    _, channels, height, width = whole.shape
    if numbers.ndim != 4 or numbers.shape[0] != 1 or numbers.shape[2:] != (height, width):
        raise recorder.refuse("it rearranges a tensor in a way that is no shuffle, and no slice, of its channels")
    order = numbers[0, :, 0, 0] // (height * width)
    if not np.array_equal(numbers[0], whole[0, order]):
        raise recorder.refuse("it rearranges the pixels of a tensor")
    source = value.source
    for groups in range(2, channels + 1):
        if channels % groups == 0 and not np.array_equal(order, np.arange(channels)[order[0] :][: len(order)]):
            shuffled = np.arange(channels).reshape(-1, groups).T.ravel()
            places = np.argsort(shuffled)[order]
            if np.array_equal(places, np.arange(places[0], places[0] + len(order))):
                source, order = recorder.shuffled(source, groups), places
                break
    if len(order) == channels and np.array_equal(order, np.arange(channels)):
        return source
    if not np.array_equal(order, np.arange(order[0], order[0] + len(order))):
        raise recorder.refuse("it puts the channels of a tensor in an order that is no shuffle")
    return recorder.sliced(source, len(order))
