"""Arm's Ethos-U NPUs, by the cycles that Arm's compiler Vela estimates. Nothing is run: every figure is an estimate."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from spacecut.errors import InputError, MeasurementError
from spacecut.operators import Network
from spacecut.platforms.attribution import charge, owner
from spacecut.platforms.platform import Platform, PlatformName, Program, Status
from spacecut.platforms.quantisers import tflite_quantiser_lacking
from spacecut.platforms.tflite import int8_tflite

__all__ = ["EthosU"]

_PACKAGE = "ethos-u-vela"
_DEVICES = (
    "u55-128", "u55-32", "u55-64", "u55-256", "u65-256", "u65-512", "u85-128", "u85-256", "u85-512", "u85-1024",
    "u85-2048",
)  # fmt: skip
_ON_THE_CPU = "Passthrough"  # what Vela calls operators that it leaves as they are


class EthosU(Platform):
    """An NPU with the compiler's default system configuration and memory mode, running int8 models.

    Milliseconds are the estimated cycles at the configuration's clock, of the whole network and of each operator.
    """

    runtime = "ethos-u"
    tells_node_times = True
    deterministic = True
    estimated_by = "Arm's compiler Vela"
    quantiser = "ai-edge-quantizer"

    def __init__(self, name: PlatformName, threads: int = 1, batch: int = 1) -> None:
        super().__init__(name, threads, batch)
        for what, number in (("thread", threads), ("input", batch)):
            if number > 1:
                raise InputError(f"{name}: an NPU runs one {what} at a time, not {number}")
        self._target = _target(self.device)

    @classmethod
    def status(cls) -> Status:
        try:
            import ethosu.regor  # noqa: F401
        except ImportError as error:
            return Status.missing(_PACKAGE, error)
        if reason := tflite_quantiser_lacking():
            return Status(False, reason=reason)
        note = "figures are Vela's estimates, nothing is run"
        return Status(True, metadata.version(_PACKAGE), _DEVICES, ("int8",), note=note)

    def build(self, network: Network) -> bytes:
        return int8_tflite(network, self.batch)

    def load(self, network: Network, nodes: bool = False) -> Program:
        from ethosu import regor

        target = self._target
        try:
            compiled = regor.compile(target.family, self.model(network), "TFLITE", target.system, target.options)
        except RuntimeError as error:
            raise MeasurementError(f"Vela does not compile the network: {error}") from None
        table = compiled.opt_database.tables["perf"]
        rows = [dict(zip(table.header, row, strict=True)) for row in table.data]
        if left := [row["name"] for row in rows if row["operator"] == _ON_THE_CPU]:
            owners = dict.fromkeys(map(owner, left))
            named = ", ".join("a conversion" if n is None else str(network.nodes[n].operator) for n in owners)
            raise MeasurementError(f"Vela leaves to the CPU, whose time it does not know: {named}")
        times = charge((owner(row["name"]), [target.milliseconds(int(row["op_cycles"]))]) for row in rows)
        return _Estimate(target.milliseconds(compiled.perf_report.totalCycles), times)

    def hardware(self) -> str:
        target = self._target
        return f"Arm Ethos-{self.device.upper()} at {target.mhz:g} MHz, {target.system_config}, {target.memory_mode}"

    def clock_mhz(self) -> float:
        return self._target.mhz


@dataclass(frozen=True)
class _Target:
    """What Vela compiles for, as its command line would by default.

    Attributes:
        family: The NPU, as the compiler's core calls it.
        system, options: The core's configuration files.
        system_config, memory_mode: Names of the configurations that are in them.
        mhz: The NPU's clock.
    """

    family: str
    system: str
    options: str
    system_config: str
    memory_mode: str
    mhz: float

    def milliseconds(self, cycles: int) -> float:
        return cycles / self.mhz / 1e3


@lru_cache
def _target(device: str) -> _Target:
    from ethosu.vela.architecture_features import ArchitectureFeatures

    family = device.partition("-")[0]
    with contextlib.redirect_stdout(io.StringIO()):  # it warns that these are its defaults
        default = ArchitectureFeatures.DEFAULT_CONFIG
        made = ArchitectureFeatures(
            None, f"ethos-{device}", default, default, ArchitectureFeatures.MAX_BLOCKDEP, False, None
        )
    system = (
        f"[architecture]\nmacs={made.num_macs_per_cycle}\ncores={made.ncores}\n"
        f"[vela]\nsystem_config_name={made.system_config}\nmemory_mode_name={made.memory_mode}\n"
    ) + "".join(Path(file).read_text() for file in made.vela_config_files)
    options = (
        "[compiler]\nenable_db=true\noutput_format=TFLite\ncop_format=COP1\n"
        f"[scheduler]\noptimize=Performance\narena_size_limit={made.arena_cache_size}\ndisable_feature=\n"
        "cpu_tensor_alignment=16\ntensor_allocator=HillClimb\n[graph]\n"
    )
    return _Target(
        f"Ethos{family.upper()}", system, options, made.system_config, made.memory_mode, made.core_clock / 1e6
    )


class _Estimate(Program):
    def __init__(self, total: float, times: dict[int, list[float]]) -> None:
        self._total = total
        self._times = times

    def run(self) -> float:
        return self._total

    def node_times(self) -> dict[int, list[float]]:
        return self._times
