"""What whole networks tell beyond their operators, on a SIMULATED platform whose true costs are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from models import space_of
from simulated import (
    OVERHEAD,
    SCALE,
    TRAINED,
    faster,
    runs_beside_operators_alone,
    simulated_campaign,
    simulated_ms,
    simulated_run,
    simulated_space,
)

from spacecut.latency.correction import held_out_error
from spacecut.latency.estimator import estimate
from spacecut.latency.evidence import gather
from spacecut.latency.model import fit_latency_model
from spacecut.measure import Run, Task
from spacecut.measure.plan import covering_sample
from spacecut.operators import Network, Node, Operator, expand
from spacecut.operators.operator import encode
from spacecut.space import load_space


def test_the_error_told_is_that_on_networks_never_seen() -> None:
    """Also where every operator is in one network alone, whose node times give that network's latency away."""
    workload = expand(simulated_space())
    generator = np.random.default_rng(5)
    odd: dict[Operator, float] = {}  # what no form of a family can tell

    def run(row: np.ndarray) -> Run:
        network = workload.network(row)
        times = []
        for node in network.nodes:
            factor = odd.setdefault(node.operator, float(np.exp(generator.normal(0, 0.1))))
            times.append(simulated_ms(node.operator) * factor)
        total = (OVERHEAD + SCALE * sum(times),) * 3
        return Run(
            Task(network.key, True, 0),
            "2025-01-01T00:00:00Z",
            1.0,
            total,
            {n: (t,) * 3 for n, t in enumerate(times)},
            total,
        )

    evidence = gather([run(row) for row in covering_sample(workload.space, 80)])
    model = fit_latency_model(workload, evidence)
    fresh = covering_sample(workload.space, 300, seed=7)
    truth = np.asarray([run(row).low_ms for row in fresh])
    error = np.sqrt(np.mean(np.square(model.predict(fresh) / truth - 1)))
    assert 0.02 < error < 0.1
    assert model.correction.error == pytest.approx(error, rel=0.4)
    assert held_out_error(evidence) == pytest.approx(error, rel=0.4)


def test_whole_networks_tell_what_their_operators_do_not() -> None:
    workload, runs = simulated_campaign()
    model = fit_latency_model(workload, gather(runs))
    assert model.correction.networks == TRAINED
    assert model.correction.error < 0.02
    rows = workload.space.sample(100, seed=5)
    networks = [workload.network(row) for row in rows]
    truth = [OVERHEAD + SCALE * sum(simulated_ms(node.operator) for node in network.nodes) for network in networks]
    error = np.abs(model.predict(rows) / truth - 1)
    assert np.quantile(error, 0.95) < 0.03
    alone = sum(estimate(gather(runs), encode([node.operator for node in networks[0].nodes])).mean)
    assert alone < truth[0] / 1.05  # which is where the correction starts


@pytest.mark.parametrize("seed", range(3))
def test_the_last_bit_of_what_was_measured_moves_nothing_but_last_bits(seed: int) -> None:
    """Or a certificate would not hold on another processor, which rounds otherwise."""
    workload, runs = simulated_campaign()
    evidence, generator = gather(runs), np.random.default_rng(seed)

    def moved(ms: np.ndarray) -> np.ndarray:
        return np.asarray(np.nextafter(ms, generator.choice([0.0, np.inf], len(ms))))

    totals = dict(zip(evidence.totals, moved(np.asarray([*evidence.totals.values()])).tolist(), strict=True))
    other = dataclasses.replace(evidence, cost=moved(evidence.cost), totals=totals)
    costs, again = (fit_latency_model(workload, each).costs for each in (evidence, other))
    np.testing.assert_allclose(again.mean, costs.mean, rtol=1e-10)
    np.testing.assert_allclose(again.error, costs.error, rtol=1e-9)


def test_operators_measured_alone_are_corrected_by_whole_networks() -> None:
    """Alone each takes a call of its own, and nine tenths of its time, the larger ones of a family even less."""
    workload, _ = simulated_campaign()
    generator = np.random.default_rng(3)
    networks = [workload.network(row) for row in covering_sample(workload.space, 80)]
    runs = runs_beside_operators_alone(networks, lambda one: 0.02 + 0.9 * simulated_ms(one) ** 0.95, generator)
    model = fit_latency_model(workload, gather(runs))
    held = np.concatenate([workload.space.sample(50, seed=5), np.full((1, 4), 0), np.full((1, 4), 88)])
    truth = [
        OVERHEAD + SCALE * sum(simulated_ms(node.operator) for node in workload.network(row).nodes) for row in held
    ]
    assert np.quantile(np.abs(model.predict(held) / truth - 1), 0.95) < 0.04
    low, high = model.interval(held)
    measured = 1.0025 * np.asarray(truth)  # a low quantile of the disturbances remains
    assert np.mean((low <= measured) & (measured <= high)) > 0.85


