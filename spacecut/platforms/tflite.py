"""What the interpreters of TFLite models have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from spacecut.operators import Network
from spacecut.operators.tflite_builder import build_tflite
from spacecut.platforms.inputs import as_images, calibration_arrays, input_array
from spacecut.platforms.normalised import normalised
from spacecut.platforms.platform import Platform, Program, Status
from spacecut.platforms.quantisers import quantised_tflite, tflite_quantiser_lacking

__all__ = ["TfLite", "int8_tflite"]


class TfLite(Platform):
    """An interpreter of TFLite models on the CPU, in float32 or calibrated int8."""

    tells_node_times = False
    quantiser = "ai-edge-quantizer"

    @classmethod
    def offered(cls, version: str) -> Status:
        """The status of an interpreter that is there."""
        reason = tflite_quantiser_lacking()
        if reason:
            return Status(True, version, ("cpu",), ("fp32",), lacking={"int8": reason})
        return Status(True, version, ("cpu",), ("fp32", "int8"))

    @abstractmethod
    def interpreter(self, model: bytes) -> Any:
        """The runtime's interpreter of a model."""

    def build(self, network: Network) -> bytes:
        if self.precision == "int8":  # the built-in ReLU takes longer the less the signs of its values can be foreseen
            return int8_tflite(normalised(network), self.batch)
        return build_tflite(network, self.batch)

    def load(self, network: Network, nodes: bool = False) -> Program:
        interpreter, taken = self._ready(self.model(network))
        interpreter.set_tensor(taken["index"], _fit(_channels_last(input_array(network, self.batch)), taken))
        return _Interpreter(interpreter)

    def compute(self, network: Network, inputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        whole = self.precision == "fp32"
        model = (
            build_tflite(network, self.batch) if whole else int8_tflite(network, self.batch, self.batches(calibration))
        )
        interpreter, taken = self._ready(model)
        (given,) = interpreter.get_output_details()
        outputs = []
        for values in self.batches(inputs):
            interpreter.set_tensor(taken["index"], _fit(_channels_last(values), taken))
            interpreter.invoke()
            output = interpreter.get_tensor(given["index"])
            if not whole:
                scale, zero = given["quantization"]
                output = (output.astype(np.float32) - zero) * scale
            outputs.append(output.transpose(0, 3, 1, 2))
        return as_images(network, outputs)

    def _ready(self, model: bytes) -> tuple[Any, dict[str, Any]]:
        interpreter = self.interpreter(model)
        interpreter.allocate_tensors()
        (taken,) = interpreter.get_input_details()
        return interpreter, taken


def int8_tflite(network: Network, batch: int, samples: Sequence[np.ndarray] = ()) -> bytes:
    """A network as a TFLite model in int8 throughout, by the ranges that it takes on samples."""
    taken = [_channels_last(values) for values in samples or calibration_arrays(network, batch)]
    return quantised_tflite(build_tflite(network, batch), taken)


def _channels_last(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1))


def _fit(values: np.ndarray, taken: dict[str, Any]) -> np.ndarray:
    """Values as an input takes them, which may be int8."""
    if taken["dtype"] == np.float32:
        return values
    scale, zero = taken["quantization"]
    limits = np.iinfo(taken["dtype"])
    rounded: np.ndarray = np.round(values / scale) + zero
    return rounded.clip(limits.min, limits.max).astype(taken["dtype"])


class _Interpreter(Program):
    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter

    def run(self) -> None:
        self._interpreter.invoke()
