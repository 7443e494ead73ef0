"""The small interface behind which every runtime, device and precision stands."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spacecut.errors import InputError, PlatformUnavailable
from spacecut.operators import Network

__all__ = ["Platform", "PlatformName", "Program", "Status", "not_importable"]

_KEPT = 512  # models
_FILE = "model"

_NAME = re.compile(r"(?P<runtime>[a-z][a-z0-9-]*)(/(?P<device>[a-z0-9.-]+))?(:(?P<precision>[a-z0-9]+))?")


@dataclass(frozen=True)
class PlatformName:
    """``RUNTIME[/DEVICE][:PRECISION]``, taken apart; the default device and precision are left out."""

    runtime: str
    device: str | None = None
    precision: str | None = None

    @classmethod
    def parse(cls, text: str) -> PlatformName:
        """Read a platform name.

        Raises:
            InputError: It has another form.
        """
        match = _NAME.fullmatch(text)
        if match is None:
            raise InputError(f"{text!r} is no platform name; write RUNTIME[/DEVICE][:PRECISION], e.g. openvino:fp32")
        return cls(match["runtime"], match["device"], match["precision"])

    def __str__(self) -> str:
        device = f"/{self.device}" if self.device else ""
        precision = f":{self.precision}" if self.precision else ""
        return f"{self.runtime}{device}{precision}"


@dataclass(frozen=True)
class Status:
    """Whether a runtime can run here.

    Attributes:
        available: It can.
        version: Of the runtime; empty where it is missing.
        devices: Devices that it can run on here, the default first.
        precisions: Precisions that it can run here, the default first.
        reason: Why it cannot run, and what to install; empty where it can.
        lacking: Devices and precisions that the runtime knows but cannot use here, each with the reason.
        note: What a reader of its figures has to know.
    """

    available: bool
    version: str = ""
    devices: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    reason: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def missing(cls, package: str, error: ImportError) -> Status:
        """The status of a runtime whose package cannot be imported."""
        return cls(False, reason=not_importable(package, error))


def not_importable(package: str, error: ImportError) -> str:
    """Why a package cannot be used, and the command that mends it."""
    name = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not import ({error})"
    return f"the package {package} {name}; pip install {package}"


class Program(ABC):
    """A network loaded on a platform, ready to run again and again on the same input."""

    watched_once: bool = False
    """Whether its nodes can be timed but once, so that it has to be loaded anew for that."""
    watched_as_fast: bool = False
    """Whether it takes the same while its nodes are timed, so that it need not be run again without that."""

    @abstractmethod
    def run(self) -> float | None:
        """Run the network once and wait for the result.

        Returns:
            Milliseconds by the platform's own clock, where it has a better one than its caller; else None.
        """

    def mark(self) -> None:
        """Begin the runs that :meth:`node_times` tells of. Called after a warm-up."""

    def node_times(self) -> dict[int, list[float]]:
        """Milliseconds spent in each node of the network since :meth:`mark`; ends their timing until the next mark.

        Keys are node positions. Each list holds one value a run, or fewer where the runtime only tells means. Work
        that the runtime inserted between operators (layout conversions) is charged to the operator before it; what
        converts the network's own input and output is left out.
        """
        raise NotImplementedError(f"{type(self).__name__} tells no node times")

    def close(self) -> None:
        """Free what the program holds."""


class Platform(ABC):
    """A runtime on a device with a precision.

    Args:
        name: The parsed name; its device and precision are checked against :meth:`status`.
        threads: Threads that one inference may use.
        batch: Inputs in one inference.

    Raises:
        InputError: The device or precision is not one that this runtime offers, or it takes no such threads or batch.
        PlatformUnavailable: The runtime offers the device or precision, but not here.
    """

    runtime: ClassVar[str]
    tells_node_times: bool
    """Whether programs loaded with ``nodes=True`` tell the time of each node inside the running network."""
    deterministic: bool = False
    """Whether a network takes the same milliseconds at every run, so that one run tells all."""
    estimated_by: str = ""
    """What estimates the milliseconds, where no network is really run; empty where they are measured."""
    quantiser: str = ""
    """The package that makes int8 models, where that is not the runtime's own; it is part of their version."""
    mixes: bool = False
    """Whether some operators of a network may be in int8 while the others are in the platform's own fp32."""

    def __init__(self, name: PlatformName, threads: int = 1, batch: int = 1) -> None:
        status = self.status()
        self.name = name
        self.version = status.version
        self.threads = threads
        self.batch = batch
        self.device = _offered(name, "device", name.device, status.devices, status.lacking)
        self.precision = _offered(name, "precision", name.precision, status.precisions, status.lacking)
        if self.precision == "int8" and self.quantiser:
            self.version += f" with {self.quantiser} {metadata.version(self.quantiser)}"
        self._lacking = status.lacking
        self._kept: dict[Network, Any] = {}

    @classmethod
    @abstractmethod
    def status(cls) -> Status:
        """Whether the runtime can run here, and with what."""

    def build(self, network: Network) -> Any:
        """The network as a model in the runtime's own form, for platforms whose :meth:`load` asks for one."""
        return network

    def model(self, network: Network) -> Any:
        """What :meth:`build` makes; the latest ones that are slow to make are kept for further runs.

        Raises:
            InputError, PlatformUnavailable: As :meth:`check`.
        """
        self.check(network)
        if not self.slow_to_build(network):
            return self.build(network)
        if network not in self._kept:
            self.keep(network, self.build(network))
        return self._kept[network]

    def keep(self, network: Network, model: Any) -> None:
        """Take a network's model for further runs, as :meth:`read` gave it."""
        self._kept[network] = model
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]

    def prepare(self, network: Network) -> None:
        """Make beforehand what is slow to make and need not be made again for further runs; called before a load.

        Raises:
            InputError, PlatformUnavailable: As :meth:`check`.
        """
        if self.slow_to_build(network):
            self.model(network)
        else:
            self.check(network)

    def slow_to_build(self, network: Network) -> bool:
        """Whether a network's model takes so long to make that it is made but once: quantising is slow."""
        return bool(self.in_int8(network)) and not self.deterministic

    def write(self, model: Any, folder: Path) -> None:
        """Write what :meth:`build` made, bytes unless a platform says otherwise, for :meth:`read` in another process.

        Args:
            model: The model.
            folder: An empty one.
        """
        (folder / _FILE).write_bytes(model)

    def read(self, folder: Path) -> Any:
        """The model that :meth:`write` wrote."""
        return (folder / _FILE).read_bytes()

    def check(self, network: Network) -> None:
        """Refuse a network with operators in a precision of their own where they cannot be.

        Raises:
            InputError: This platform does not mix precisions.
            PlatformUnavailable: It does, but something is missing here.
        """
        if any(node.operator.precision == "int8" for node in network.nodes):
            self.check_mixing()

    def check_mixing(self) -> None:
        """Refuse to mix precisions, on a platform that does not.

        Raises:
            InputError: It does not.
            PlatformUnavailable: It does, but something is missing here.
        """
        if not self.mixes or self.precision != "fp32":
            raise InputError(
                f"platform {self.name} runs all operators in one precision; take one that mixes them, such as "
                "onnxruntime or openvino in fp32"
            )
        if reason := self._lacking.get("int8"):
            raise PlatformUnavailable(f"platform {self.name} cannot mix precisions here: {reason}")

    def in_int8(self, network: Network) -> frozenset[int]:
        """Which nodes of a network are to be in int8."""
        whole = self.precision == "int8"
        return frozenset(n for n, node in enumerate(network.nodes) if whole or node.operator.precision == "int8")

    def mixed(self, network: Network) -> bool:
        """Whether some nodes of a network are to be in int8 and others not."""
        return 0 < len(self.in_int8(network)) < len(network.nodes)

    @abstractmethod
    def load(self, network: Network, nodes: bool = False) -> Program:
        """Build a network and load it.

        Args:
            network: What to run.
            nodes: Prepare for :meth:`Program.node_times`. Only while nodes are timed, or may still be where they can be
                but once, may this slow the network.
        """

    def compute(self, network: Network, inputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        """What a network gives, as it is computed in this precision by this runtime.

        Args:
            network: With its weights.
            inputs: ``[inputs, channels, height, width]``, a multiple of the batch.
            calibration: More inputs like them, that a quantiser takes ranges from.

        Returns:
            ``[inputs, channels, height, width]`` in float32.
        """
        raise NotImplementedError(f"{type(self).__name__} tells no outputs")

    def batches(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Inputs as this platform takes them at a time."""
        return list(np.ascontiguousarray(inputs, dtype=np.float32).reshape(-1, self.batch, *inputs.shape[1:]))

    def hardware(self) -> str:
        """One line on what runs the networks; empty where it is this machine's processor."""
        return ""

    def clock_mhz(self) -> float:
        """The clock that the hardware runs at now; 0 where the platform does not tell."""
        return 0.0


def _offered(
    name: PlatformName, what: str, wanted: str | None, offered: Sequence[str], lacking: Mapping[str, str]
) -> str:
    if wanted is None:
        return offered[0]
    if wanted in lacking:
        raise PlatformUnavailable(f"platform {name} cannot run here: {lacking[wanted]}")
    if wanted not in offered:
        raise InputError(f"platform {name}: no {what} {wanted!r} here; it offers {', '.join(offered)}")
    return wanted
