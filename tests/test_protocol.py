from __future__ import annotations

import time

import pytest

from spacecut.measure import Protocol
from spacecut.measure.protocol import time_program, timed_run
from spacecut.platforms import Program


class Steady(Program):
    """Counts its runs, and can be made to wait."""

    def __init__(self, seconds=0.0):
        self.runs, self.marked, self.seconds = 0, None, seconds

    def run(self):
        self.runs += 1
        time.sleep(self.seconds)

    def mark(self):
        self.marked = self.runs

    def node_times(self):
        return {0: [1.0] * (self.runs - self.marked)}


class Timed(Steady):
    """Has a clock of its own."""

    def run(self):
        super().run()
        return 0.5


def test_warm_up_is_not_timed_and_repeats_end_at_the_cap():
    program = Steady()
    samples = time_program(program, Protocol(warmup=2, least=3, most=5, spread=0.0, shortest=0.0), nodes=False)
    assert program.marked is None
    assert len(samples.total_ms) == 5
    assert not samples.watched_ms
    assert not samples.node_ms
    assert program.runs == 7


def test_a_clock_of_the_platforms_own_counts():
    assert time_program(Timed(), Protocol(warmup=0, least=3, most=3, shortest=0.0), nodes=False).total_ms == [0.5] * 3
    assert timed_run(Timed()) == 0.5
    assert 1.0 < timed_run(Steady(0.002)) < 1000.0


@pytest.mark.parametrize(("once", "marked"), [(False, 7), (True, 2)])
def test_the_whole_is_timed_before_its_nodes_unless_they_can_be_timed_but_once(once, marked):
    program = Steady()
    program.watched_once = once
    samples = time_program(program, Protocol(warmup=2, least=3, most=5, spread=0.0, shortest=0.0), nodes=True)
    assert program.marked == marked
    assert [len(samples.watched_ms), len(samples.node_ms[0]), len(samples.total_ms)] == [5, 5, 5]
    assert program.runs == 12


def test_where_timing_nodes_makes_no_difference_the_whole_is_not_run_again():
    program = Steady()
    program.watched_as_fast = True
    samples = time_program(program, Protocol(warmup=2, least=3, most=5, spread=0.0, shortest=0.0), nodes=True)
    assert samples.total_ms == samples.watched_ms
    assert program.runs == 7


def test_a_slow_program_ends_at_the_time_cap_after_one_run():
    samples = time_program(Steady(0.02), Protocol(warmup=0, least=50, most=50, seconds=0.001), nodes=False)
    assert len(samples.total_ms) == 1


def test_what_was_dear_to_load_is_run_longer():
    samples = time_program(
        Steady(), Protocol(warmup=0, least=1, most=1, seconds=1.0, shortest=0.0), nodes=False, loading=0.02
    )
    assert len(samples.total_ms) > 1


def test_a_small_program_is_run_for_a_while():
    samples = time_program(Steady(0.001), Protocol(warmup=0, least=1, most=1, seconds=1.0), nodes=False)
    assert sum(samples.total_ms) > 0.9 * 1e3 * Protocol().shortest  # the rest goes by between them


def test_repeats_end_once_enough_agree_with_the_fastest():
    samples = time_program(Steady(), Protocol(warmup=0, least=4, most=50, spread=1e6, shortest=0.0), nodes=False)
    assert len(samples.total_ms) == 4
