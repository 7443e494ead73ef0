"""ncnn on the CPU. It tells no node times."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from spacecut.errors import InputError, MeasurementError
from spacecut.operators import Network
from spacecut.operators.ncnn_builder import build_ncnn
from spacecut.platforms.inputs import input_array
from spacecut.platforms.platform import Platform, PlatformName, Program, Status

__all__ = ["Ncnn"]


class Ncnn(Platform):
    """ncnn's CPU layers in float32, with its own choice of packing, Winograd and GEMM kernels."""

    runtime = "ncnn"
    tells_node_times = False

    def __init__(self, name: PlatformName, threads: int = 1, batch: int = 1) -> None:
        super().__init__(name, threads, batch)
        if batch > 1:
            raise InputError(f"{name}: ncnn runs one input at a time, not a batch of {batch}")

    @classmethod
    def status(cls) -> Status:
        try:
            import ncnn  # noqa: F401
        except ImportError as error:
            return Status.missing("ncnn", error)
        return Status(True, metadata.version("ncnn"), ("cpu",), ("fp32",))

    def load(self, network: Network, nodes: bool = False) -> Program:
        import ncnn

        net = ncnn.Net()
        net.opt.num_threads = self.threads
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, option, False)
        text, weights = build_ncnn(network)
        with tempfile.TemporaryDirectory(prefix="spacecut-") as folder:
            param, data = Path(folder) / "model.param", Path(folder) / "model.bin"
            param.write_text(text)
            data.write_bytes(weights)
            if net.load_param(str(param)) or net.load_model(str(data)):
                raise MeasurementError("ncnn does not load the model")
        values = input_array(network, 1)[0]
        return _Net(net, ncnn.Mat(values).clone(), f"n{network.output}.out")  # without a clone it is not its own


class _Net(Program):
    def __init__(self, net: Any, values: Any, output: str) -> None:
        self._net = net
        self._values = values
        self._output = output

    def run(self) -> None:
        extractor = self._net.create_extractor()
        extractor.input("input", self._values)
        failed, _ = extractor.extract(self._output)
        if failed:
            raise MeasurementError(f"ncnn does not run the model (status {failed})")
