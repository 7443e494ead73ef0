"""OpenVINO on the CPU, in float32, int8 by NNCF or both, with node times from its performance counters."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacecut.operators import Network
from spacecut.operators.onnx_builder import build_onnx
from spacecut.platforms.attribution import charge, owner
from spacecut.platforms.inputs import as_images, calibration_arrays, input_array
from spacecut.platforms.platform import Platform, Program, Status
from spacecut.platforms.quantisers import nncf_lacking, quantised_openvino

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVino"]

# The capabilities of a CPU say which precisions it can really run: a hint alone is accepted, and then emulated.
_PRECISIONS = {"FP32": "fp32", "INT8": "int8"}
_GRAPH, _WEIGHTS = "model.xml", "model.bin"
_QUANTISES = "/fq_"  # in the name of what NNCF puts in
_NOT_EXECUTED = ("undef", "unknown")  # begin the type of execution of nodes that were fused away, or only hold values
_SHORT_MS = 0.02
"""Nodes that take less in the mean are slowed down by their counters: to read a clock twice takes some 0.1 us."""


class OpenVino(Platform):
    """OpenVINO's CPU plugin. The environment variable ``ONEDNN_MAX_CPU_ISA`` caps its instruction set."""

    runtime = "openvino"
    tells_node_times = True
    quantiser = "nncf"
    mixes = True

    @classmethod
    def status(cls) -> Status:
        try:
            import openvino
        except ImportError as error:
            return Status.missing("openvino", error)
        capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precisions = [name for capability, name in _PRECISIONS.items() if capability in capabilities]
        lacking = {}
        if "int8" in precisions and (reason := nncf_lacking()):
            precisions.remove("int8")
            lacking["int8"] = reason
        return Status(True, openvino.__version__.partition("-")[0], ("cpu",), tuple(precisions), lacking=lacking)

    def build(self, network: Network) -> openvino.Model:
        return self._built(network, calibration_arrays(network, self.batch), correct_biases=False)

    def _built(self, network: Network, samples: Sequence[np.ndarray], correct_biases: bool) -> openvino.Model:
        model = _core().read_model(build_onnx(network, self.batch))
        chosen = self.in_int8(network)
        return quantised_openvino(model, samples, chosen, correct_biases) if chosen else model

    def write(self, model: openvino.Model, folder: Path) -> None:
        import openvino

        openvino.serialize(model, folder / _GRAPH, folder / _WEIGHTS)

    def read(self, folder: Path) -> openvino.Model:
        # As bytes, so that the files may go.
        return _core().read_model((folder / _GRAPH).read_bytes(), (folder / _WEIGHTS).read_bytes())

    def compute(self, network: Network, inputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        model = self._built(network, self.batches(calibration), correct_biases=True)
        properties = {"INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = _core().compile_model(model, "CPU", properties)
        return as_images(network, [compiled(values)[0] for values in self.batches(inputs)])

    def load(self, network: Network, nodes: bool = False) -> Program:
        compiled = _core().compile_model(self.model(network), "CPU", self._properties(nodes))
        values = input_array(network, self.batch)
        if not nodes:
            return _Request(compiled, values)
        request = _Counted(compiled, values, _converters(compiled) if self.mixed(network) else {})
        if request.has_short_nodes():  # to read what was compiled takes a third of compiling it again
            exported = io.BytesIO(compiled.export_model().getvalue())
            request.run_otherwise(_Request(_core().import_model(exported, "CPU", self._properties(False)), values))
        return request

    def _properties(self, counted: bool) -> dict[str, Any]:
        return {
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
            "PERF_COUNT": counted,
        }


def _converters(compiled: openvino.CompiledModel) -> dict[str, int | None]:
    """Whose output each node converts that stands between operators of two precisions.

    OpenVINO names such nodes after what reads them, and runs them right before that.
    """
    owners: dict[str, int | None] = {}
    converts: dict[str, int | None] = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        name = node.get_friendly_name()
        merged = node.get_rt_info()["originalLayersNames"].astype(str).split(",")
        owners[name] = owner(",".join(part for part in merged if _QUANTISES not in part))
        if owners[name] is None and node.inputs():
            source = node.input(0).get_source_output().get_node().get_friendly_name()
            converts[name] = owners[name] = owners[source]
    return converts


@lru_cache(maxsize=1)
def _core() -> openvino.Core:
    import openvino

    return openvino.Core()


class _Request(Program):
    def __init__(self, compiled: openvino.CompiledModel, values: np.ndarray) -> None:
        import openvino

        self._values = values
        self._request = compiled.create_infer_request()
        self._request.set_input_tensor(openvino.Tensor(values, shared_memory=True))

    def run(self) -> None:
        self._request.infer()


class _Counted(_Request):
    """With performance counters, which are on from loading to the end."""

    watched_as_fast = True

    def __init__(
        self, compiled: openvino.CompiledModel, values: np.ndarray, converts: Mapping[str, int | None]
    ) -> None:
        super().__init__(compiled, values)
        self._converts = converts
        self._uncounted: _Request | None = None
        self._counting = False
        self._runs = 0
        self._marked = 0
        self._before: dict[str, float] = {}

    def has_short_nodes(self) -> bool:
        """Whether its nodes are so short that counting makes them slower."""
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            self.run()
            seconds.append(time.perf_counter() - start)
        return min(seconds) * 1e3 < _SHORT_MS * len(self._totals())

    def run_otherwise(self, uncounted: _Request) -> None:
        """Run the same without counters while nodes are not timed."""
        self._uncounted = uncounted
        self.watched_as_fast = False

    def run(self) -> None:
        if self._counting or self._uncounted is None:
            super().run()
            self._runs += 1
        else:
            self._uncounted.run()

    def mark(self) -> None:
        self._counting = True
        self._marked = self._runs
        self._before = {name: total for name, _, total in self._totals()}

    def _totals(self) -> list[tuple[str, str, float]]:
        """Name, type and microseconds so far of each node that is executed.

        The counters hold the mean over all runs, cut to 1 us; nodes that take less are told from those that were fused
        away by their type of execution.
        """
        return [
            (info.node_name, info.node_type, (info.real_time.total_seconds() * 1e6 + 0.5) * self._runs)
            for info in self._request.get_profiling_info()
            if not info.exec_type.startswith(_NOT_EXECUTED)
        ]

    def node_times(self) -> dict[int, list[float]]:
        self._counting = False
        counted = self._runs - self._marked
        return charge(
            (
                self._converts[name] if name in self._converts else None if kind == "Reorder" else owner(name),
                [max(total - self._before.get(name, 0.0), 0.0) / counted / 1e3],
            )
            for name, kind, total in self._totals()
        )
