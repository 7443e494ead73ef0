"""The small interface behind which every runtime, device and precision stands."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spacecut.errors import InputError
from spacecut.operators import Network

__all__ = ["Platform", "PlatformName", "Program", "Status"]

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
    """

    available: bool
    version: str = ""
    devices: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    reason: str = ""

    @classmethod
    def missing(cls, package: str, error: ImportError) -> Status:
        """The status of a runtime whose package cannot be imported."""
        name = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not import ({error})"
        return cls(False, reason=f"the package {package} {name}; pip install {package}")


class Program(ABC):
    """A network loaded on a platform, ready to run again and again on the same input."""

    @abstractmethod
    def run(self) -> None:
        """Run the network once and wait for the result."""

    def mark(self) -> None:
        """Begin the runs that :meth:`node_times` tells of. Called once, after the warm-up."""

    def node_times(self) -> dict[int, list[float]]:
        """Milliseconds spent in each node of the network since :meth:`mark`; ends the timing of nodes.

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
        InputError: The device or precision is not one that this runtime offers here.
    """

    runtime: ClassVar[str]
    tells_node_times: ClassVar[bool]
    """Whether programs loaded with ``nodes=True`` tell the time of each node inside the running network."""

    def __init__(self, name: PlatformName, threads: int = 1, batch: int = 1) -> None:
        status = self.status()
        self.name = name
        self.version = status.version
        self.threads = threads
        self.batch = batch
        self.device = _offered(name, "device", name.device, status.devices)
        self.precision = _offered(name, "precision", name.precision, status.precisions)

    @classmethod
    @abstractmethod
    def status(cls) -> Status:
        """Whether the runtime can run here, and with what."""

    @abstractmethod
    def load(self, network: Network, nodes: bool = False) -> Program:
        """Build a network and load it.

        Args:
            network: What to run.
            nodes: Prepare for :meth:`Program.node_times`; until that is called this may slow the network a little.
        """


def _offered(name: PlatformName, what: str, wanted: str | None, offered: Sequence[str]) -> str:
    if wanted is None:
        return offered[0]
    if wanted not in offered:
        raise InputError(f"platform {name}: no {what} {wanted!r} here; it offers {', '.join(offered)}")
    return wanted
