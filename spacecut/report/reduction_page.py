"""The page of a cut: what falls and why, what it can cost, and whether it held when it was measured."""

from __future__ import annotations

import csv
import html
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacecut.cut import Certificate, load_reduction, saved
from spacecut.cut.inflation import affordable_functions, least_latency
from spacecut.cut.selection import JUDGED_BY
from spacecut.latency import AnyProfile, LatencyModel, Profile
from spacecut.quality import quality_family
from spacecut.report.page import Page, Plot, Section, TableOf, write_page
from spacecut.space import SearchSpace
from spacecut.space.ranges import shown_candidates, shown_size

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["FILE", "write_reduction_page"]

FILE = "report.html"
_COLOURS = {
    "kept": "#e8590c", "dominated": "#868e96", "off the front": "#868e96", "against a rule": "#1971c2",
    "too slow": "#c2255c",
}  # fmt: skip

Row = dict[str, str]


def write_reduction_page(directory: str | Path) -> Path:
    """Write ``report.html`` from what else lies in a directory that ``cut -o DIR`` wrote.

    Raises:
        InputError: The directory holds something else, or cannot be written.
    """
    folder = Path(directory)
    certificates = [certificate for _, certificate in saved(folder)]
    full, reduced, _, _ = load_reduction(folder)
    with (folder / "decisions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sections = [_decisions(full, reduced, rows, certificates)]
    for number, certificate in enumerate(certificates):
        *_, profile, _ = load_reduction(folder, certificate.platform)
        path = folder / ("certificate.json" if number == 0 else f"certificate-{number + 1}.json")
        inflation = json.loads(path.read_text())["front_inflation"]
        sections.append(_outcome(full, reduced, profile, certificate, inflation))
    if (folder / "verification.csv").is_file():
        sections.append(_verification(folder / "verification.csv"))
    sections.append(_every_decision(rows))
    title = f"{full.name}: {shown_size(full.size)} → {shown_size(reduced.size)} architectures"
    below = "; ".join(certificate.platform for certificate in certificates)
    (path,) = write_page(Page(title, f"cut by spacecut for {below}", sections), folder / FILE)
    return path


def _decisions(
    full: SearchSpace, reduced: SearchSpace, rows: Sequence[Row], certificates: Sequence[Certificate]
) -> Section:
    """What is kept of each choice, and the staircases."""
    kept = [
        [choice.name, f"{len(left)}/{len(choice)}", shown_candidates(_values(full, choice.name, left.candidates))]
        for choice, left in zip(full.choices, reduced.choices, strict=True)
    ]
    text = (
        "Each candidate of a choice with the latency of the layers that the choice touches, mean over all contexts in "
        "which it can stand. One falls where a better one is not slower."
    )
    names = [certificate.platform for certificate in certificates]
    return Section(
        "What is kept",
        [text],
        [
            Plot(_staircases(full, rows, names), "Point at a candidate to see what takes its place, and its numbers."),
            TableOf(["choice", "kept", "which"], kept),
        ],
    )


def _values(full: SearchSpace, name: str, candidates: Sequence[Any]) -> list[Any]:
    """What candidates stand for: their first attribute, or themselves."""
    choice = full.choice(name)
    attribute = next(iter(choice.attributes.values()), np.asarray(choice.candidates))
    return [attribute[choice.index(candidate)].item() for candidate in candidates]


def _staircases(full: SearchSpace, rows: Sequence[Row], platforms: Sequence[str]) -> Figure:
    """One view a choice and platform, chosen from a menu."""
    from plotly.graph_objects import Figure, Scatter

    figure, buttons, traces = Figure(), [], 0
    spans: list[tuple[str, int, int]] = []
    for (platform, name), found in groupby(rows, key=lambda row: (row["platform"], row["choice"])):
        first = traces
        places = dict(
            zip(map(str, full.choice(name).candidates), _values(full, name, full.choice(name).candidates), strict=True)
        )
        listed = list(found)
        for verdict, colour in _COLOURS.items():
            some = [row for row in listed if row["verdict"] == verdict]
            if some:
                figure.add_trace(
                    Scatter(
                        x=[places[row["candidate"]] for row in some],
                        y=[float(row["latency_ms"]) for row in some],
                        text=[_told(row) for row in some],
                        mode="markers",
                        name=verdict,
                        hoverinfo="text",
                        visible=not spans,
                        marker={"color": colour, "size": 9 if verdict == "kept" else 6},
                    )
                )
                traces += 1
        spans.append((name if len(platforms) == 1 else f"{name}, {platform}", first, traces))
    for label, first, last in spans:
        shown = [first <= number < last for number in range(traces)]
        buttons.append({"label": label, "method": "update", "args": [{"visible": shown}]})
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.16, "yanchor": "top"}
    figure.update_layout(
        height=420, xaxis_title="candidate", yaxis={"title": "ms", "rangemode": "tozero"},
        legend={"orientation": "h", "y": 1.12, "x": 0.35},
        updatemenus=[menu] if len(spans) > 1 else [],
    )  # fmt: skip
    return figure


