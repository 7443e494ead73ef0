"""A page to look at: one HTML file that opens offline, on a phone and in the dark, with interactive plots."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spacecut.errors import InputError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Page", "Plot", "Section", "TableOf", "write_page"]


@dataclass(frozen=True)
class Plot:
    """A figure with what it shows."""

    figure: Figure
    caption: str


@dataclass(frozen=True)
class TableOf:
    """Rows of text under headings; folded away where it is long."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: str = ""
    """What the folded table is called; one that is not folded has none."""


@dataclass(frozen=True)
class Section:
    """A part of a page: paragraphs of text, then plots and tables in order."""

    heading: str
    paragraphs: Sequence[str] = ()
    parts: Sequence[Plot | TableOf] = ()


@dataclass(frozen=True)
class Page:
    """A title, a line below it, and sections."""

    title: str
    below: str
    sections: Sequence[Section]


def write_page(page: Page, path: Path) -> None:
    """Write a page as one file that needs nothing else.

    Raises:
        InputError: The file cannot be written.
    """
    from plotly.offline import get_plotlyjs  # slow to import, and needed only here

    body = "\n".join(_section(section, number) for number, section in enumerate(page.sections))
    text = _PAGE.format(
        title=html.escape(page.title), below=html.escape(page.below), style=_STYLE, plotly=get_plotlyjs(), body=body,
        script=_SCRIPT,
    )  # fmt: skip
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another place") from None


def _section(section: Section, number: int) -> str:
    paragraphs = "".join(f"<p>{html.escape(text)}</p>" for text in section.paragraphs)
    parts = "".join(
        _plot(part, f"plot-{number}-{place}") if isinstance(part, Plot) else _table(part)
        for place, part in enumerate(section.parts)
    )
    return f"<section><h2>{html.escape(section.heading)}</h2>{paragraphs}{parts}</section>"


def _plot(plot: Plot, name: str) -> str:
    from plotly.io import to_html

    plot.figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", margin={"l": 60, "r": 16, "t": 48, "b": 56},
        font={"family": "system-ui, sans-serif"},
    )  # fmt: skip
    drawn = to_html(
        plot.figure, include_plotlyjs=False, full_html=False, div_id=name,
        config={"responsive": True, "displaylogo": False, "toImageButtonOptions": {"format": "svg"}},
    )  # fmt: skip
    return f"<figure>{drawn}<figcaption>{html.escape(plot.caption)}</figcaption></figure>"


def _table(table: TableOf) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in table.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    drawn = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    if not table.folded:
        return drawn
    return f"<details><summary>{html.escape(table.folded)}</summary>{drawn}</details>"


_STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --paper: #ffffff; --line: #d5dbe1; --soft: #616e7c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --paper: #14181d; --line: #3a434d; --soft: #9aa5b1; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
p { margin: 0.5rem 0; max-width: 46rem; }
.below, figcaption { color: var(--soft); font-size: 0.9rem; }
figure { margin: 1rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
summary { cursor: pointer; margin: 0.75rem 0; }
"""

_SCRIPT = """
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const ink = dark.matches ? "#e4e7eb" : "#1f2933", line = dark.matches ? "#3a434d" : "#d5dbe1";
  for (const plot of document.querySelectorAll(".plotly-graph-div")) {
    const change = {"font.color": ink};
    for (const axis of Object.keys(plot.layout).filter(name => /^[xy]axis/.test(name))) {
      change[axis + ".gridcolor"] = line;
      change[axis + ".zerolinecolor"] = line;
    }
    Plotly.relayout(plot, change);
  }
}
dark.addEventListener("change", paint);
paint();
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<script>{plotly}</script>
</head>
<body>
<h1>{title}</h1>
<p class="below">{below}</p>
{body}
<script>{script}</script>
</body>
</html>
"""
