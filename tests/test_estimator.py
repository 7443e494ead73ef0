"""Operator costs recovered from the runs of a SIMULATED platform, whose true costs are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from simulated import simulated_campaign, simulated_ms

from spacecut.errors import InputError
from spacecut.latency.estimator import estimate, estimate_without
from spacecut.latency.evidence import gather
from spacecut.latency.model import fit_latency_model
from spacecut.measure import Run, Task
from spacecut.measure.plan import covering_sample
from spacecut.operators import Network, Operator, expand
from spacecut.operators.operator import encode


def test_costs_of_operators_never_seen_are_within_a_few_percent() -> None:
    workload, runs = simulated_campaign()
    evidence = gather(runs)
    costs = estimate(evidence, workload.rows)
    truth = np.asarray([simulated_ms(operator) for operator in workload.operators])
    seen = np.isin([str(o) for o in workload.operators], [str(o) for o in evidence.operators])
    error = np.abs(costs.mean / truth - 1)
    assert (seen == (costs.measured > 0)).all()
    assert (~seen).sum() > 10 * seen.sum()
    assert np.median(error[~seen]) < 0.01
    assert np.quantile(error[~seen], 0.95) < 0.05
    assert np.quantile(error[seen], 0.95) < 0.03


def test_what_is_left_out_tells_nothing() -> None:
    """Costs without some observations hold, whatever those were."""
    workload, runs = simulated_campaign()
    evidence = gather(runs)
    part = evidence.network % 4 == 0
    by_all, without = estimate_without(evidence, workload.rows, [part])
    np.testing.assert_array_equal(by_all.mean, estimate(evidence, workload.rows).mean)
    assert without.measured.sum() < by_all.measured.sum()
    only = np.setdiff1d(evidence.number[part], evidence.number[~part])
    asked = estimate_without(evidence, evidence.rows[only], [part])
    assert (asked[0].measured > 0).all()
    assert not asked[1].measured.any()
    truth = np.asarray([simulated_ms(evidence.operators[number]) for number in only])
    assert np.median(np.abs(asked[1].mean / truth - 1)) < 0.01
    assert np.median(asked[1].error / asked[0].error) > 1


def test_steps_are_not_smoothed_away() -> None:
    _, runs = simulated_campaign()
    evidence = gather(runs)
    for inner in (16, 40, 61):
        asked = [Operator("conv2d", inner, 6, 6, outer) for outer in (16, 24, 32, 36, 48, 64, 68)]
        found = estimate(evidence, encode(asked)).mean
        truth = [simulated_ms(operator) for operator in asked]
        np.testing.assert_allclose(found, truth, rtol=0.05)
        assert found[1] > found[2] * 1.05  # 24 channels are slower than 32


def test_a_dip_at_one_width_moves_no_others_that_were_measured() -> None:
    """On a SIMULATED platform with stairs of 32 that is fast where the second block is full, and nowhere else."""
    widths = np.arange(1, 97)
    true = np.select([widths <= 16, widths < 32, widths == 32, widths <= 64], [0.19, 0.39, 0.27, 0.54], 0.81)
    generator = np.random.default_rng(0)
    runs = []
    for width, ms in zip(widths, true, strict=True):
        key = Network.single(Operator("conv2d", 64, 28, 28, int(width), kernel=3)).key
        for repeat in range(7):
            taken = (float(ms * (1 + 0.02 * generator.normal())),) * 3
            runs.append(Run(Task(key, False, repeat), "2025-01-01T00:00:00Z", 1.0, taken))
    asked = [Operator("conv2d", 64, 28, 28, int(width), kernel=3) for width in widths]
    costs = estimate(gather(runs), encode(asked))
    np.testing.assert_allclose(costs.mean, true, rtol=0.03)


def test_costs_are_the_same_every_time() -> None:
    workload, runs = simulated_campaign()
    one, other = (estimate(gather(runs), workload.rows) for _ in range(2))
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.error, other.error)


def test_an_operator_costs_the_same_whatever_else_is_asked_for() -> None:
    """Or a reduced space would be scored by another model than it was cut and certified by."""
    workload, runs = simulated_campaign()
    evidence = gather(runs)
    costs = estimate(evidence, workload.rows)
    for rows in (np.arange(0, len(workload.rows), 7), np.arange(5), np.arange(1)):
        fewer = estimate(evidence, workload.rows[rows])
        np.testing.assert_allclose(fewer.mean, costs.mean[rows], rtol=1e-9)
        np.testing.assert_allclose(fewer.error, costs.error[rows], rtol=1e-9)


def test_a_reduced_space_is_predicted_like_the_full_one() -> None:
    workload, runs = simulated_campaign()
    reduced = workload.space.restrict({"c0": [16, 24, 32], "c1": [16, 64], "c2": [33, 96]})
    models = [fit_latency_model(expand(space), gather(runs)) for space in (workload.space, reduced)]
    architectures = reduced.sample(50)
    many = [reduced.decode(row) for row in architectures]
    for architecture in many:
        one, other = (model.predict(architecture)[0] for model in models)
        assert one == pytest.approx(other, rel=1e-9)


def test_costs_are_never_negative() -> None:
    """Even where the measurements make no sense at all."""
    generator = np.random.default_rng(1)
    workload, _ = simulated_campaign()
    runs = []
    for row in covering_sample(workload.space, 12):
        network = workload.network(row)
        times = {place: tuple(generator.exponential(1.0, 3).tolist()) for place in range(len(network.nodes))}
        runs.append(Run(Task(network.key, True, 0), "", 1.0, (1.0,), times, (1.0,)))
    costs = estimate(gather(runs), workload.rows)
    assert (costs.mean >= 0).all()
    assert np.isfinite(costs.mean).all()
    assert (costs.error >= 0).all()


def test_an_operator_unlike_any_measured_is_named() -> None:
    _, runs = simulated_campaign()
    unknown = Operator("conv2d", 8, 6, 6, 16, kernel=5)
    with pytest.raises(InputError, match="nothing was measured of the operator conv2d 8->16 @6x6 k5 s1"):
        estimate(gather(runs), encode([Operator("conv2d", 8, 6, 6, 16), unknown]))
    with pytest.raises(InputError, match="nothing was measured"):
        estimate(gather([]), encode([unknown]))


def test_failed_runs_count_for_nothing() -> None:
    _, runs = simulated_campaign()
    failed = [dataclasses.replace(run, total_ms=(), node_ms={}, error="it crashed") for run in runs]
    half = runs[: len(runs) // 2]
    one, other = (gather(given) for given in (half, [*failed, *half, *failed]))
    assert one.operators == other.operators
    np.testing.assert_array_equal(one.cost, other.cost)
    assert one.totals == other.totals
    assert gather(failed).operators == []