def _told(row: Row) -> str:
    """What is said of a candidate that is pointed at."""
    lines = [f"{row['shown']}: {row['verdict']}", f"{float(row['latency_ms']):.4g} ms"]
    if row["dominator"]:
        lines.append(
            f"{row['dominator']} takes its place: {1e3 * float(row['slowdown_ms']):+.3g} ± "
            f"{1e3 * float(row['noise_ms']):.2g} µs, at the worst {1e3 * float(row['worst_ms']):+.3g} µs"
        )
    if row["rule"]:
        lines.append(html.escape(row["rule"]))
    return "<br>".join(lines)


def _outcome(
    full: SearchSpace,
    reduced: SearchSpace,
    profile: AnyProfile,
    certificate: Certificate,
    inflation: dict[str, Any] | None,
) -> Section:
    """What the cut means on one platform."""
    model = profile.latency_model(full)
    texts = [*_measured(profile), *_certified(certificate)]
    parts: list[Plot | TableOf] = []
    if inflation is not None:
        mean, worst = (
            f"{inflation[key]:.2%}" if inflation[key] is not None else "unknown" for key in ("mean", "worst")
        )
        texts.append(
            f"At equal quality the best networks are {mean} slower on average and {worst} at the worst, over "
            f"{inflation['functions']} quality functions that the choice was not made on."
        )
        parts.append(Plot(_inflation(inflation["curve"]), "How much slower the best networks are, by latency."))
    if affordable_functions(model.trellis) > 4:  # a front takes seconds where it is not
        parts.append(
            Plot(
                _fronts(full, reduced, model),
                "The best networks of both spaces under one random monotone quality function.",
            )
        )
    return Section(certificate.platform, texts, parts)


def _measured(profile: AnyProfile) -> Iterator[str]:
    if isinstance(profile, Profile):
        if profile.platform.estimated_by:
            yield f"All latencies are estimates by {profile.platform.estimated_by}: nothing was run."
        when = sorted(run.taken_at for run in profile.runs)
        yield (
            f"{len(profile.runs)} runs in {profile.seconds:.0f} s, "
            f"{profile.disturbed} of them disturbed"
            + (f", from {when[0]} to {when[-1]}" if when else "")
            + f". Every raw sample is in {profile.file_name} beside this page."
        )
    else:
        yield f"{profile.platform}: fitted to {profile.networks} whole networks, {profile.fitted_at}."


def _certified(certificate: Certificate) -> Iterator[str]:
    error = certificate.model_error
    known = "not checked on whole networks" if np.isnan(error) else f"which errs by {error:.1%} (standard error)"
    yield (
        f"Certificate: every architecture has one in the reduced space that is as good in every choice and at most "
        f"{certificate.slowdown:.2%} slower ({certificate.slowdown_ms:.3g} ms at most), by the latency model, {known}."
    )
    if (band := certificate.in_band) is not None:
        yield f"From {band.low_ms:.3g} to {band.high_ms:.3g} ms it is at most {band.slowdown:.2%} slower."