def test_what_operators_alone_are_laid_out_for_is_told_from_their_cost() -> None:
    """Alone, values are laid out in blocks of 16 and back for the caller; within a network they stay so."""
    workload = expand(simulated_space())
    networks = [workload.network(row) for row in covering_sample(workload.space, 80)]

    def alone(operator: Operator) -> float:
        laid_out = sum(channels for channels in (operator.in_channels, operator.out_channels) if channels % 16 == 0)
        return simulated_ms(operator) + 2e-5 * operator.height * operator.width * laid_out

    runs = runs_beside_operators_alone(networks, alone, np.random.default_rng(0), noise=0.0)
    model = fit_latency_model(workload, gather(runs))
    held = workload.space.sample(60, seed=5)
    truth = [OVERHEAD + SCALE * sum(map(simulated_ms, workload.network(row).operators)) for row in held]
    assert np.median(np.abs(model.predict(held) / truth - 1)) < 0.005


def test_what_networks_tell_of_an_operator_is_in_its_cost() -> None:
    """Alone, each operator is seen 5 % off; together they are seen as they are."""
    workload = expand(simulated_space(last=32, step=8))
    generator = np.random.default_rng(0)
    networks = [workload.network(row) for row in covering_sample(workload.space, 120)]

    def alone(operator: Operator) -> float:
        return float(simulated_ms(operator) * np.exp(0.05 * generator.normal()))

    runs = runs_beside_operators_alone(networks, alone, generator, noise=0.0)
    model = fit_latency_model(workload, gather(runs))
    held = workload.space.sample(60, seed=5)
    truth = [OVERHEAD + SCALE * sum(map(simulated_ms, workload.network(row).operators)) for row in held]
    assert np.median(np.abs(model.predict(held) / truth - 1)) < 0.002


def test_what_networks_tell_of_an_operator_holds_whatever_is_around_it() -> None:
    """1x1 convolutions, in any of many contexts, add twice to a network what is told of them node by node."""
    workload = expand(load_space("nasbench201/cell"))
    generator = np.random.default_rng(0)

    def truth(network: Network) -> float:
        pointwise = sum(operator.kind == "conv2d" and operator.kernel == 1 for operator in network.operators)
        return 0.006 * (len(network.nodes) - len(network.twins) + pointwise)

    def run(network: Network) -> Run:
        told = {place: (0.006,) * 3 for place in range(len(network.nodes)) if place not in network.twins}
        total = (truth(network) * (1 + 0.02 * generator.normal()),) * 3
        return Run(Task(network.key, True, 0), "", 1.0, total, told, total)

    seen, held = (covering_sample(workload.space, 60, seed=seed) for seed in (0, 7))
    model = fit_latency_model(workload, gather([run(workload.network(row)) for row in seen]))
    error = model.predict(held) / [truth(workload.network(row)) for row in held] - 1
    assert np.mean(np.abs(error)) < 0.01


def test_how_far_runs_of_a_network_lie_apart_is_in_the_interval() -> None:
    """On a SIMULATED machine that is faster in one pass than in another, by 1 % in standard deviation."""
    workload, _ = simulated_campaign()
    generator = np.random.default_rng(4)
    networks = [workload.network(row) for row in covering_sample(workload.space, 80)]
    speeds = np.exp(0.01 * generator.normal(size=5))
    runs = [
        faster(simulated_run(network, True, generator), speed, repeat)
        for repeat, speed in enumerate(speeds)
        for network in networks
    ]
    evidence = gather(runs)
    assert evidence.repeat_error == pytest.approx(np.std(speeds, ddof=1), rel=0.5)
    assert gather(runs, deterministic=True).repeat_error == gather(runs[: len(networks)]).repeat_error == 0
    disturbed = [faster(run, 3.0, 5 + number) for number, run in enumerate(runs[:20])]
    assert gather(runs + disturbed).repeat_error == pytest.approx(evidence.repeat_error, rel=0.2)
    model = fit_latency_model(workload, evidence)
    calm = fit_latency_model(workload, dataclasses.replace(evidence, repeat_error=0.0))
    held = workload.space.sample(50, seed=5)
    np.testing.assert_array_equal(model.predict(held), calm.predict(held))
    halves = [(np.subtract(*fitted.interval(held)) / 2 / 1.6449) ** 2 for fitted in (model, calm)]
    expected = np.square(evidence.repeat_error * model.predict(held))
    np.testing.assert_allclose(halves[0] - halves[1], expected, rtol=1e-3)


