"""LiteRT (TensorFlow Lite) on the CPU, through its XNNPACK delegate. It tells no node times."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np

from spacecut.operators import Network
from spacecut.operators.tflite_builder import build_tflite
from spacecut.platforms.inputs import input_array
from spacecut.platforms.platform import Platform, Program, Status

__all__ = ["LiteRt"]

_PACKAGE = "ai-edge-litert"


class LiteRt(Platform):
    """LiteRT's interpreter with its default resolver, which delegates to XNNPACK."""

    runtime = "litert"
    tells_node_times = False

    @classmethod
    def status(cls) -> Status:
        try:
            import ai_edge_litert.interpreter  # noqa: F401
        except ImportError as error:
            return Status.missing(_PACKAGE, error)
        return Status(True, metadata.version(_PACKAGE), ("cpu",), ("fp32",))

    def load(self, network: Network, nodes: bool = False) -> Program:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=build_tflite(network, self.batch), num_threads=self.threads)
        interpreter.allocate_tensors()
        values = input_array(network, self.batch).transpose(0, 2, 3, 1)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(values))
        return _Interpreter(interpreter)


class _Interpreter(Program):
    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter

    def run(self) -> None:
        self._interpreter.invoke()
