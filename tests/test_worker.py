"""The process that measures: what it survives, and what it sees to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spacecut.errors import MeasurementError
from spacecut.measure import Protocol, Worker
from spacecut.operators import Network, Node, Operator

QUICK = Protocol(warmup=1, least=3, most=3, seconds=1.0, timeout=60.0, shortest=0.0)
NETWORK = Network.single(Operator("conv2d", 8, 14, 14, 12, kernel=3, activation="relu"))


def test_worker_reports_a_failed_model_and_goes_on():
    broken = Network((8, 14, 14), NETWORK.nodes, 0)
    impossible = Network.single(Operator("conv2d", 8, 14, 14, 12, kernel=3, groups=5))
    with Worker("onnxruntime") as worker:
        with pytest.raises(MeasurementError):
            worker.measure(impossible, False, QUICK)
        assert len(worker.measure(broken, True, QUICK).total_ms) >= 3


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="page faults are read from /proc")
def test_memory_that_an_inference_frees_serves_the_next_one():
    wide = Operator("conv2d", 32, 112, 112, 192)
    operators = (Operator("conv2d", 3, 224, 224, 32, kernel=3, stride=2), wide, Operator("conv2d", 192, 112, 112, 24))
    nodes = tuple(Node(operator, (position - 1,)) for position, operator in enumerate(operators))
    network = Network(operators[0].input_shape, nodes, output=2)
    with Worker("torch") as worker:
        for _ in range(2):
            worker.measure(network, False, Protocol())
        before = page_faults(worker)
        assert worker.measure(network, False, Protocol()).total_ms
        # Were it given back, every inference would have pages made for the widest value.
        assert page_faults(worker) - before < np.prod(wide.output_shape) * 4 / os.sysconf("SC_PAGE_SIZE")


def page_faults(worker: Worker) -> int:
    """How many a worker's process had, without those that read a disk."""
    status = Path(f"/proc/{worker._process.pid}/stat").read_text()
    return int(status.rpartition(")")[2].split()[7])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells where a process's memory lies")
def test_the_memory_of_every_worker_lies_at_the_same_addresses():
    if subprocess.run(["setarch", "--addr-no-randomize", "true"], check=False).returncode:
        pytest.skip("this sandbox places every process at random")
    before = Path("/proc/self/personality").read_text()
    with Worker("onnxruntime") as one, Worker("onnxruntime") as other:
        for worker in (one, other):
            worker.measure(NETWORK, False, QUICK)
        assert stack_end(one._process.pid) == stack_end(other._process.pid)
    assert Path("/proc/self/personality").read_text() == before


def stack_end(process: int) -> str:
    lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    return next(line for line in lines if line.endswith("[stack]")).split()[0].split("-")[1]


def test_worker_that_dies_or_hangs_is_an_error_and_the_next_call_starts_another():
    with Worker("onnxruntime") as worker:
        worker.measure(NETWORK, False, QUICK)
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
        worker.measure(NETWORK, False, QUICK)
        os.kill(worker._process.pid, signal.SIGSTOP)
        with pytest.raises(MeasurementError, match="no answer within"):
            worker.measure(NETWORK, False, replace(QUICK, timeout=0.2))
        worker.measure(NETWORK, False, QUICK)
