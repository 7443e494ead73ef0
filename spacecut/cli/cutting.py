"""``spacecut profile``, ``spacecut cut`` and ``spacecut predict``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from spacecut.cli.output import (
    PLATFORM_FORM,
    Json,
    StoreUrl,
    Threads,
    emit,
    estimated_by,
    out,
    progress,
    recorded_json,
)
from spacecut.cut import TOLERANCE, Gain, Outcome, Reduction, gain, mix, read_rules, regrid
from spacecut.cut import cut as cut_space
from spacecut.errors import InputError
from spacecut.integrations.opening import open_space
from spacecut.latency import AnyProfile, RecordedPlatform, load_profile, predict_network
from spacecut.latency import profile as profile_space
from spacecut.measure import DEFAULT_STORE, Budget
from spacecut.operators import Network
from spacecut.operators.onnx_reader import read_onnx
from spacecut.platforms import get_platform
from spacecut.quality import QualityTable, read_quality
from spacecut.report import show_estimate, show_prediction, show_profile, show_reduction, write_reduction_page
from spacecut.space import SearchSpace

__all__ = ["cut", "predict", "profile"]

Space = Annotated[
    str,
    typer.Argument(
        metavar="SPACE", help="A shipped space's name, the path of a space file, or nni:MODULE:FACTORY@CxHxW."
    ),
]
Platform = Annotated[
    str,
    typer.Option(
        "--platform",
        "-p",
        help=f"{PLATFORM_FORM}, or the path of a profile or recorded platform.",
        show_default=False,
    ),
]
Batch = Annotated[int, typer.Option(help="Inputs in one inference.")]
Seconds = Annotated[float, typer.Option("--budget", help="About how many seconds to measure.")]


def profile(
    space: Space,
    platform: Platform,
    threads: Threads = 1,
    batch: Batch = 1,
    store: StoreUrl = DEFAULT_STORE,
    budget: Seconds = Budget.seconds,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to save the profile.")] = None,
    as_json: Json = False,
) -> None:
    """Measure what a space asks of a platform; an interrupted run resumes from the store."""
    measured = _profiled(open_space(space), platform, threads, batch, store, budget)
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            measured.save(output)
        except OSError as error:
            raise InputError(f"cannot write {output}: {error.strerror}; give another -o") from None
    if as_json:
        emit("profile", {**_profile_json(measured), "output": str(output) if output else None})
    else:
        show_profile(out(), measured)


def cut(
    space: Space,
    platforms: Annotated[
        list[str],
        typer.Option(
            "--platform",
            "-p",
            help=f"{PLATFORM_FORM}, or the path of a profile or recorded platform; again for each further "
            "platform that the one space left is for.",
            show_default=False,
        ),
    ],
    tolerance: Annotated[
        float | None, typer.Option(help="Share that a better candidate may be slower.", show_default=str(TOLERANCE))
    ] = None,
    target_size: Annotated[
        str | None,
        typer.Option(help="Instead: keep what the best networks need most, so many architectures, such as 4^13."),
    ] = None,
    max_latency: Annotated[
        list[float] | None,
        typer.Option(
            help="Also drop what is in no architecture of at most so many ms; once, or once for each platform.",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        Path | None,
        typer.Option(help="CSV of what was measured of accuracy: losses of candidates or accuracies of architectures."),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(help="Directory of a `study` of these platforms, whose rules also drop candidates."),
    ] = None,
    steps: Annotated[
        bool,
        typer.Option("--regrid", help="Add the widths on the platform's steps that the grid misses; measures twice."),
    ] = False,
    mixed: Annotated[
        str | None,
        typer.Option(
            "--mix", help="Also choose, layer by layer, between the platform's fp32 and this: int8.", show_default=False
        ),
    ] = None,
    threads: Threads = 1,
    batch: Batch = 1,
    store: StoreUrl = DEFAULT_STORE,
    budget: Seconds = Budget.seconds,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Directory for the reduced space.")] = None,
    as_json: Json = False,
) -> None:
    """Cut a search space by what is measured on a platform, or on several; profiles first if it must."""
    if tolerance is not None and target_size is not None:
        raise InputError("--tolerance and --target-size are two ways to say how far to cut; give one of them")
    if steps and quality is not None:
        raise InputError("--regrid adds candidates of which --quality tells nothing; give one of them")
    if twice := [name for name in platforms if platforms.count(name) > 1]:
        raise InputError(f"--platform {twice[0]} is given twice; give each platform once")
    bounds = max_latency or None
    if bounds is not None and len(bounds) not in (1, len(platforms)):
        raise InputError(f"--max-latency is given {len(bounds)} times for {len(platforms)} platforms; give one, or all")
    space_given = open_space(space) if mixed is None else _mixed(open_space(space), mixed, platforms, threads, batch)
    asked: dict[str, Any] = {
        "tolerance": TOLERANCE if tolerance is None else tolerance,
        "target_size": None if target_size is None else _size(target_size),
        "max_latency": bounds[0] if bounds is not None and len(bounds) == 1 else bounds,
    }
    if rules is not None:
        asked["rules"] = read_rules(rules)
        for name in platforms:
            if not Path(name).is_file():
                asked["rules"].of(name)  # what was not studied is said before anything is measured
    known = None if quality is None else read_quality(quality, space_given)

    def profiled(subject: SearchSpace) -> list[AnyProfile]:
        return [_profiled(subject, platform, threads, batch, store, budget) for platform in platforms]

    profiles = profiled(space_given)
    if steps:
        full = regrid(space_given, profiles, asked["tolerance"])
        profiles = profiled(full)
        reduction = cut_space(full, profiles, **asked)
        gains = gain(reduction, cut_space(space_given, profiles, **asked))
    else:
        reduction, gains = cut_space(space_given, profiles, quality=known, **asked), []
    files = []
    if output is not None:
        files = sorted([*reduction.save(output), write_reduction_page(output)])
    if as_json:
        emit("cut", {**_reduction_json(reduction, gains, known), "files": [str(path) for path in files]})
    else:
        show_reduction(out(), reduction, files, gains, known)


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX model.", show_default=False)],
    platform: Platform,
    threads: Threads = 1,
    batch: Batch = 1,
    store: StoreUrl = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Predict a model's latency, operator by operator; measures its operators first if it must."""
    network = read_onnx(model)
    measured = _profiled(network, platform, threads, batch, store, Budget.seconds)
    prediction = predict_network(network, measured)
    if as_json:
        shares = [{**asdict(share), "operator": str(share.operator)} for share in prediction.shares]
        told = {"model": str(model), "estimated_by": estimated_by(measured)}
        emit("predict", {**told, **asdict(prediction), "shares": shares})
    else:
        show_prediction(out(), prediction)
        show_estimate(out(), measured)


