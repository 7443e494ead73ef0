"""ncnn on the CPU."""

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
from spacecut.platforms.stepwise import Stepwise

__all__ = ["Ncnn"]

_AS_IT_IS = 1  # the type of a value that is not converted to the caller's layout


class Ncnn(Platform):
    """ncnn's CPU layers in float32, with its own choice of packing, Winograd and GEMM kernels.

    Its Python package tells no times of layers. But a value that is asked for is computed from those that are there, so
    that nodes are timed by asking for one's output after the other's, in the layout that ncnn has it in.
    """

    runtime = "ncnn"
    tells_node_times = True

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

        net, pool = ncnn.Net(), ncnn.PoolAllocator()
        net.opt.num_threads = self.threads
        net.opt.blob_allocator = pool  # of its own pool, it would copy each value that is asked for
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, option, False)
        text, weights = build_ncnn(network)
        with tempfile.TemporaryDirectory(prefix="spacecut-") as folder:
            param, data = Path(folder) / "model.param", Path(folder) / "model.bin"
            param.write_text(text)
            data.write_bytes(weights)
            if net.load_param(str(param)) or net.load_model(str(data)):
                raise MeasurementError("ncnn does not load the model")
        values = ncnn.Mat(input_array(network, 1)[0]).clone()  # without a clone it is not its own
        number = {blob.name: number for number, blob in enumerate(net.blobs())}
        outputs = [number[f"n{node}.out"] for node in range(len(network.nodes))]
        return _Net(net, pool, values, outputs, outputs[network.output])


class _Net(Stepwise):
    def __init__(self, net: Any, pool: Any, values: Any, outputs: list[int], output: int) -> None:
        super().__init__()
        self._net = net
        self._pool = pool  # the net's memory
        self._values = values
        self._outputs = outputs
        self._output = output

    def run(self) -> None:
        extractor = self._net.create_extractor()
        extractor.input("input", self._values)
        if not self._watched:
            _checked(extractor.extract(self._output))
            return
        self._begin()
        for node, output in enumerate(self._outputs):
            _checked(extractor.extract(output, _AS_IT_IS))
            self._passed(node)


def _checked(extracted: tuple[int, Any]) -> None:
    """Let go of a value that was asked for: a layer that works in place copies what others hold."""
    if status := extracted[0]:
        raise MeasurementError(f"ncnn does not run the model (status {status})")
