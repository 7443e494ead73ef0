"""PyTorch in eager mode on the CPU, and replayed as a CUDA graph on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spacecut.errors import InputError
from spacecut.operators import Network
from spacecut.operators.torch_builder import TorchNetwork
from spacecut.platforms.inputs import input_array
from spacecut.platforms.platform import Platform, PlatformName, Program, Status
from spacecut.platforms.stepwise import Stepwise

if TYPE_CHECKING:
    import torch

__all__ = ["Torch"]

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_CUDA_WARMUP = 3


class Torch(Platform):
    """PyTorch, in the channels-last layout.

    On the CPU operators run one after the other, so each one's time is its own. On a GPU the network is captured as a
    CUDA graph, so that it is the GPU that is timed and not Python's launches, and timed with CUDA events. fp32 is
    real fp32 there: TF32 is switched off.
    """

    runtime = "torch"

    def __init__(self, name: PlatformName, threads: int = 1, batch: int = 1) -> None:
        super().__init__(name, threads, batch)
        if self.device == "cpu" and self.precision != "fp32":
            raise InputError(f"platform {name}: no precision {self.precision!r} on the CPU; it offers fp32")
        self.tells_node_times = self.device == "cpu"

    @classmethod
    def status(cls) -> Status:
        try:
            import torch
        except ImportError as error:
            return Status.missing("torch", error)
        if torch.cuda.is_available():
            return Status(True, torch.__version__, ("cpu", "cuda"), tuple(_DTYPES))
        reason = f"torch {torch.__version__} sees no CUDA GPU on this machine"
        if torch.version.cuda is None:
            reason = f"torch {torch.__version__} is built without CUDA; where there is a GPU: pip install torch"
        return Status(True, torch.__version__, ("cpu",), ("fp32",), lacking={"cuda": reason})

    def load(self, network: Network, nodes: bool = False) -> Program:
        import torch

        torch.set_num_threads(self.threads)
        device, dtype = torch.device(self.device), getattr(torch, _DTYPES[self.precision])
        model = TorchNetwork(network, self.batch, device, dtype)
        values = model.put(input_array(network, self.batch))
        if self.device == "cpu":
            return _Eager(model, values)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        return _CudaGraph(model, values)

    def hardware(self) -> str:
        if self.device == "cpu":
            return ""
        import torch

        properties = torch.cuda.get_device_properties(0)
        return f"{properties.name}, {properties.multi_processor_count} SMs, CUDA {torch.version.cuda}"

    def clock_mhz(self) -> float:
        if self.device == "cpu":
            return 0.0
        import torch

        try:
            return float(torch.cuda.clock_rate())
        except ModuleNotFoundError:  # it is read through the package nvidia-ml-py
            return 0.0


class _Eager(Stepwise):
    def __init__(self, model: TorchNetwork, values: torch.Tensor) -> None:
        super().__init__()
        self._model = model
        self._values = values

    def run(self) -> None:
        import torch

        with torch.inference_mode():
            self._begin()
            self._model.run(self._values, self._passed if self._watched else None)


class _CudaGraph(Program):
    def __init__(self, model: TorchNetwork, values: torch.Tensor) -> None:
        import torch

        cuda: Any = torch.cuda  # some of it has no types
        self._held = model, values  # the graph reads their memory
        self._graph = cuda.CUDAGraph()
        self._start, self._end = (cuda.Event(enable_timing=True) for _ in range(2))
        with torch.inference_mode():
            side = cuda.Stream()
            side.wait_stream(cuda.current_stream())
            with cuda.stream(side):  # what is set up at a first run must not be captured
                for _ in range(_CUDA_WARMUP):
                    model.run(values)
            cuda.current_stream().wait_stream(side)
            with cuda.graph(self._graph):
                self._output = model.run(values)

    def run(self) -> float:
        self._start.record()
        self._graph.replay()
        self._end.record()
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end))

    def close(self) -> None:
        self._graph.reset()
