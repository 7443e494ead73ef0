"""Weights such as training leaves them, for kernels that take longer for some values than for others.

With weights drawn by chance, the values of a deep network grow flat: in most channels every pixel is above zero, or
none is. Trained networks normalise what their convolutions give (Ioffe & Szegedy, Batch Normalization, ICML 2015), so
that signs change from pixel to pixel, and a kernel that branches on them takes as long as it will in use
(``benchmarks/values.py``).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from spacecut.operators import Network
from spacecut.operators.onnx_builder import build_onnx
from spacecut.operators.operator import CONVOLUTIONS
from spacecut.operators.weights import node_weights
from spacecut.platforms.attribution import owner
from spacecut.platforms.inputs import input_array

__all__ = ["normalised"]

_EPSILON = 1e-5  # is added to every variance
_FEWEST = 16  # pixels that tell a mean and a variance


def normalised(network: Network) -> Network:
    """A network with weights by which each channel that a convolution gives has mean 0 and variance 1.

    They have it on the input that networks are measured on. A network with weights of its own keeps them.
    """
    numbers = [
        number
        for number, node in enumerate(network.nodes)
        if node.operator.kind in CONVOLUTIONS and math.prod(node.operator.output_shape[1:]) >= _FEWEST
    ]
    if not numbers or len(network.nodes) == 1 or any(node.weights for node in network.nodes):
        return network
    nodes = list(network.nodes)
    for number, given in zip(numbers, _given(network, numbers), strict=True):
        mean, scale = given.mean(axis=(0, 2, 3)), 1 / np.sqrt(given.var(axis=(0, 2, 3)) + _EPSILON)
        ((kernel, bias),) = node_weights(nodes[number], number)
        weights = ((kernel * scale[:, None, None, None], (bias - mean) * scale),)
        nodes[number] = replace(nodes[number], weights=weights)
    return replace(network, nodes=tuple(nodes))


def _given(network: Network, numbers: list[int]) -> list[np.ndarray]:
    """What convolutions give, ``[1, channels, height, width]`` each, where all before them is normalised."""
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(build_onnx(network))
    graph = model.graph
    before = list(graph.node)
    del graph.node[:], graph.output[:]
    for node in before:
        graph.node.append(node)
        number = owner(node.name)
        if node.op_type == "Conv" and number in numbers:
            (name,) = node.output
            channels = network.nodes[number].operator.output_shape[0]
            raw, ones, zeros = (f"{name}.{what}" for what in ("raw", "ones", "zeros"))
            graph.node[-1].output[0] = raw
            graph.output.append(helper.make_tensor_value_info(raw, onnx.TensorProto.FLOAT, None))
            graph.initializer.append(numpy_helper.from_array(np.ones(channels, np.float32), ones))
            graph.initializer.append(numpy_helper.from_array(np.zeros(channels, np.float32), zeros))
            graph.node.append(helper.make_node("InstanceNormalization", [raw, ones, zeros], [name], epsilon=_EPSILON))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"input": input_array(network, 1)})
    return found
