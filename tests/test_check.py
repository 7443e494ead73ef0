"""The independent checker: it passes what was certified, and finds what was tampered with."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from models import GivenProfile, random_costs, space_of, spaces

from spacecut.cut import Certificate, Reduction, check_certificate, cut
from spacecut.space import SearchSpace


def checked(reduction: Reduction, certificate: Certificate) -> tuple[str, ...]:
    return check_certificate(reduction.full, reduction.space, certificate, reduction.model).problems


@settings(deadline=None, max_examples=60)
@given(spaces(), st.integers(0, 1000), st.sampled_from([0.0, 0.1, 2.0]), st.sampled_from([None, 0.5]))
def test_what_was_certified_holds(space: SearchSpace, seed: int, tolerance: float, share: float | None) -> None:
    profile = GivenProfile(space, random_costs(seed), 0.2)
    model = profile.latency_model(space)
    bound = None if share is None else 1.05 * (model.fastest()[0] * (1 - share) + model.slowest()[0] * share)
    reduction = cut(space, profile, tolerance=tolerance, max_latency=bound)
    assert not checked(reduction, reduction.certificate)
    if reduction.certificate.slowdown > 1e-6:
        lower = replace(reduction.certificate, slowdown=0.9 * reduction.certificate.slowdown)
        assert any("slowed down by more than" in problem for problem in checked(reduction, lower))
        cheaper = replace(reduction.certificate, slowdown_ms=0.9 * reduction.certificate.slowdown_ms)
        assert any("not" in problem and "ms" in problem for problem in checked(reduction, cheaper))


def staircase() -> Reduction:
    space = space_of(
        {name: {"candidates": [1, 2, 3, 4], "order": "larger"} for name in ("a", "b")},
        [{"conv2d": {"out_channels": "a", "kernel": 1}}, {"conv2d": {"out_channels": "b", "kernel": 1}}],
    )
    return cut(space, GivenProfile(space, lambda operator: 1.0 + (operator.out_channels + 1) // 2), tolerance=0.0)


def test_each_claim_is_checked() -> None:
    reduction = staircase()
    good = reduction.certificate
    assert dict(good.round_up["a"]) == {1: 2, 3: 4}
    assert not checked(reduction, good)
    assert checked(reduction, replace(good, full_size=17)) == ("the full space has 16 architectures, not 17",)
    assert checked(reduction, replace(good, reduced_size=3)) == ("the reduced space has 4 architectures, not 3",)
    dropped = replace(good, round_up={**good.round_up, "a": [(1, 3), (3, 4)]})
    assert checked(reduction, dropped) == ("a: 1 is rounded up to 3, which is not in the reduced space",)
    worse = replace(good, round_up={**good.round_up, "a": [(1, 2), (3, 2)]})
    assert checked(reduction, worse) == ("a: 3 is rounded up to 2, which is not known to be as good",)
    elsewhere = replace(good, slowdown=0.5, slowdown_ms=9.0)
    assert any("the architecture named" in problem for problem in checked(reduction, elsewhere))
    assert good.in_band is not None
    tight = replace(good, in_band=replace(good.in_band, slowdown=good.in_band.slowdown - 0.1))
    assert any("cannot be ruled out" in problem for problem in checked(reduction, tight))
