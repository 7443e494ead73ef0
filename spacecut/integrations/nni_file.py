"""A cut of an NNI space as a small Python file that applies it, with nothing of spacecut needed."""

from __future__ import annotations

from pathlib import Path

from spacecut.cut.reduction import load_reduction
from spacecut.errors import InputError
from spacecut.integrations.cut_file import as_python, write_cut_file

__all__ = ["write_nni"]

FILE = "nni_cut.py"

_TEMPLATE = '''"""The cut of {name} for {platforms}.

{full} -> {reduced} architectures. Before the experiment:

    from nni_cut import narrow

    narrow(model_space)
"""

import re

from nni.mutable import CategoricalMultiple, MutableSymbol

KEPT = {kept}


def narrow(model_space):
    """Leave in a model space, in place, only what was kept."""
    found = set()
    for leaf in model_space.leaf_mutables(lambda mutable: isinstance(mutable, MutableSymbol)):
        name = re.sub(r"\\W", "_", leaf.label, flags=re.ASCII)
        name = next((known for known in (name, "_" + name) if known in KEPT), None)
        if name is None:
            continue
        found.add(name)
        kept = {{str(candidate) for candidate in KEPT[name]}}
        if isinstance(leaf, CategoricalMultiple):  # inputs that any combination left contains
            kept = {{one for several in kept for one in several.split("+")}}
        numbers = [number for number, value in enumerate(leaf.values) if str(value) in kept]
        if len(kept) != len(numbers):
            raise ValueError(f"{{leaf.label}} has not all of {{KEPT[name]}}: this is not the space that was cut")
        weights = [leaf.weights[number] for number in numbers]
        if getattr(leaf, "n_chosen", 1) is not None:
            weights = [weight / sum(weights) for weight in weights]
        leaf.values, leaf.weights = [leaf.values[number] for number in numbers], weights
        default = leaf.default_value if isinstance(leaf.default_value, list) else [leaf.default_value]
        if any(value not in leaf.values for value in default):
            leaf.default_value = "__missing__"  # NNI's own mark: the first value
    if missing := KEPT.keys() - found:
        raise ValueError(f"the model space lacks {{', '.join(sorted(missing))}}: it is not the space that was cut")
'''


def write_nni(directory: Path) -> list[Path]:
    """Write ``nni_cut.py`` beside a cut; its ``narrow`` applies the cut to the model space that was cut.

    Args:
        directory: What ``cut -o`` or :meth:`Reduction.save` wrote.

    Raises:
        InputError: The directory holds no cut, or a cut of no NNI space.
    """
    full, reduced, *_ = load_reduction(directory)
    if not full.name.startswith("nni:"):
        raise InputError(f"{full.name} is no NNI space; cut one with `spacecut cut nni:PACKAGE.MODULE:FACTORY`")
    kept = {choice.name: list(choice.candidates) for choice in reduced.choices}
    return write_cut_file(directory / FILE, _TEMPLATE, full, reduced, kept=as_python(kept))
