"""What every platform must do.

A package that brings a platform of its own runs this suite with pytest::

    from spacecut.testing import PlatformContract

    class TestMyRuntime(PlatformContract):
        platform_name = "my-runtime"

The name may go on with a device and a precision: each of them deserves a class of its own.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spacecut.errors import InputError, MeasurementError, PlatformUnavailable
from spacecut.measure import Protocol, Worker
from spacecut.operators import INPUT, ZERO, Network, Node, Operator
from spacecut.platforms import Platform, get_platform

__all__ = ["PlatformContract"]

_QUICK = Protocol(warmup=1, least=3, most=3, seconds=1.0, shortest=0.0)

_EVERY_KIND = (
    Operator("conv2d", 8, 14, 14, 12, kernel=3, stride=2, activation="relu"),
    Operator("conv2d", 8, 14, 14, 16, kernel=1, groups=2, activation="relu6"),
    Operator("depthwise_conv2d", 10, 13, 13, 10, kernel=5, stride=2, activation="hardswish"),
    Operator("linear", 20, 1, 1, 7),
    Operator("max_pool2d", 6, 14, 14, 6, kernel=3, stride=2),
    Operator("avg_pool2d", 6, 14, 14, 6, kernel=3),
    Operator("global_avg_pool", 6, 7, 7, 6),
    Operator("activation", 6, 14, 14, 6, activation="swish"),
    Operator("squeeze_excite", 16, 7, 7, 16, activation="hardsigmoid", reduced=4),
    Operator("add", 6, 14, 14, 6, inputs=2),
)


def _residual() -> Network:
    """A small network with a residual sum, a constant of zeros and a classifier."""
    wide = Operator("conv2d", 8, 14, 14, 8, kernel=3, activation="relu")
    nodes = (
        Node(wide, (INPUT,)),
        Node(wide, (0,)),
        Node(Operator("add", 8, 14, 14, 8, inputs=3), (0, 1, ZERO)),
        Node(Operator("global_avg_pool", 8, 14, 14, 8), (2,)),
        Node(Operator("linear", 8, 1, 1, 5), (3,)),
    )
    return Network((8, 14, 14), nodes, 4)


class PlatformContract:
    """Subclass it with a ``platform_name``; pytest collects the rest."""

    platform_name: str

    @pytest.fixture()
    def platform(self) -> Platform:
        """The platform under test; the test is skipped with the reason where it cannot run."""
        try:
            return get_platform(self.platform_name)
        except PlatformUnavailable as error:
            pytest.skip(str(error))

    def test_status_tells_version_device_and_precision(self, platform: Platform) -> None:
        """What is available says what it is."""
        status = platform.status()
        assert status.available
        assert status.version
        assert status.devices
        assert status.precisions
        assert not status.reason
        assert platform.device == (platform.name.device or status.devices[0])
        assert platform.precision == (platform.name.precision or status.precisions[0])
        assert not set(status.lacking) & {*status.devices, *status.precisions}

    def test_an_estimate_says_so(self, platform: Platform) -> None:
        """Where nothing is really run, the status says it, and names the hardware that is meant."""
        if platform.estimated_by:
            assert platform.status().note
            assert platform.hardware()

    def test_refuses_what_it_does_not_offer(self, platform: Platform) -> None:
        """An unknown device or precision is an input error."""
        for name in (f"{platform.name.runtime}/no-such-device", f"{platform.name.runtime}:nosuch"):
            with pytest.raises(InputError):
                get_platform(name)
        for arguments in ({"threads": 0}, {"batch": 0}):
            with pytest.raises(InputError):
                get_platform(self.platform_name, **arguments)

    @pytest.mark.parametrize("operator", _EVERY_KIND, ids=lambda operator: operator.kind)
    def test_runs_every_kind_of_operator(self, platform: Platform, operator: Operator) -> None:
        """Each kind loads and runs alone, or the platform names what it has no kernel for."""
        try:
            program = platform.load(Network.single(operator))
        except MeasurementError as error:
            assert str(operator) in str(error)
            return
        try:
            told = program.run()
            assert told is None or told > 0
        finally:
            program.close()

    def test_batches_and_threads(self, platform: Platform) -> None:
        """Other numbers of inputs and threads load and run, or are refused."""
        try:
            other = get_platform(self.platform_name, threads=2, batch=3)
        except InputError:
            return
        program = other.load(_residual())
        try:
            program.run()
        finally:
            program.close()

    def test_node_times(self, platform: Platform) -> None:
        """Node times, where they are told, are of this network's nodes, one a run or a mean, and not negative."""
        if not platform.tells_node_times:
            return
        network = _residual()
        program = platform.load(network, nodes=True)
        try:
            for runs in (4,) if program.watched_once else (4, 2):
                program.run()
                program.mark()
                for _ in range(runs):
                    program.run()
                times = program.node_times()
                assert times
                assert set(times) <= set(range(len(network.nodes)))
                assert {len(values) for values in times.values()} in ({runs}, {1})
                assert all(value >= 0 for values in times.values() for value in values)
                assert sum(values[0] for values in times.values()) > 0
        finally:
            program.close()

    def test_mixes_precisions_or_says_that_it_does_not(self, platform: Platform) -> None:
        """A network with an operator in int8 of its own runs with node times, or is refused before it is loaded."""
        nodes = [replace(node, operator=replace(node.operator, precision="int8")) for node in _residual().nodes[1:3]]
        network = replace(_residual(), nodes=(_residual().nodes[0], *nodes, *_residual().nodes[3:]))
        try:
            platform.check_mixing()
        except (InputError, PlatformUnavailable) as refused:
            with pytest.raises(type(refused)):
                platform.prepare(network)
            return
        program = platform.load(network, nodes=platform.tells_node_times)
        try:
            program.run()
        finally:
            program.close()

    def test_measures_in_a_worker(self, platform: Platform) -> None:
        """The worker process gives samples in milliseconds, and plain data that JSON holds."""
        with Worker(self.platform_name) as worker:
            samples = worker.measure(_residual(), platform.tells_node_times, _QUICK)
        assert len(samples.total_ms) == 1 if platform.deterministic else len(samples.total_ms) >= _QUICK.least
        assert all(value > 0 for value in samples.total_ms)
        assert bool(samples.node_ms) == platform.tells_node_times
        json.dumps(samples.total_ms, allow_nan=False)

    def test_measures_a_model_that_another_worker_made(self, platform: Platform, tmp_path: Path) -> None:
        """What is slow to make can be made while nothing is measured; what is done with is removed."""
        if not platform.slow_to_build(_residual()):
            return
        folder = tmp_path / "made"
        with Worker(self.platform_name) as maker, Worker(self.platform_name) as worker:
            maker.make(_residual(), folder)
            samples = worker.measure(_residual(), platform.tells_node_times, _QUICK, folder)
        assert all(value > 0 for value in samples.total_ms)
        assert bool(samples.node_ms) == platform.tells_node_times
        assert not folder.exists()

    def test_a_deterministic_platform_repeats_itself(self, platform: Platform) -> None:
        """What declares that one run tells all gives the same milliseconds again."""
        if not platform.deterministic:
            return
        with Worker(self.platform_name) as one, Worker(self.platform_name) as other:
            first, second = (worker.measure(_residual(), False, _QUICK) for worker in (one, other))
        assert first.total_ms == second.total_ms
