"""The pages of a study and of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spacecut.report.page import Page, Plot, Section, TableOf, write_page
from spacecut.study import Comparison, Finding, Walk
from spacecut.study.thresholds import LOSSY
from spacecut.study.walk import Dimension

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["write_comparison_page", "write_study_page"]

_FILE = "report.html"
_LONGEST_NAME = 60


def write_study_page(
    walks: Mapping[str, Walk], findings: Mapping[str, Sequence[Finding]], directory: str | Path, *, plots: bool = False
) -> list[Path]:
    """Write ``report.html``: all verdicts in one table, then each platform's figures; ``plots`` as images too.

    Raises:
        InputError: It cannot be written.
    """
    path = Path(directory) / _FILE
    names = list(walks)
    first = next(iter(findings.values()))
    verdicts = [
        [str(finding.number), finding.question, *(findings[name][place].verdict for name in names), finding.claim]
        for place, finding in enumerate(first)
    ]
    table = TableOf(["", "question", *names, "what the study found"], verdicts, wrapped=True)
    quick = " (quick)" if any(walked.quick for walked in walks.values()) else ""
    sections = [Section("Verdicts", ["On the findings as the study states them."], [table])]
    sections += [_platform(name, walked, findings[name]) for name, walked in walks.items()]
    below = "; ".join(walked.platform for walked in walks.values())
    return write_page(Page(f"Behaviour study{quick}", below, sections), path, plots=plots)


def write_comparison_page(comparison: Comparison, directory: str | Path, *, plots: bool = False) -> list[Path]:
    """Write ``report.html``: latencies, and what the time goes to; ``plots`` as images too.

    Raises:
        InputError: It cannot be written.
    """
    path = Path(directory) / _FILE
    platforms = list(dict.fromkeys(entry.platform for entry in comparison.entries))
    rows = []
    for model, size in comparison.macs.items():
        cells = []
        for platform in platforms:
            entry = comparison.at(model, platform)
            cells.append(f"{entry.ms:.3g} ms" if entry.ms is not None else entry.problem)
        rows.append([model, f"{size / 1e6:.4g}", *cells])
    upsets = [str(upset) for upset in comparison.upsets()]
    sections = [
        Section("Latency", upsets, [TableOf(["model", "million MACs", *platforms], rows)]),
        Section("What the time goes to", [], [Plot(_breakdown(comparison), "Milliseconds by kind of operator.")]),
    ]
    below = "; ".join(dict.fromkeys(entry.version for entry in comparison.entries))
    return write_page(Page("Networks across platforms", below, sections), path, plots=plots)


def _platform(name: str, walked: Walk, findings: Sequence[Finding]) -> Section:
    texts = []
    for finding in findings:
        texts.append(f"{finding.number}. {finding.question} {finding.verdict.capitalize()}: {finding.said}.")
        if finding.rule:
            texts.append(f"Rule: {finding.rule}")
    if rules := [str(rule) for finding in findings for rule in finding.rules]:
        texts.append(f"Rules for a cut: {'; '.join(rules)}.")
    runs = sum(len(dimension.profile.runs) for dimension in walked.dimensions.values())
    texts.append(f"{walked.platform}. {runs} runs; every raw sample is in the store that was measured into.")
    if broken := [
        f"{dimension} {' '.join(map(str, architecture.values()))}: {error}"
        for dimension, found in walked.dimensions.items()
        for architecture, error in found.failures
    ]:
        texts.append("Did not run: " + "; ".join(broken))
    shown = ("output channels", "1x1 output channels", "input channels", "depthwise channels")
    widths = {dimension: walked.dimensions[dimension] for dimension in shown}
    maps = {key: found for key, found in walked.dimensions.items() if key.startswith("feature map")}
    plots = [
        Plot(_lines(widths, "channels"), "Latency over channels, the other dimensions fixed."),
        Plot(_kernels(walked.dimensions["kernels"]), "Latency over compute, kernel by kernel."),
        Plot(_bars(walked.dimensions["blocks"]), "Blocks."),
        Plot(_bars(walked.dimensions["activations"]), "Activations behind a convolution."),
        Plot(_maps(maps), "A 3x3 convolution with 64 channels over the size of the feature map."),
    ]
    if fifth := next((finding for finding in findings if finding.number == 5 and finding.figures), None):
        plots.append(Plot(_figures(fifth.figures, "times as fast", 1.0), "What the lower precision gains."))
    if sixth := next((finding for finding in findings if finding.number == 6 and finding.figures), None):
        told = f"What INT8 keeps of each block, {walked.weights}; below the line it is spoilt."
        plots.append(Plot(_figures(sixth.figures, "decibels", LOSSY), told))
    return Section(name, texts, plots)


def _lines(dimensions: Mapping[str, Dimension], axis: str) -> Figure:
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    for name, found in dimensions.items():
        places = [next(iter(point.architecture.values())) for point in found.points]
        figure.add_trace(Scatter(x=places, y=[point.ms for point in found.points], mode="lines+markers", name=name))
    figure.update_layout(height=360, xaxis_title=axis, yaxis={"title": "ms", "rangemode": "tozero"})
    return figure


def _kernels(dimension: Dimension) -> Figure:
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    for kind in dimension.space.choice("kind").candidates:
        points = [point for point in dimension.points if point.architecture["kind"] == kind]
        figure.add_trace(
            Scatter(
                x=[point.macs for point in points], y=[point.ms for point in points], mode="lines+markers+text",
                text=[str(point.architecture["kernel"]) for point in points], textposition="top center", name=str(kind),
            )
        )  # fmt: skip
    figure.update_layout(
        height=360, xaxis={"title": "multiply-accumulates", "type": "log"}, yaxis={"title": "ms", "type": "log"}
    )
    return figure


def _bars(dimension: Dimension) -> Figure:
    from plotly.graph_objects import Bar, Figure

    first, second = (choice.name for choice in dimension.space.choices)
    figure = Figure()
    for candidate in dimension.space.choice(second).candidates:
        points = [point for point in dimension.points if point.architecture[second] == candidate]
        figure.add_trace(
            Bar(
                x=[str(point.architecture[first]) for point in points], y=[point.ms for point in points],
                error_y={"array": [point.ms * point.noise for point in points]}, name=f"{second} {candidate}",
            )
        )  # fmt: skip
    figure.update_layout(height=360, barmode="group", yaxis={"title": "ms", "rangemode": "tozero"})
    return figure


def _figures(figures: Mapping[str, float], axis: str, line: float) -> Figure:
    """One bar a figure, lying, with names cut short, and a line that they are judged by."""
    from plotly.graph_objects import Bar, Figure

    names = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in figures]
    values = list(figures.values())
    bars = Bar(
        x=values, y=list(range(len(names))), orientation="h", text=names, textposition="inside",
        insidetextanchor="start", hoverinfo="text",
        hovertext=[f"{name}: {value:.3g}" for name, value in figures.items()],
    )  # fmt: skip
    figure = Figure(bars)
    figure.add_vline(x=line, line={"dash": "dot", "color": "#868e96"})
    figure.update_layout(
        height=80 + 24 * len(names), xaxis={"title": axis, "rangemode": "tozero"},
        yaxis={"showticklabels": False, "autorange": "reversed"},
    )  # fmt: skip
    return figure


def _maps(dimensions: Mapping[str, Dimension]) -> Figure:
    from plotly.graph_objects import Figure, Scatter

    measured = {name.split()[-1]: found.points[0] for name, found in dimensions.items() if found.points}
    figure = Figure(
        Scatter(x=list(map(int, measured)), y=[point.ms for point in measured.values()], mode="lines+markers")
    )
    figure.update_layout(height=340, xaxis_title="height and width", yaxis={"title": "ms", "type": "log"})
    return figure


def _breakdown(comparison: Comparison) -> Figure:
    from plotly.graph_objects import Bar, Figure

    ran = [entry for entry in comparison.entries if entry.ms is not None]
    kinds = dict.fromkeys(kind for entry in ran for kind in entry.by_kind)
    figure = Figure()
    for kind in kinds:
        figure.add_trace(
            Bar(
                x=[f"{entry.model}, {entry.platform}" for entry in ran],
                y=[entry.by_kind.get(kind, 0.0) for entry in ran], name=kind,
            )
        )  # fmt: skip
    figure.update_layout(height=460, barmode="stack", yaxis_title="ms")
    return figure
