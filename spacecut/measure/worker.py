"""A process of its own that measures: a runtime that crashes or hangs takes it down, and nothing else.

The two sides speak one JSON object a line. The worker is pinned to as many cores as the platform has threads. Its
memory lies where that of every other worker does. Memory that is freed stays with it: whether a runtime that allocates
in every inference, as PyTorch does, has to have its pages made anew every time would else depend on all that was run
before.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from spacecut.errors import MeasurementError, SpacecutError
from spacecut.measure.addresses import fixed_addresses
from spacecut.measure.programs import Programs
from spacecut.measure.protocol import ONCE, Protocol, Samples, time_program, timed_run
from spacecut.operators import Network, Operator
from spacecut.platforms import Platform, Program, get_platform

__all__ = ["Worker"]

_STARTUP_SECONDS = 120.0
_LAST_WORDS = 300
_KEPT = str(1 << 30)
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": _KEPT, "MALLOC_TRIM_THRESHOLD_": _KEPT}
"""For the GNU C library: from how many bytes on it maps memory by itself, and gives back what is free."""


class Worker:
    """Runs networks on one platform, or makes their models, in another process, which is started anew after a crash.

    Args:
        platform: Platform name.
        threads: Threads of one inference.
        batch: Inputs in one inference.
    """

    def __init__(self, platform: str, threads: int = 1, batch: int = 1) -> None:
        self.platform = platform
        self._setup = {"platform": platform, "threads": threads, "batch": batch}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, platform: Platform) -> Worker:
        """A worker on this platform."""
        return cls(str(platform.name), platform.threads, platform.batch)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def measure(self, network: Network, nodes: bool, protocol: Protocol, made: Path | None = None) -> Samples:
        """Load and time a network.

        Args:
            network: What to run.
            nodes: Time each node too.
            protocol: The rules.
            made: The folder that :meth:`make` wrote the network's model to, in another worker.

        Raises:
            MeasurementError: It could not be built, loaded or run, the worker died, or it took too long.
        """
        request = {"network": network.key, "nodes": nodes, "protocol": asdict(protocol), "made": made and str(made)}
        start = time.perf_counter()
        self._start()
        starting = time.perf_counter() - start
        answer = self._answer(request, protocol.timeout)
        nodes_ms = {int(node): times for node, times in answer["node_ms"].items()}
        return Samples(**{**answer, "node_ms": nodes_ms, "preparing": starting + answer["preparing"]})

    def make(self, network: Network, folder: Path) -> None:
        """Make a network's model, and write it to a new folder.

        Raises:
            MeasurementError: It could not be built, the worker died, or it took too long.
        """
        self._start()
        self._answer({"network": network.key, "folder": str(folder)}, Protocol().timeout)

    def _answer(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        answer = self._ask(request, timeout)
        if "error" in answer:
            raise MeasurementError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def _start(self) -> None:
        """Start the process, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        environment = {**_MEMORY, **os.environ, "OMP_NUM_THREADS": str(self._setup["threads"]), "PYTHONUNBUFFERED": "1"}
        with fixed_addresses():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spacecut.measure.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        answer = self._ask(self._setup, _STARTUP_SECONDS)
        if "error" in answer:
            self.close()
            raise MeasurementError(f"the worker did not start: {answer['error']}")

    def _ask(self, message: dict[str, Any], timeout: float) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._death(process)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self.close()
                return {"error": f"no answer within {timeout:g} s; the worker was ended"}
        line = process.stdout.readline()
        if not line:
            return self._death(process)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _death(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        status = process.wait()
        self.close()
        return {"error": f"the worker died ({f'signal {-status}' if status < 0 else f'exit status {status}'})"}


def _pin(threads: int) -> None:
    """Keep to the last cores that this process may use: the first one serves most interrupts."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[-threads:])


class _Reference:
    """A small network that is timed beside every run, to tell whether the machine is disturbed."""

    network = Network.single(Operator("conv2d", 64, 28, 28, 64, kernel=3, activation="relu"))

    def __init__(self, platform: Platform) -> None:
        self._program: Program | None = None
        if platform.deterministic:
            return
        try:
            self._program = platform.load(self.network)
            self._before = self._glance()
        except Exception:  # a platform that cannot run it is measured without
            self._program = None

    def _glance(self) -> float:
        assert self._program is not None
        return min(timed_run(self._program) for _ in range(2))

    def beside(self) -> float:
        """Milliseconds: the slower of a glance now and the one before."""
        if self._program is None:
            return 0.0
        before, self._before = self._before, self._glance()
        return max(before, self._before)


class _Measuring:
    """What a worker that measures has from the first time on."""

    def __init__(self, platform: Platform, threads: int) -> None:
        if not platform.deterministic:  # nothing else on the core changes what it says
            _pin(threads)
        self._platform = platform
        self._reference = _Reference(platform)
        self._programs = Programs(platform)

    def measure(self, network: Network, nodes: bool, protocol: Protocol, made: Path | None, start: float) -> Samples:
        """Prepare, load and time a network; what was done since ``start``, by the clock, is prepared too."""
        platform = self._platform
        if made is not None:
            platform.keep(network, platform.read(made))
            shutil.rmtree(made)
        if not self._programs.hold(network, nodes):
            platform.prepare(network)
        prepared = time.perf_counter()
        with self._programs.opened(network, nodes) as (program, kept):
            loaded = time.perf_counter()
            if platform.deterministic:
                samples = time_program(program, ONCE, nodes)
            else:
                samples = time_program(program, protocol, nodes, 0.0 if kept else loaded - prepared)
            clock = platform.clock_mhz()
        preparing = (loaded if kept else prepared) - start
        return replace(samples, reference_ms=self._reference.beside(), clock_mhz=clock, preparing=preparing)


def _serve() -> None:
    # What runtimes print must not mix with the answers: those get the real standard output to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    setup = json.loads(sys.stdin.readline())
    try:
        platform = get_platform(setup["platform"], setup["threads"], setup["batch"])
    except (SpacecutError, OSError) as error:
        answer({"error": str(error)})
        return
    measuring: _Measuring | None = None
    answer({})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            network = Network.parse(request["network"])
            if "folder" in request:
                _make(platform, network, Path(request["folder"]))
                answer({})
            else:
                start = time.perf_counter()
                measuring = measuring or _Measuring(platform, setup["threads"])
                protocol, made = Protocol(**request["protocol"]), request["made"] and Path(request["made"])
                answer(asdict(measuring.measure(network, request["nodes"], protocol, made, start)))
        except Exception as error:  # whatever a runtime raises is a failed measurement, to be recorded
            answer({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:_LAST_WORDS]}"})


def _make(platform: Platform, network: Network, folder: Path) -> None:
    platform.check(network)
    model = platform.build(network)
    folder.mkdir()
    platform.write(model, folder)


if __name__ == "__main__":
    _serve()
