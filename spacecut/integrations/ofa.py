"""What blocks of a cut space take, as the latency tables of Once-for-all and ProxylessNAS are written."""

from __future__ import annotations

from pathlib import Path

import yaml

from spacecut.cut.reduction import load_reduction, saved
from spacecut.latency import table_of

__all__ = ["write_ofa"]


def write_ofa(directory: Path) -> list[Path]:
    """Write ``blocks.yaml`` beside a cut, ``blocks-2.yaml`` for its second platform and so on.

    Each maps a block's key to its ``mean`` in ms, as it is inside a network, and a ``count`` of 1.

    Args:
        directory: What ``cut -o`` or :meth:`Reduction.save` wrote.

    Raises:
        InputError: The directory holds no cut, or a cut of a space that is not made of inverted residuals.
    """
    paths = []
    for number, (_, certificate) in enumerate(saved(directory), 1):
        _, reduced, profile, _ = load_reduction(directory, certificate.platform)
        table = table_of(profile.latency_model(reduced))
        paths.append(directory / ("blocks.yaml" if number == 1 else f"blocks-{number}.yaml"))
        paths[-1].write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")
    return paths
