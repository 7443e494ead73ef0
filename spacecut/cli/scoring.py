"""``spacecut score``, ``spacecut verify`` and ``spacecut check-certificate``."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spacecut.cli.output import Json, emit, estimated_by, out, progress
from spacecut.cut import check_certificate as check
from spacecut.cut import load_reduction, saved
from spacecut.errors import InputError
from spacecut.report import show_estimate, show_score, show_verification, write_reduction_page
from spacecut.score import Score, Verification
from spacecut.score import score as score_space
from spacecut.score import verify as verify_reduction
from spacecut.space.ranges import shown_size

__all__ = ["check_certificate", "score", "verify"]

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="What `spacecut cut ... -o DIR` wrote.")]
Which = Annotated[
    str | None,
    typer.Option("--platform", "-p", help="Which of the platforms that it was cut for.", show_default="the first"),
]


def score(
    directory: Directory,
    platform: Which = None,
    max_latency: Annotated[float | None, typer.Option(help="Only architectures of at most so many ms.")] = None,
    top: Annotated[int, typer.Option(help="How many of the largest and of the fastest to name.")] = 5,
    pareto: Annotated[bool, typer.Option("--pareto", help="Also find the front of latency and MACs.")] = False,
    as_json: Json = False,
) -> None:
    """Count, rank and list the architectures of a reduced space by predicted latency."""
    _, reduced, profile, _ = load_reduction(directory, platform)
    result = score_space(profile.latency_model(reduced), max_latency, top, pareto)
    if as_json:
        emit("score", {"space": reduced.name, "estimated_by": estimated_by(profile), **_score_json(result)})
    else:
        show_score(out(), reduced, result)
        show_estimate(out(), profile)


def verify(
    directory: Directory,
    platform: Which = None,
    samples: Annotated[int, typer.Option(help="Architectures of the full space to measure.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure sampled architectures end to end, against the prediction and the certificate."""
    full, _, profile, certificate = load_reduction(directory, platform)
    with progress(f"verifying on {profile.platform}") as told:
        result = verify_reduction(full, profile, certificate, samples=samples, seed=seed, progress=told)
    with (directory / "verification.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        figures = ("predicted_ms", "measured_ms", "rounded_predicted_ms", "rounded_measured_ms", "noise")
        titles = [name.replace("measured", "estimated") if result.estimated_by else name for name in figures]
        writer.writerow([*full.positions, *(f"rounded_{name}" for name in full.positions), *titles])
        for pair in result.pairs:
            writer.writerow([*pair.full.values(), *pair.rounded.values(), *(getattr(pair, name) for name in figures)])
    write_reduction_page(directory)
    if as_json:
        emit("verify", _verification_json(result))
    else:
        show_verification(out(), result)


def check_certificate(directory: Directory, as_json: Json = False) -> None:
    """Derive a certificate again from the saved files alone, by another algorithm; exit status 2 if it fails."""
    checked: dict[str, dict[str, Any]] = {}
    for _, claimed in saved(directory):
        full, reduced, profile, certificate = load_reduction(directory, claimed.platform)
        found = check(full, reduced, certificate, profile.latency_model(full))
        if not found.holds:
            place = f"{directory}, {claimed.platform}" if checked else str(directory)
            raise InputError(f"{place}: the certificate does not hold: {'; '.join(found.problems)}; cut again")
        checked[claimed.platform] = {"holds": True, "excess_ms": found.excess_ms, **certificate.as_json()}
        if not as_json:
            out().print(
                f"{claimed.platform}: the certificate [green]holds[/]: of {shown_size(certificate.full_size)} "
                f"architectures none is slowed down by more than {certificate.slowdown:.4%} or "
                f"{certificate.slowdown_ms:.6g} ms"
            )
    if as_json:
        emit("check-certificate", {**next(iter(checked.values())), "platforms": list(checked.values())})


def _score_json(score: Score) -> dict[str, Any]:
    content = asdict(score)
    content.update(size=str(score.size), count=str(score.count), count_between=[str(n) for n in score.count_between])
    return content


def _verification_json(verification: Verification) -> dict[str, Any]:
    correlation = verification.rank_correlation
    return {
        "within_5_percent": verification.within(0.05),
        "within_10_percent": verification.within(0.10),
        "mean_absolute_error": float(np.mean(np.abs(verification.errors()))),
        "rank_correlation": None if np.isnan(correlation) else correlation,
        "certified_slowdown": verification.certified,
        "violations": len(verification.violations),
        "drift": None if np.isnan(verification.drift) else verification.drift,
        "same_platform": verification.same_platform,
        "estimated_by": verification.estimated_by or None,
        "pairs": [{**asdict(pair), "slowdown": pair.slowdown} for pair in verification.pairs],
    }