def _inflation(curve: Sequence[Sequence[float | None]]) -> Figure:
    from plotly.graph_objects import Figure, Scatter

    latency, mean, worst = zip(*curve, strict=True)
    figure = Figure()
    for values, label, colour in ((mean, "mean", "#e8590c"), (worst, "worst", "#868e96")):
        percent = [None if value is None else 100 * value for value in values]
        figure.add_trace(Scatter(x=latency, y=percent, mode="lines", name=label, line={"color": colour}))
    figure.update_layout(
        height=340,
        xaxis_title="ms of the full space's best network",
        yaxis={"title": "slower, %", "rangemode": "tozero"},
    )
    return figure


def _fronts(full: SearchSpace, reduced: SearchSpace, model: LatencyModel) -> Figure:
    from plotly.graph_objects import Figure, Scatter

    (quality,) = quality_family(full, 1, JUDGED_BY)
    left = [
        np.asarray([one.index(candidate) for candidate in two.candidates])
        for one, two in zip(full.choices, reduced.choices, strict=True)
    ]
    every = [np.arange(length) for length in full.lengths]
    fronts = {
        "full space": least_latency(model.quality_trellis_over(every), quality),
        "reduced space": least_latency(model.quality_trellis_over(left), quality.over(left)),
    }
    figure = Figure()
    for (label, least), colour in zip(fronts.items(), ("#868e96", "#e8590c"), strict=True):
        places = np.unique(np.linspace(0, np.isfinite(least).sum() - 1, 400).astype(int))
        share = 100 * places / max(quality.best, 1)
        figure.add_trace(Scatter(x=least[places], y=share, mode="lines", name=label, line={"color": colour}))
    figure.update_layout(height=380, xaxis_title="ms", yaxis_title="quality, % of the best")
    return figure


def _verification(path: Path) -> Section:
    """Predicted against measured."""
    from plotly.graph_objects import Figure, Scatter

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = "measured" if "measured_ms" in rows[0] else "estimated"  # by a compiler, which runs nothing
    figure = Figure()
    for label, start, colour in (("full space", "", "#868e96"), ("rounded up", "rounded_", "#e8590c")):
        measured, predicted = ([float(row[f"{start}{what}_ms"]) for row in rows] for what in (told, "predicted"))
        figure.add_trace(Scatter(x=measured, y=predicted, mode="markers", name=label, marker={"color": colour}))
    every = [float(row[key]) for row in rows for key in (f"{told}_ms", f"rounded_{told}_ms")]
    ends = [min(every), max(every)]
    figure.add_trace(Scatter(x=ends, y=ends, mode="lines", name="equal", line={"dash": "dot", "color": "#868e96"}))
    figure.update_layout(height=400, xaxis_title=f"{told}, ms", yaxis_title="predicted, ms")
    error = np.asarray([float(row["predicted_ms"]) / float(row[f"{told}_ms"]) - 1 for row in rows])
    text = (
        f"{len(rows)} random architectures of the full space, and what they are rounded up to, {told} end to end: "
        f"{np.mean(np.abs(error) <= 0.05):.0%} are predicted within ±5 %, {np.mean(np.abs(error) <= 0.1):.0%} within "
        "±10 %."
    )
    return Section("Verified", [text], [Plot(figure, f"Predicted against {told}; on the dotted line both agree.")])


def _every_decision(rows: Sequence[Row]) -> Section:
    headings = [
        "platform",
        "choice",
        "candidate",
        "verdict",
        "ms",
        "takes its place",
        "slower, µs",
        "noise, µs",
        "differs in",
        "rule",
    ]

    def micro(value: str) -> str:
        return f"{1e3 * float(value):.3g}" if value else ""

    cells = [
        [
            row["platform"], row["choice"], row["shown"], row["verdict"], f"{float(row['latency_ms']):.4g}",
            row["dominator"], micro(row["slowdown_ms"]), micro(row["noise_ms"]), row["differs_in"],
            row["rule"],
        ]
        for row in rows
    ]  # fmt: skip
    return Section("Every decision", [], [TableOf(headings, cells, f"{len(rows)} decisions")])