def test_an_interval_holds_as_many_runs_as_it_says_where_some_are_slow() -> None:
    """On a SIMULATED machine, of which one run in four is slower, by up to 15 %."""
    workload, _ = simulated_campaign()
    generator = np.random.default_rng(4)

    def run(network: Network, repeat: int) -> Run:
        slower = 0.15 * generator.random() * (generator.random() < 0.25)
        return faster(simulated_run(network, True, generator), 1 + slower, repeat)

    seen, held = ([workload.network(row) for row in covering_sample(workload.space, 60, seed=seed)] for seed in (0, 7))
    model = fit_latency_model(workload, gather([run(network, repeat) for repeat in range(4) for network in seen]))
    low, high = model.interval(covering_sample(workload.space, 60, seed=7))
    further = np.asarray([[run(network, 0).low_ms for network in held] for _ in range(10)])
    assert 0.88 < np.mean((low <= further) & (further <= high)) < 0.97


def chain_runs(totals: list[float]) -> list[Run]:
    """Chains of ever more operators of one millisecond, with given totals."""
    operator = Operator("conv2d", 4, 6, 6, 4)
    runs = []
    for length, total in enumerate(totals, start=1):
        key = Network((4, 6, 6), tuple(Node(operator, (place - 1,)) for place in range(length)), length - 1).key
        nodes = {place: (1.0,) * 3 for place in range(length)}
        runs.append(Run(Task(key, True, 0), "", 1.0, (total,) * 3, nodes, (total,) * 3))
    return runs


@pytest.mark.parametrize(
    ("totals", "error"),
    [
        ([0.5 + 2 * n for n in range(1, 11)], 0.05),
        ([0.8 * n for n in range(1, 11)], 0.05),
        ([5.0 - 0.01 * n for n in range(1, 11)], None),  # ever faster with more operators
        ([1.4, 2.4], 0.2),
        ([7.0], None),
    ],
)
def test_corrections_never_go_below_zero(totals: list[float], error: float | None) -> None:
    space = space_of({}, [{"conv2d": {"out_channels": 4, "kernel": 1}}])
    model = fit_latency_model(expand(space), gather(chain_runs(totals)))
    assert model.correction.overhead_ms >= 0
    assert model.costs.mean[0] > 0
    if error is not None:
        predicted = model.correction.overhead_ms + model.costs.mean[0] * np.arange(1, len(totals) + 1)
        np.testing.assert_allclose(predicted, totals, rtol=error)


def test_no_overhead_below_zero_makes_up_for_operators_held_at_their_least() -> None:
    """Depthwise convolutions seem to take time one by one, and networks with more of them are no slower."""
    plain, deep = Operator("conv2d", 4, 6, 6, 4), Operator("depthwise_conv2d", 4, 6, 6, 4, kernel=3)
    lengths, deeper = np.arange(8, 20), np.asarray([2, 3, 4] * 4)
    totals = lengths + 0.3
    runs = []
    for length, more, total in zip(lengths.tolist(), deeper.tolist(), totals.tolist(), strict=True):
        operators = [deep] * more + [plain] * length
        nodes = tuple(Node(operator, (place - 1,)) for place, operator in enumerate(operators))
        times = {place: (4.0 if operator == deep else 1.0,) * 3 for place, operator in enumerate(operators)}
        key = Network((4, 6, 6), nodes, len(nodes) - 1).key
        runs.append(Run(Task(key, True, 0), "", 1.0, (total,) * 3, times, (total,) * 3))
    space = space_of({}, [{"conv2d": {"out_channels": 4, "kernel": 1}}, {"depthwise_conv2d": {"kernel": 3}}])
    model = fit_latency_model(expand(space), gather(runs))
    cost = {operator.kind: mean for operator, mean in zip(model.workload.operators, model.costs.mean, strict=True)}
    predicted = model.correction.overhead_ms + cost["depthwise_conv2d"] * deeper + cost["conv2d"] * lengths
    np.testing.assert_allclose(predicted, totals, rtol=0.06)
