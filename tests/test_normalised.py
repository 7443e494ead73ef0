"""Weights that leave every channel of a convolution with mean 0 and variance 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spacecut import load_space
from spacecut.operators import INPUT, Network, Node, Operator, expand
from spacecut.operators.weights import node_weights
from spacecut.platforms.inputs import input_array
from spacecut.platforms.normalised import normalised

torch = pytest.importorskip("torch")

SIX = Operator("conv2d", 6, 12, 12, 6, kernel=3)


def values_of(network: Network) -> list[np.ndarray]:
    """What each node of a network gives, without the activations of convolutions."""
    from spacecut.operators.torch_builder import TorchNetwork

    built = TorchNetwork(network, 1, torch.device("cpu"), torch.float32)
    given: list[np.ndarray] = []
    for number, layer in enumerate(built.layers):

        def noted(*values: torch.Tensor, run=layer) -> torch.Tensor:
            result = run(*values)
            given.append(result.numpy())
            return result

        built.layers[number] = noted
    with torch.no_grad():
        built.run(torch.from_numpy(input_array(network, 1)))
    return given


def test_channels_have_mean_0_and_variance_1() -> None:
    relu, pool = Operator("activation", 6, 12, 12, 6, activation="relu"), Operator("avg_pool2d", 6, 12, 12, 6, kernel=3)
    nodes = (
        Node(SIX, (INPUT,)),
        Node(relu, (0,)),
        Node(pool, (1,)),
        Node(Operator("depthwise_conv2d", 6, 12, 12, 6, kernel=3, stride=2), (2,)),
        Node(Operator("conv2d", 6, 6, 6, 8), (3,)),
        Node(Operator("global_avg_pool", 8, 6, 6, 8), (4,)),
        Node(Operator("conv2d", 8, 1, 1, 5), (5,)),  # one pixel tells no variance
        Node(Operator("linear", 5, 1, 1, 3), (6,)),
    )
    network = Network((6, 12, 12), nodes, 7)
    found = values_of(normalised(network))
    for number in (0, 3, 4):
        np.testing.assert_allclose(found[number].mean(axis=(2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(found[number].std(axis=(2, 3)), 1, atol=1e-2)
    assert normalised(network) == network  # but for the weights, by which no network is told
    assert not normalised(network).nodes[6].weights


def test_values_of_a_deep_network_do_not_grow_flat() -> None:
    """Most variance of what a ReLU reads is from pixel to pixel then, and not from channel to channel."""
    workload = expand(load_space("nasbench201/cell"))
    network = workload.network(np.asarray([3, 2, 1, 4, 3, 2]))

    def pixels(which: Network) -> list[float]:
        given = values_of(which)
        read = [given[node.inputs[0]] for node in which.nodes if node.operator.kind == "activation"]
        return [float(one.var(axis=(2, 3)).mean() / one.var()) for one in read]

    assert min(pixels(normalised(network))) > 0.95
    assert np.median(pixels(network)) < 0.5


def test_what_has_no_convolution_or_weights_of_its_own_stays() -> None:
    own = tuple((2 * kernel, bias) for kernel, bias in node_weights(Node(SIX, (INPUT,))))
    network = Network((6, 12, 12), (Node(SIX, (INPUT,), own), Node(SIX, (0,))), 1)
    assert normalised(network) is network
    alone = Network.single(replace(SIX, activation="relu"))
    assert normalised(alone) is alone
    relu = Operator("activation", 6, 12, 12, 6, activation="relu")
    plain = Network((6, 12, 12), (Node(relu, (INPUT,)), Node(Operator("linear", 864, 1, 1, 6), (0,))), 1)
    assert normalised(plain) is plain
