"""What a person sees in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from spacecut.cut import Decision, Gain, Outcome, Reduction
from spacecut.cut.differences import FINDINGS
from spacecut.cut.reduction import AGAINST_A_RULE
from spacecut.latency import AnyProfile, Prediction, RecordedPlatform, Scored
from spacecut.platforms import Status
from spacecut.quality import QualityTable
from spacecut.score import Score, Verification
from spacecut.space import Candidate, SearchSpace
from spacecut.space.ranges import shown_candidates, shown_size
from spacecut.study import Comparison, Finding

__all__ = [
    "show_comparison",
    "show_estimate",
    "show_findings",
    "show_platforms",
    "show_prediction",
    "show_profile",
    "show_recorded",
    "show_reduction",
    "show_score",
    "show_spaces",
    "show_verification",
]


def show_platforms(console: Console, statuses: Mapping[str, Status]) -> None:
    """One row a runtime: whether it runs here, and if not, why and what to install."""
    table = Table("platform", "here", "version", "devices", "precisions", "remarks", box=None)
    for name, status in statuses.items():
        here = "[green]yes[/]" if status.available else "[red]no[/]"
        lacking = [f"no {what}: {reason}" for what, reason in status.lacking.items()]
        remarks = "; ".join(remark for remark in (status.reason, status.note, *lacking) if remark)
        table.add_row(name, here, status.version, ", ".join(status.devices), ", ".join(status.precisions), remarks)
    console.print(table)


def show_estimate(console: Console, profile: AnyProfile) -> None:
    """Where the latencies shown were never measured, say so."""
    if not isinstance(profile, RecordedPlatform) and profile.platform.estimated_by:
        console.print(f"[yellow]all latencies are estimates by {profile.platform.estimated_by}: nothing was run[/]")


def show_spaces(console: Console, spaces: list[SearchSpace]) -> None:
    """One row a shipped space."""
    table = Table("space", "choices", "architectures", "what it is", box=None)
    for space in spaces:
        first = space.document.description.split(":")[0].split(". ")[0]
        table.add_row(space.name, str(len(space.choices)), shown_size(space.size), first)
    console.print(table)


def show_profile(console: Console, profile: AnyProfile) -> None:
    """What was measured, where, and how much of it was new."""
    if isinstance(profile, RecordedPlatform):
        show_recorded(console, profile)
        return
    evidence = profile.evidence
    estimated = profile.platform.estimated_by
    console.print(f"{'estimated' if estimated else 'measured'} on [bold]{profile.platform}[/]")
    console.print(
        f"{len(profile.runs)} runs, {profile.seconds:.0f} s of measurement: {profile.fresh} made now, the others from "
        f"the store; {profile.disturbed} while something else slowed the machine down"
    )
    console.print(f"{len(evidence.operators)} operators seen, {len(evidence.totals)} networks timed end to end")
    show_estimate(console, profile)
    if profile.failures:
        console.print(f"[red]{len(profile.failures)} runs failed[/]; the first: {profile.failures[0].error}")


def show_recorded(console: Console, recorded: RecordedPlatform) -> None:
    """Where costs come from, and how well they predict networks that they were not fitted to."""
    first = recorded.explained_by.partition(" measured alone")
    what = first[0] if first[1] else "networks"
    console.print(f"fitted to {recorded.networks} {what}: [bold]{recorded.platform}[/]")
    console.print(
        f"explained by {recorded.explained_by}, {recorded.overhead_ms:.4g} ms overhead; fitted {recorded.fitted_at}"
    )
    for what, accuracy in (("cross-validated", recorded.held_out), ("on the other rows", recorded.left_out)):
        if accuracy is not None:
            console.print(
                f"{what}: within ±5 % [bold]{accuracy.within_5_percent:.0%}[/], within ±10 % "
                f"[bold]{accuracy.within_10_percent:.0%}[/] of {accuracy.networks}; Spearman "
                f"{accuracy.rank_correlation:.3f}; mean error {accuracy.mean_error:.1%}"
            )


def show_reduction(
    console: Console,
    reduction: Reduction,
    files: list[Path],
    gains: Sequence[Gain] = (),
    quality: QualityTable | None = None,
) -> None:
    """The cut: sizes, evidence choice by choice, what it means on each platform, files."""
    several = len(reduction.outcomes) > 1
    for outcome in reduction.outcomes:
        show_profile(console, outcome.profile)
        if several:
            console.print()
    if len(reduction.full.choices) == 1:
        _show_steps(console, list(reduction.decisions))
    else:
        _show_choices(console, reduction)
    if several:
        console.print(f"[dim]the costs above are those on {reduction.certificate.platform}[/]")
    if quality is not None:
        told = f"{quality.architectures} accuracies" if quality.architectures else "candidates' losses"
        rank = f", Spearman {quality.rank_correlation:.2f} on those left out" if quality.architectures else ""
        console.print(f"quality: {told} of {quality.source}{rank}")
    before, after = reduction.full.size, reduction.space.size
    console.print(
        f"\n[bold]{reduction.full.name}: {shown_size(before)} -> {shown_size(after)} architectures[/]"
        f" ({before / after:.3g} times fewer)"
        + (f", tolerance {reduction.tolerance:.3g}" if reduction.tolerance is not None else "")
    )
    if causes := Counter(d.differs_in for d in reduction.decisions if d.differs_in):
        told = ", ".join(f"{count} differ in {what}{_finding(what)}" for what, count in causes.most_common())
        console.print(f"of the candidates that gave way to a better one, {told}")
    if cited := Counter((d.rule, d.verdict) for d in reduction.decisions if d.rule):
        for (rule, verdict), count in cited.most_common():
            what = "fall by" if verdict == AGAINST_A_RULE else "are dominated, as says"
            console.print(f"{count} {what} {rule}")
    for number, outcome in enumerate(reduction.outcomes):
        if several:
            console.print(f"\n[bold]{outcome.certificate.platform}[/]")
        _show_outcome(console, outcome)
        if gains:
            _show_gain(console, gains[number])
    _show_files(console, files)


def _finding(what: str) -> str:
    """The finding of the behaviour study behind a difference."""
    return f" (finding {FINDINGS[what]})" if what in FINDINGS else ""


def _show_outcome(console: Console, outcome: Outcome) -> None:
    """Bound, fronts and certificate on one platform."""
    if outcome.max_latency is not None:
        console.print(f"what no architecture of at most {outcome.max_latency:g} ms has is left out")
    if (inflation := outcome.inflation) is not None:
        console.print(
            f"fronts: at equal quality the best networks are [bold]{inflation.mean:.2%}[/] slower on average, "
            f"{inflation.worst:.1%} at the worst, over {inflation.functions} quality functions between "
            f"{inflation.band[0]:.3g} and {inflation.band[1]:.3g} ms"
        )
    certificate = outcome.certificate
    error = certificate.model_error
    known = (
        "not checked on whole networks"
        if np.isnan(error)
        else f"which errs by {error:.1%} (standard error on networks left out)"
    )
    console.print(
        f"certificate: every architecture has one in the reduced space that is as good in every choice and at most "
        f"[bold]{certificate.slowdown:.1%}[/] slower ({certificate.slowdown_ms:.3g} ms at most), by the latency model, "
        f"{known}"
    )
    if (band := certificate.in_band) is not None:
        console.print(
            f"from {band.low_ms:.3g} to {band.high_ms:.3g} ms: at most [bold]{band.slowdown:.1%}[/] slower "
            f"(one is {band.attained:.1%} slower)"
        )


def _show_gain(console: Console, gain: Gain) -> None:
    """What candidates on the steps are worth."""
    console.print(
        f"regrid: {gain.added} candidates added on the steps; at equal quality the best networks are "
        f"[bold]{gain.faster:.1%}[/] faster on average than those of the grid, which the same cut leaves "
        f"{shown_size(gain.grid_size)} architectures"
    )


def _by_choice(decisions: tuple[Decision, ...]) -> Iterator[tuple[str, list[Decision]]]:
    for name, group in groupby(decisions, key=lambda decision: decision.choice):
        yield name, list(group)


def _show_choices(console: Console, reduction: Reduction) -> None:
    table = Table("choice", "kept", "which", "widest step", "its cost", "noise", "dearest drop", box=None)
    for name, group in _by_choice(reduction.decisions):
        choice = reduction.full.choice(name)
        attribute = next(iter(choice.attributes.values()), np.asarray(choice.candidates))
        value = dict(zip(choice.candidates, attribute.tolist(), strict=True))
        kept = [value[decision.candidate] for decision in group if decision.verdict == "kept"]
        steps: dict[Candidate, list[Decision]] = {}
        for decision in group:
            if decision.dominator is not None:
                steps.setdefault(decision.dominator, []).append(decision)
        cells = ["", "", "", ""]
        if steps:
            top = max(steps, key=lambda dominator: len(steps[dominator]))
            step = steps[top]
            keeper, dearest = max(
                ((keeper, decision) for keeper, fallen in steps.items() for decision in fallen),
                key=lambda entry: _relative(entry[1]),
            )
            cells = [
                f"{shown_candidates([value[d.candidate] for d in step])} -> {value[top]}",
                f"{_relative(step[0]):+.1%}",
                _noise(step[0]),
                f"{value[dearest.candidate]} -> {value[keeper]}: {_relative(dearest):+.1%}",
            ]
        table.add_row(name, f"{len(kept)}/{len(group)}", shown_candidates(kept), *cells)
    console.print(table)
    console.print(
        "[dim]cost: change of the latency of the layers that the choice touches, mean over all contexts; noise: its "
        "standard error. Every decision is in decisions.csv.[/]"
    )


def _show_steps(console: Console, decisions: list[Decision]) -> None:
    """One choice: a row for each candidate kept, with what fell to it."""
    table = Table("kept", "ms", "falls to it", "their ms", "largest slow-down", "noise", box=None)
    for keeper in (decision for decision in decisions if decision.verdict == "kept"):
        fallen = [decision for decision in decisions if decision.dominator == keeper.candidate]
        cells = ["", "", "", ""]
        if fallen:
            low, high = min(d.latency_ms for d in fallen), max(d.latency_ms for d in fallen)
            worst = max(fallen, key=_relative)
            cells = [
                shown_candidates([d.candidate for d in fallen]),
                f"{low:.3g}-{high:.3g}",
                f"{_relative(worst):+.1%}",
                _noise(worst),
            ]
        table.add_row(keeper.shown, f"{keeper.latency_ms:.3g}", *cells)
    console.print(table)


def _relative(decision: Decision) -> float:
    """Mean slow-down by taking the dominator, as a share of the layers touched (which may take no time at all)."""
    return (decision.slowdown_ms or 0.0) / max(decision.latency_ms, 1e-9)


def _noise(decision: Decision) -> str:
    return f"±{(decision.noise_ms or 0.0) / max(decision.latency_ms, 1e-9):.1%}"


def show_score(console: Console, space: SearchSpace, score: Score) -> None:
    """Counts, the largest and the fastest architectures."""
    console.print(
        f"[bold]{space.name}[/]: {shown_size(score.size)} architectures from {score.fastest_ms:.3g} to "
        f"{score.slowest_ms:.3g} ms"
    )
    if score.max_latency_ms is not None:
        low, high = score.count_between
        console.print(
            f"at most {score.max_latency_ms:g} ms: [bold]{shown_size(score.count)}[/] ({score.count / score.size:.2%}; "
            f"between {shown_size(low)} and {shown_size(high)})"
        )
    _show_architectures(console, "largest", score.largest)
    _show_architectures(console, "fastest", score.fastest)
    if score.pareto:
        _show_architectures(console, "latency-MACs front", score.pareto)


def _show_architectures(console: Console, title: str, scored: tuple[Scored, ...]) -> None:
    table = Table("ms", "million MACs", "architecture", title=title, title_justify="left", box=None)
    for entry in scored:
        values = " ".join(str(candidate) for candidate in entry.architecture.values())
        table.add_row(f"{entry.latency_ms:.4g}", f"{entry.macs / 1e6:.4g}", values)
    console.print(table)


def show_prediction(console: Console, prediction: Prediction) -> None:
    """A network's latency and where it goes."""
    table = Table("operator", "times", "ms", "share", "million MACs", box=None)
    for share in prediction.shares:
        part = share.latency_ms / prediction.latency_ms
        table.add_row(
            str(share.operator), str(share.count), f"{share.latency_ms:.4g}", f"{part:.1%}", f"{share.macs / 1e6:.4g}"
        )
    console.print(table)
    console.print(
        f"[bold]{prediction.latency_ms:.4g} ms[/] ±{prediction.error_ms:.2g} (standard error), of which "
        f"{prediction.overhead_ms:.3g} ms overhead"
    )


