"""A cut as a small Python file that suggests its architectures to Optuna, with nothing of spacecut needed."""

from __future__ import annotations

from pathlib import Path

from spacecut.cut.reduction import load_reduction
from spacecut.integrations.cut_file import as_python, write_cut_file

__all__ = ["write_optuna"]

FILE = "optuna_cut.py"

_TEMPLATE = '''"""The cut of {name} for {platforms}.

{full} -> {reduced} architectures. In the objective:

    from optuna_cut import suggest

    architecture = suggest(trial)
"""

KEPT = {kept}
ORDERED = {ordered}


def suggest(trial, prefix=""):
    """An architecture by choice.

    Where candidates have an order the parameter is a position in it, so that a sampler can use the order.
    """
    found = {{}}
    for name, candidates in KEPT.items():
        if len(candidates) == 1:
            found[name] = candidates[0]
        elif name in ORDERED:
            found[name] = candidates[trial.suggest_int(prefix + name, 0, len(candidates) - 1)]
        else:
            found[name] = trial.suggest_categorical(prefix + name, candidates)
    return found
'''


def write_optuna(directory: Path) -> list[Path]:
    """Write ``optuna_cut.py`` beside a cut; its ``suggest`` draws an architecture of the reduced space from a trial.

    Args:
        directory: What ``cut -o`` or :meth:`Reduction.save` wrote.

    Raises:
        InputError: The directory holds no cut.
    """
    full, reduced, *_ = load_reduction(directory)
    ordered = [choice for choice in reduced.choices if choice.order == "larger"]
    kept = {choice.name: list(choice.candidates) for choice in reduced.choices}
    kept |= {choice.name: sorted(choice.candidates) for choice in ordered}
    names = as_python([choice.name for choice in ordered])
    return write_cut_file(directory / FILE, _TEMPLATE, full, reduced, kept=as_python(kept), ordered=names)
