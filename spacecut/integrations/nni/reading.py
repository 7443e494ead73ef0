"""An NNI model space as a search space.

The space is run once without numbers, with every layer that may be chosen recorded; what comes of it is a space like
one from a file. Then random models of the space are frozen, run in the same way, and compared layer by layer with what
the space says of them: a space that does something else than was understood is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import model_context
from torch import nn

from spacecut.errors import InputError
from spacecut.integrations.nni.functions import on_function
from spacecut.integrations.nni.fusing import fused
from spacecut.integrations.nni.labels import Labels, choice_name
from spacecut.integrations.nni.modules import on_module
from spacecut.integrations.nni.recording import Recorder, on_meta
from spacecut.integrations.nni.writing import Order, written_space
from spacecut.operators import Network, Node, Operator, Workload, expand
from spacecut.space import Candidate, SearchSpace

__all__ = ["ReadSpace", "frozen_network", "read_model_space", "unfused"]

CHECKED = 10
"""Random models that are compared with what was understood."""
_IN_PLACE = 2
"""So many of them are frozen in place, which is slow; the others are made anew."""


@dataclass(frozen=True)
class ReadSpace:
    """A model space, read.

    Attributes:
        space: The search space; its choices are the labels that operators depend on.
        labels: The model space's labels.
        workload: The space's operators.
    """

    space: SearchSpace
    labels: Labels
    workload: Workload

    def architecture(self, sample: Mapping[str, Any]) -> dict[str, Candidate]:
        """What a sample of NNI's means here.

        Raises:
            InputError: It is no sample of the model space.
        """
        return self.labels.architecture(sample, self.space.positions)

    def sample(self, architecture: Mapping[str, Candidate]) -> dict[str, Any]:
        """An NNI sample that means an architecture."""
        return self.labels.sample(architecture)

    def network(self, sample: Mapping[str, Any]) -> Network:
        """The network of a sample."""
        return self.workload.network(self.space.encode(self.architecture(sample))[0])


def read_model_space(
    model_space: ModelSpace,
    input_shape: tuple[int, int, int],
    *,
    order: Mapping[str, Order] | None = None,
    checked: int = CHECKED,
    seed: int = 0,
) -> ReadSpace:
    """Read an NNI model space.

    Args:
        model_space: An instance; it stays as it is.
        input_shape: Channels, height, width of one input.
        order: For some labels, the quality order where the usual one will not do: ``larger``, ``none``, or chains of
            values in which each is not worse than those before it.
        checked: Random models to compare with what was understood.
        seed: Of these.

    Raises:
        InputError: The space holds something that no layer stands for, or is more than what was understood; where is
            named.
    """
    labels = Labels.of(model_space)
    bare = on_meta(model_space)
    recorder = Recorder(labels, on_module, on_function)
    last = recorder.run(bare, input_shape)
    entries, output = fused(recorder.entries, last)
    name = f"nni:{type(model_space).__module__}:{type(model_space).__qualname__}"
    space = written_space(name, input_shape, labels, entries[: output + 1], recorder.not_worse, order=order or {})
    read = ReadSpace(space, labels, expand(space))
    _check(read, bare, input_shape, checked, seed)
    return read


def frozen_network(model: nn.Module, input_shape: tuple[int, int, int]) -> Network:
    """The network of a model without choices, which is on the meta device.

    Raises:
        InputError: It does something that no operator stands for.
    """
    labels = Labels({})
    recorder = Recorder(labels, on_module, on_function)
    last = recorder.run(model, input_shape)
    entries, output = fused(recorder.entries, last)
    space = written_space("model", input_shape, labels, entries[: output + 1], {}, order={})
    return expand(space).network(np.zeros(0, dtype=np.int64))


def _check(read: ReadSpace, bare: Any, input_shape: tuple[int, int, int], count: int, seed: int) -> None:
    """Compare random models with what the space says of them."""
    for number, candidates in enumerate(read.space.sample(count, seed)):
        sample = read.sample(read.space.decode(candidates))
        model = _frozen(bare, sample, anew=number >= _IN_PLACE)
        found, told = (unfused(n) for n in (frozen_network(model, input_shape), read.workload.network(candidates)))
        if found != told:
            pairs = zip((*found.nodes, None), (*told.nodes, None), strict=False)
            real, thought = next((pair for pair in pairs if pair[0] != pair[1]), (None, None))
            raise InputError(
                f"{read.space.name}: the model of {_short(sample)} has {_shown(real)} where the space was "
                f"understood to have {_shown(thought)}; it depends on a choice in a way that cannot be read"
            )


def _frozen(bare: Any, sample: Mapping[str, Any], anew: bool) -> nn.Module:
    """A model of the space on the meta device: made anew, or by freezing the space, as NNI's two formats do it."""
    with torch.device("meta"):
        if not anew:
            return bare.freeze(dict(sample)).to("meta").eval()  # type: ignore[no-any-return]
        with model_context(dict(sample)):
            return bare.trace_copy().get(traceable=False).to("meta").eval()  # type: ignore[no-any-return]


def _shown(node: Node | None) -> str:
    return "no operator" if node is None else f"{node.operator}"


def _short(sample: Mapping[str, Any]) -> str:
    text = ", ".join(f"{choice_name(label)}={value}" for label, value in sample.items())
    return text if len(text) <= 200 else f"{text[:200]}..."


def unfused(network: Network) -> Network:
    """The same network in the one form that networks are compared in.

    Every activation is a node of its own, and nodes stand in the order in which the output needs them.
    """
    nodes: list[Node] = []
    place: dict[int, int] = {}
    waiting = [network.output]
    while waiting:
        number = waiting[-1]
        if missing := [source for source in network.nodes[number].inputs if source >= 0 and source not in place]:
            waiting.append(missing[0])
            continue
        waiting.pop()
        operator = network.nodes[number].operator
        inputs = tuple(place.get(source, source) for source in network.nodes[number].inputs)
        if operator.activation == "none" or operator.kind in ("activation", "squeeze_excite"):
            nodes.append(Node(operator, inputs))
        else:
            channels, height, width = operator.output_shape
            nodes.append(Node(replace(operator, activation="none"), inputs))
            activation = Operator("activation", channels, height, width, channels, activation=operator.activation)
            nodes.append(Node(activation, (len(nodes) - 1,)))
        place[number] = len(nodes) - 1
    return Network(network.input_shape, tuple(nodes), place[network.output])
