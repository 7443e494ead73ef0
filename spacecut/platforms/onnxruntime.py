"""ONNX Runtime on the CPU, in float32, statically quantised int8 or both, with node times from its own profiler."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spacecut.operators import Network
from spacecut.operators.onnx_builder import build_onnx
from spacecut.platforms.attribution import charge, owner
from spacecut.platforms.inputs import as_images, calibration_arrays, input_array
from spacecut.platforms.platform import Platform, Program, Status
from spacecut.platforms.quantisers import quantised_onnx

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["OnnxRuntime"]

_SUFFIX = "_kernel_time"
_NOT_MIXED = ["WeightBiasQuantization"]
"""Optimisers that would put an operator in float32 into int8 where it stands between two that are."""


class OnnxRuntime(Platform):
    """ONNX Runtime's CPU execution provider."""

    runtime = "onnxruntime"
    tells_node_times = True
    mixes = True

    @classmethod
    def status(cls) -> Status:
        try:
            import onnxruntime
        except ImportError as error:
            return Status.missing("onnxruntime", error)
        return Status(True, onnxruntime.__version__, ("cpu",), ("fp32", "int8"))

    def build(self, network: Network) -> bytes:
        return self._built(network, calibration_arrays(network, self.batch))

    def _built(self, network: Network, samples: Sequence[np.ndarray]) -> bytes:
        # It has no HardSwish of its own; written as two nodes, both keep the names that their times are charged by.
        model = build_onnx(network, self.batch, native_hardswish=False)
        chosen = self.in_int8(network)
        return quantised_onnx(model, samples, chosen) if chosen else model

    def load(self, network: Network, nodes: bool = False) -> Program:

        options = self._options()
        folder = tempfile.TemporaryDirectory(prefix="spacecut-") if nodes else None
        if folder is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder.name) / "profile")
        session = self._session(network, self.model(network), options)
        return _Session(session, input_array(network, self.batch), folder)

    def compute(self, network: Network, inputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        session = self._session(network, self._built(network, self.batches(calibration)), self._options())
        return as_images(network, [session.run(None, {"input": values})[0] for values in self.batches(inputs)])

    def _session(
        self, network: Network, model: bytes, options: onnxruntime.SessionOptions
    ) -> onnxruntime.InferenceSession:
        import onnxruntime

        without = _NOT_MIXED if self.mixed(network) else None
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=without
        )

    def _options(self) -> onnxruntime.SessionOptions:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return options


class _Session(Program):
    def __init__(
        self, session: onnxruntime.InferenceSession, values: np.ndarray, folder: tempfile.TemporaryDirectory | None
    ) -> None:
        self._session = session
        self._feed = {session.get_inputs()[0].name: values}
        self._folder = folder
        self.watched_once = folder is not None  # a session ends its profile for good
        self._runs = 0
        self._marked = 0

    def run(self) -> None:
        self._session.run(None, self._feed)
        self._runs += 1

    def mark(self) -> None:
        self._marked = self._runs

    def node_times(self) -> dict[int, list[float]]:
        events = json.loads(Path(self._session.end_profiling()).read_text())
        times: dict[str, list[float]] = {}
        for event in events:  # in order of execution, every run of the session
            if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
                times.setdefault(event["name"].removesuffix(_SUFFIX), []).append(event["dur"] / 1e3)
        return charge((owner(name), values[self._marked :]) for name, values in times.items())

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
