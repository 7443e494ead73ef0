"""``spacecut study`` and ``spacecut compare``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spacecut.cli.output import PLATFORM_FORM, Json, StoreUrl, Threads, emit, out, progress
from spacecut.cut.rules import RULES_FILE, RuleBook, write_rules
from spacecut.errors import InputError
from spacecut.measure import DEFAULT_STORE
from spacecut.operators import Network, expand
from spacecut.operators.onnx_reader import read_onnx
from spacecut.platforms import get_platform
from spacecut.report import check_images, show_comparison, show_findings, write_comparison_page, write_study_page
from spacecut.space import load_space
from spacecut.study import Comparison, Walk, judge, judge_platforms, read_trained, walk
from spacecut.study import compare as compare_networks

__all__ = ["compare", "study"]

Platforms = Annotated[
    list[str],
    typer.Option("--platform", "-p", help=f"{PLATFORM_FORM}; again for each further one.", show_default=False),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Directory for report.html and the figures.")]

Plots = Annotated[bool, typer.Option("--plots", help="Also write every figure as SVG and PNG, into -o DIR/plots.")]


def study(
    platforms: Platforms,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer widths and less time: a few minutes a platform.")
    ] = False,
    quantise: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL.onnx", help="A trained network whose blocks INT8 is judged by.", show_default=False
        ),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npy", help="Inputs of it, as it is meant for.", show_default=False),
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
    output: Output = None,
    plots: Plots = False,
    as_json: Json = False,
) -> None:
    """Walk the behaviour study's dimensions on a platform, and judge its findings there.

    Where the same platform is given in two precisions, the gain of the lower one is judged too.
    """
    _check_plots(plots, output)
    _check_platforms(platforms)
    if (quantise is None) != (inputs is None):
        raise InputError("--quantise MODEL.onnx and --inputs FILE.npy go together; give both")
    trained = None if quantise is None or inputs is None else read_trained(quantise, inputs)
    walks = {}
    for name in platforms:
        with progress(f"walking {name}") as told:
            walks[name] = walk(name, quick=quick, store=store, trained=trained, progress=told)
    findings = {name: judge(walked, _lower(name, walks)) for name, walked in walks.items()}
    for name, last in judge_platforms(walks, findings).items():
        findings[name].append(last)
    book = RuleBook(
        platforms=tuple(walks),
        rules=tuple(r for found in findings.values() for finding in found for r in finding.rules),
    )
    content = {
        "quick": quick,
        "platforms": [
            {
                "platform": walks[name].platform,
                "findings": [finding.as_json() for finding in found],
                "failures": [
                    {"dimension": dimension, "architecture": dict(architecture), "error": error}
                    for dimension, walked in walks[name].dimensions.items()
                    for architecture, error in walked.failures
                ],
            }
            for name, found in findings.items()
        ],
    }
    files = []
    if output is not None:
        files = [_folder(output) / "study.json", output / RULES_FILE]
        files[0].write_text(json.dumps({"spacecut_study": 1, **content}, indent=1, allow_nan=False) + "\n")
        write_rules(book, files[1])
        files += write_study_page(walks, findings, output, plots=plots)
    if as_json:
        emit("study", {**content, "files": [str(path) for path in files]})
    else:
        show_findings(out(), findings, files)


def compare(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="ONNX models, or shipped networks such as mobilenet/v2.")
    ],
    platforms: Platforms,
    threads: Threads = 1,
    store: StoreUrl = DEFAULT_STORE,
    output: Output = None,
    plots: Plots = False,
    as_json: Json = False,
) -> None:
    """Measure networks across platforms: how fast, whether at all, and what the time goes to."""
    _check_plots(plots, output)
    networks = {name: _network(name) for name in dict.fromkeys(models)}
    _check_platforms(platforms, threads)
    with progress("comparing") as told:
        found = compare_networks(networks, list(dict.fromkeys(platforms)), threads=threads, store=store, progress=told)
    files = write_comparison_page(found, _folder(output), plots=plots) if output is not None else []
    if as_json:
        emit("compare", {**_comparison_json(found), "files": [str(path) for path in files]})
    else:
        show_comparison(out(), found, files)


def _lower(name: str, walks: dict[str, Walk]) -> dict[str, Walk]:
    """The walks of the same platform at lower precisions, where it is given at its first."""
    return {} if ":" in name else {other: walked for other, walked in walks.items() if other.startswith(f"{name}:")}


def _check_platforms(names: Sequence[str], threads: int = 1) -> None:
    """What is wrong with them is said before a progress bar begins."""
    for name in names:
        if Path(name).is_file():
            raise InputError(
                f"{name}: networks are run here, which a file cannot do; `spacecut platforms` names what can"
            )
        get_platform(name, threads)


def _check_plots(plots: bool, output: Path | None) -> None:
    """What is wrong with them is said before anything is measured."""
    if plots and output is None:
        raise InputError("--plots are written into -o DIR; give it too")
    if plots:
        check_images()


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {path}: {error.strerror}; give another -o") from None
    return path


def _network(name: str) -> Network:
    """A model file, or a shipped space that holds one network."""
    if name.endswith(".onnx"):
        return read_onnx(Path(name))
    space = load_space(name)
    if space.size != 1:
        raise InputError(f"{name} is a space of {space.size} networks; give an ONNX model or a space of one")
    return expand(space).network(np.zeros(len(space.choices), dtype=np.int64))


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "macs": dict(comparison.macs),
        "entries": [
            {**asdict(entry), "noise": None if np.isnan(entry.noise) else entry.noise} for entry in comparison.entries
        ],
        "upsets": [asdict(upset) for upset in comparison.upsets()],
    }