def show_verification(console: Console, verification: Verification) -> None:
    """Predicted against measured, and the certificate against measured slow-downs."""
    told = "estimated ms" if verification.estimated_by else "measured ms"
    table = Table("predicted ms", told, "error", "rounded up, ms", "slow-down", "noise", box=None)
    for pair in verification.pairs:
        table.add_row(
            f"{pair.predicted_ms:.4g}",
            f"{pair.measured_ms:.4g}",
            f"{pair.predicted_ms / pair.measured_ms - 1:+.1%}",
            f"{pair.rounded_measured_ms:.4g}",
            f"{pair.slowdown:+.1%}",
            f"±{pair.noise:.1%}",
        )
    console.print(table)
    count = len(verification.pairs)
    console.print(
        f"predicted within ±5 %: [bold]{verification.within(0.05):.0%}[/], within ±10 %: "
        f"[bold]{verification.within(0.10):.0%}[/] of {count}; Spearman {verification.rank_correlation:.3f}"
    )
    broken = len(verification.violations)
    verdict = "[green]holds[/]" if not broken else f"[red]is broken by {broken}[/]"
    console.print(
        f"certificate (at most {verification.certified:.1%} slower) {verdict} of {count} measured pairs, noise allowed"
    )
    console.print(
        f"drift: the profile's own networks now take {verification.drift:+.1%}; this is part of the errors above"
    )
    if verification.estimated_by:
        console.print(f"[yellow]checked against estimates by {verification.estimated_by}: nothing was run[/]")
    if not verification.same_platform:
        console.print("[yellow]this is not the runtime version or machine that was profiled[/]")