def _profiled(
    subject: SearchSpace | Network, platform: str, threads: int, batch: int, store: str, budget: float
) -> AnyProfile:
    if Path(platform).is_file():
        return load_profile(platform)
    if not 0 < budget < float("inf"):
        raise InputError(f"--budget must be a positive number of seconds, not {budget}")
    get_platform(platform, threads, batch)  # what is wrong with it is said before a progress bar begins
    with progress(f"measuring on {platform}") as told:
        return profile_space(
            subject, platform, threads=threads, batch=batch, store=store, budget=Budget(budget), progress=told
        )


def _mixed(space: SearchSpace, precision: str, platforms: list[str], threads: int, batch: int) -> SearchSpace:
    """The space with precisions to choose; a platform that cannot mix them is told before anything is measured."""
    result = mix(space, precision)
    for name in platforms:
        if not Path(name).is_file():
            get_platform(name, threads, batch).check_mixing()
    return result


def _size(text: str) -> int:
    """``4^13`` or ``1000`` as a number."""
    base, _, power = text.partition("^")
    if not (base.isdecimal() and (power or "1").isdecimal()) or len(base) > 300 or len(power) > 3 or int(base) < 1:
        raise InputError(f"--target-size {text!r} is no number of architectures; write 1000 or 4^13")
    size: int = int(base) ** int(power or 1)
    return size


def _profile_json(profile: AnyProfile) -> dict[str, Any]:
    if isinstance(profile, RecordedPlatform):
        return recorded_json(profile)
    return {
        "space": profile.space,
        "platform": asdict(profile.platform),
        "runs": len(profile.runs),
        "fresh": profile.fresh,
        "disturbed": profile.disturbed,
        "seconds": profile.seconds,
        "operators": len(profile.evidence.operators),
        "failures": [{"network": run.task.network, "error": run.error} for run in profile.failures],
    }


def _reduction_json(reduction: Reduction, gains: list[Gain], quality: QualityTable | None) -> dict[str, Any]:
    return {
        "space": reduction.full.name,
        "full_size": str(reduction.full.size),
        "reduced_size": str(reduction.space.size),
        "tolerance": reduction.tolerance,
        "target_size": None if reduction.target_size is None else str(reduction.target_size),
        "kept": {choice.name: list(choice.candidates) for choice in reduction.space.choices},
        **_outcome_json(reduction.outcomes[0]),
        "platforms": [
            {"platform": outcome.certificate.platform, **_outcome_json(outcome)} for outcome in reduction.outcomes
        ],
        "regrid": [
            {
                "platform": found.platform,
                "candidates_added": found.added,
                "grid_size": str(found.grid_size),
                "grid_front_inflation": found.grid.as_json(),
                "front_inflation": found.steps.as_json(),
                "faster": found.faster,
            }
            for found in gains
        ],
        "quality": None
        if quality is None
        else {
            "source": quality.source,
            "architectures": quality.architectures,
            "rank_correlation": quality.rank_correlation if quality.architectures else None,
        },
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "max_latency_ms": outcome.max_latency,
        "decisions": [asdict(decision) for decision in outcome.decisions],
        "certificate": outcome.certificate.as_json(),
        "front_inflation": None if outcome.inflation is None else outcome.inflation.as_json(),
        "profile": _profile_json(outcome.profile),
    }
