"""An architecture of a cut as Torch-Pruning takes it: a small Python file, with nothing of spacecut needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spacecut.cut.reduction import load_reduction
from spacecut.errors import InputError
from spacecut.integrations.cut_file import as_python, write_cut_file
from spacecut.space import SearchSpace

__all__ = ["write_torch_pruning"]

FILE = "torch_pruning_cut.py"

_TEMPLATE = '''"""The cut of {name} for {platforms}.

{full} -> {reduced} architectures. One of them, such as {{choice: candidate}} from KEPT, for Torch-Pruning:

    import torch_pruning
    from torch_pruning_cut import pruning_ratios

    pruner = torch_pruning.pruner.BasePruner(
        model, example_inputs, importance, pruning_ratio=0.0, ignored_layers=[model.classifier],
        pruning_ratio_dict=pruning_ratios(model, architecture),
    )
    pruner.step()
"""

KEPT = {kept}
# name, kernel, stride, choices that its output channels depend on, output channels by position of their candidates
CONVOLUTIONS = {convolutions}


def widths(architecture):
    """Output channels of every convolution that is not depthwise, in the network's order."""
    found = []
    for _, _, _, choices, width in CONVOLUTIONS:
        for choice in choices:
            width = width[KEPT[choice].index(architecture[choice])]
        found.append(width)
    return found


def pruning_ratios(model, architecture):
    """What share of its channels each convolution loses, by module; depthwise ones follow those before them.

    The model must define its convolutions in the order of the space's network, each at least as wide as asked.
    """
    from torch import nn

    modules = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    if len(modules) != len(CONVOLUTIONS):
        raise ValueError(f"the model has {{len(modules)}} convolutions, and the space {{len(CONVOLUTIONS)}}")
    ratios = {{}}
    for (name, module), (place, kernel, stride, *_), width in zip(modules, CONVOLUTIONS, widths(architecture)):
        if (module.kernel_size, module.stride) != ((kernel, kernel), (stride, stride)):
            raise ValueError(f"{{name}} is no {{kernel}}x{{kernel}} convolution of stride {{stride}}, as {{place}} is")
        if module.out_channels < width:
            raise ValueError(f"{{name}} has {{module.out_channels}} channels, and cannot be pruned to {{width}}")
        lost = module.out_channels - width
        ratios[module] = max(lost - 0.5, 0) / module.out_channels  # Torch-Pruning rounds what is left down
    return ratios
'''


def write_torch_pruning(directory: Path) -> list[Path]:
    """Write ``torch_pruning_cut.py`` beside a cut; its ``pruning_ratios`` go into a pruner's ``pruning_ratio_dict``.

    Args:
        directory: What ``cut -o`` or :meth:`Reduction.save` wrote.

    Raises:
        InputError: The directory holds no cut, or a cut of a space that chooses more than channels.
    """
    full, reduced, *_ = load_reduction(directory)
    kept = {choice.name: list(choice.candidates) for choice in reduced.choices}
    convolutions = as_python(list(_convolutions(reduced)))
    return write_cut_file(directory / FILE, _TEMPLATE, full, reduced, kept=as_python(kept), convolutions=convolutions)


def _convolutions(space: SearchSpace) -> Iterator[tuple[str, int, int, list[str], Any]]:
    """Name, kernel, stride, choices, and output channels over these choices' candidates."""
    for layer in space.layers:
        fixed = [layer.active, *(table for name, table in layer.fields.items() if name != "out_channels")]
        if layer.kind == "select" or any(table.reduced().scope for table in fixed):
            raise InputError(
                f"{space.name}: {layer.name} changes otherwise than in channels, and pruning channels cannot do that"
            )
        if layer.kind != "conv2d" or not layer.active.values.all():
            continue
        kernel, stride = (int(layer.fields[name].reduced().values) for name in ("kernel", "stride"))
        width = layer.fields["out_channels"].reduced()
        names = [space.choices[position].name for position in width.scope]
        yield layer.name, kernel, stride, names, width.values.tolist()