def show_findings(console: Console, findings: Mapping[str, Sequence[Finding]], files: Sequence[Path]) -> None:
    """Verdicts in one table, then what was found on each platform."""
    table = Table("", "question", *findings, box=None)
    for place, finding in enumerate(next(iter(findings.values()))):
        verdicts = [found[place].verdict for found in findings.values()]
        table.add_row(str(finding.number), finding.question, *verdicts)
    console.print(table)
    for name, found in findings.items():
        console.print(f"\n[bold]{name}[/]")
        for finding in found:
            console.print(f"{finding.number}. {finding.said}")
            if finding.rule:
                console.print(f"   [dim]rule: {finding.rule}[/]")
    _show_files(console, files)


def show_comparison(console: Console, comparison: Comparison, files: Sequence[Path]) -> None:
    """Latency of each model on each platform, and the dearest kinds of operator."""
    platforms = list(dict.fromkeys(entry.platform for entry in comparison.entries))
    table = Table("model", "million MACs", *platforms, box=None)
    for model, size in comparison.macs.items():
        cells = []
        for platform in platforms:
            entry = comparison.at(model, platform)
            if entry.ms is None:
                cells.append(f"[red]{entry.problem}[/]")
                continue
            total = sum(entry.by_kind.values())
            dearest = ", ".join(f"{kind} {ms / total:.0%}" for kind, ms in list(entry.by_kind.items())[:3])
            noise = "" if np.isnan(entry.noise) else f" ± {entry.noise:.1%}"
            cells.append(f"[bold]{entry.ms:.3g} ms[/]{noise}\n[dim]{dearest}[/]")
        table.add_row(model, f"{size / 1e6:.4g}", *cells)
    console.print(table)
    for upset in comparison.upsets():
        console.print(str(upset), highlight=False)
    _show_files(console, files)


def _show_files(console: Console, files: Sequence[Path]) -> None:
    if files:
        console.print("files: " + ", ".join(str(path) for path in files))
