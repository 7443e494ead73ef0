"""Latencies of whole blocks, as ProxylessNAS and Once-for-all publish them; what a space costs by them, and back.

Their tables (Cai et al., ProxylessNAS, ICLR 2019; OFA, ICLR 2020) are YAML: a block's key, such as
``expanded_conv-input:56x56x24-output:56x56x24-expand:3-kernel:5-stride:1-idskip:1``, with the mean of its
milliseconds. Blocks of a space are found in its network: an inverted residual around each depthwise convolution, the
convolution before all (``Conv``), others (``Conv_1``), and the classifier with the pooling before it (``Logits``).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from spacecut.errors import InputError
from spacecut.latency.model import LatencyModel
from spacecut.latency.recorded import CostTable, RecordedPlatform
from spacecut.operators import ABSENT, Operator, Workload, expand
from spacecut.space import SearchSpace
from spacecut.space.table import Table
from spacecut.space.walk import Layer

__all__ = ["BlockTable", "blocks_of", "fit_blocks", "read_blocks", "table_of"]

_KEY = re.compile(r"(?P<kind>\w+)-input:(?P<input>\d+(x\d+)*)-output:(?P<output>\d+(x\d+)*)(?P<rest>(-\w+:\d+)*)")
_ALONE = ("conv2d", "linear", "global_avg_pool")
"""Kinds of layer that may be a block of their own."""
_MOST = 200_000
"""Combinations of candidates that one block may depend on."""

Key = tuple[tuple[str, str], ...]
"""What tells a block, by name: ``kind``, ``input``, ``output`` and the attributes of its key."""


@dataclass(frozen=True)
class BlockTable:
    """Blocks with their ms, by what their keys say.

    Attributes:
        ms: Milliseconds.
        source: Name of the file.
    """

    ms: Mapping[Key, float]
    source: str


@dataclass(frozen=True)
class Block:
    """A block of a space's network.

    Attributes:
        factors: Numbers of the workload's factors that it is made of.
        scope: Positions of the choices that it depends on, ascending.
        key: What each combination's key says, ``[combinations]``, the last choice running fastest; empty where the
            block is not there.
    """

    factors: tuple[int, ...]
    scope: tuple[int, ...]
    key: tuple[Mapping[str, str], ...]


def read_blocks(path: str | Path) -> BlockTable:
    """Read a table of blocks: YAML (or JSON), keys with their milliseconds or with ``{mean: ms}``.

    Raises:
        InputError: The file is missing or holds something else; the key is named.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a YAML table of blocks") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: no table of blocks; it must map keys to milliseconds")
    found: dict[Key, float] = {}
    for key, value in content.items():
        match = _KEY.fullmatch(str(key))
        if match is None:
            raise InputError(f"{path}: {key!r} is no block; write expanded_conv-input:56x56x24-output:... and so on")
        ms = value.get("mean") if isinstance(value, dict) else value
        if isinstance(ms, bool) or not isinstance(ms, int | float) or not (math.isfinite(ms) and ms > 0):
            raise InputError(f"{path}: {key!r} takes {ms!r}, and must take a number of ms above 0")
        said = {"kind": match["kind"], "input": match["input"], "output": match["output"]}
        for part in match["rest"].split("-")[1:]:
            name, _, word = part.partition(":")
            said[name] = word
        found[tuple(sorted(said.items()))] = float(ms)
    return BlockTable(found, Path(path).name)


def fit_blocks(space: SearchSpace, table: BlockTable) -> RecordedPlatform:
    """What a space's candidates cost by a table of blocks; nothing is estimated between its entries.

    Raises:
        InputError: The table lacks a block of the space, or the space has a layer that belongs to no block; named.
    """
    workload = expand(space)
    overhead = 0.0
    tables: list[CostTable] = []
    lacking: set[str] = set()
    used: set[Key] = set()
    told: dict[str, set[str]] = {}
    for key in table.ms:
        told.setdefault(dict(key)["kind"], set()).update(name for name, _ in key)
    for block in blocks_of(workload):
        ms = np.zeros(len(block.key))
        for place, said in enumerate(block.key):
            if not said:
                continue
            # What the table does not tell apart for such a block does not matter there.
            known = told.get(said["kind"], set())
            entry = tuple(sorted((name, word) for name, word in said.items() if name in known))
            if entry not in table.ms:
                lacking.add(_written(said))
            else:
                ms[place] = table.ms[entry]
                used.add(entry)
        if block.scope:
            choices = [space.choices[position] for position in block.scope]
            names, candidates = tuple(c.name for c in choices), tuple(c.candidates for c in choices)
            tables.append(CostTable(names, candidates, tuple(ms.tolist()), (0.0,) * len(ms)))
        else:
            overhead += float(ms[0])
    if lacking:
        raise InputError(
            f"{table.source} lacks {len(lacking)} blocks of {space.name}, such as {min(lacking)}; add them"
        )
    met = {name for each in tables for name in each.choices}
    for choice in space.choices:
        if choice.name not in met:  # no block depends on it
            nothing = (0.0,) * len(choice)
            tables.append(CostTable((choice.name,), (choice.candidates,), nothing, nothing))
    return RecordedPlatform(
        space.name,
        table.source,
        "ms",
        len(used),
        None,
        datetime.now(UTC).isoformat(timespec="seconds"),
        "blocks measured alone",
        overhead,
        None,
        None,
        tuple(tables),
    )


def blocks_of(workload: Workload) -> list[Block]:
    """The blocks of a space's network.

    Raises:
        InputError: A layer belongs to no block, or a block depends on too many choices at once; the layer is named.
    """
    found: list[Block] = []
    for members in _grouped(workload):
        factors = [workload.factors[number] for number in members]
        scope = tuple(sorted({position for factor in factors for position in factor.scope}))
        lengths = [workload.space.lengths[position] for position in scope]
        if math.prod(lengths) > _MOST:
            name = workload.space.layers[factors[0].layer].name
            raise InputError(f"{workload.space.name}: the block at {name} depends on too many choices at once")
        numbers = np.zeros((math.prod(lengths), len(workload.space.lengths)), dtype=np.int64)
        numbers[:, list(scope)] = np.argwhere(np.ones(lengths))
        columns = [factor.index[tuple(numbers[:, position] for position in factor.scope)] for factor in factors]
        rows = np.stack([np.broadcast_to(column, len(numbers)) for column in columns], axis=1)
        told: dict[tuple[int, ...], Mapping[str, str]] = {}
        key = []
        for row in map(tuple, rows.tolist()):
            if row not in told:
                told[row] = _said([workload.operators[number] for number in row if number != ABSENT], not found)
            key.append(told[row])
        found.append(Block(tuple(members), scope, tuple(key)))
    return found


def _grouped(workload: Workload) -> Iterator[list[int]]:
    """Numbers of the factors of each block, in the network's order."""
    layers = workload.space.layers
    place = {factor.layer: number for number, factor in enumerate(workload.factors)}
    readers: dict[int, list[int]] = defaultdict(list)
    for number, layer in enumerate(layers):
        for source in layer.inputs:
            readers[source].append(number)
    taken: set[int] = set()
    groups: dict[int, list[int]] = {}
    for number, layer in enumerate(layers):
        if layer.kind == "depthwise_conv2d":
            members = _residual(layers, readers, number, taken)
        elif layer.kind == "global_avg_pool" and [layers[reader].kind for reader in readers[number]] == ["linear"]:
            members = [number, *readers[number]]
        else:
            continue
        taken.update(members)
        groups[members[0]] = members
    for number, layer in enumerate(layers):
        if number in groups:
            yield [place[member] for member in groups[number] if member in place]
        elif number in place and number not in taken:
            if layer.kind not in _ALONE:
                where = f"the {layer.kind} at {layer.name}"
                raise InputError(f"{workload.space.name}: a table of blocks has nothing like {where}")
            yield [place[number]]


def _residual(
    layers: Sequence[Layer], readers: Mapping[int, Sequence[int]], middle: int, taken: Container[int]
) -> list[int]:
    """The layers of the inverted residual around a depthwise convolution."""
    members = [middle]
    before = layers[middle].inputs[0]
    if before >= 0 and before not in taken and _pointwise(layers[before]) and readers[before] == [middle]:
        members.insert(0, before)
    last = middle
    while layers[last].kind != "conv2d" and len(after := readers[last]) == 1:
        if layers[after[0]].kind not in ("squeeze_excite", "conv2d"):
            break
        last = after[0]
        members.append(last)
    entered = layers[members[0]].inputs[0]
    sums = [one for one in readers[last] if layers[one].kind == "add" and entered in layers[one].inputs]
    return [*members, *sums[:1]]


def _pointwise(layer: Layer) -> bool:
    return layer.kind == "conv2d" and bool((layer.fields["kernel"].values == 1).all())


def _said(operators: Sequence[Operator], first: bool) -> Mapping[str, str]:
    """What the key of a block of these operators says; nothing where there is none."""
    if not operators:
        return {}
    kinds = {operator.kind: operator for operator in operators}
    before, after = operators[0], [operator for operator in operators if operator.kind != "add"][-1]
    said = {"input": _shape(before.input_shape), "output": _shape(after.output_shape)}
    if "linear" in kinds:
        return {"kind": "Logits", "input": said["input"], "output": str(after.out_channels)}
    if "depthwise_conv2d" not in kinds:
        return {"kind": {"conv2d": "Conv" if first else "Conv_1"}.get(before.kind, "AvgPool2D"), **said}
    middle = kinds["depthwise_conv2d"]
    return {
        "kind": "expanded_conv",
        **said,
        "expand": str(round(middle.in_channels / before.in_channels)),
        "kernel": str(middle.kernel),
        "stride": str(middle.stride),
        "idskip": str(int("add" in kinds)),
        "se": str(int("squeeze_excite" in kinds)),
        "hs": str(int(middle.activation == "hardswish")),
    }


def _shape(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{height}x{width}x{channels}"


def _written(said: Mapping[str, str]) -> str:
    """A key as the tables write it."""
    rest = (f"-{name}:{word}" for name, word in said.items() if name not in ("kind", "input", "output"))
    return f"{said['kind']}-input:{said['input']}-output:{said['output']}{''.join(rest)}"


def table_of(model: LatencyModel) -> dict[str, dict[str, float]]:
    """The blocks of a model's space with their milliseconds, as such tables have them.

    Raises:
        InputError: The model knows candidates rather than operators, or as :func:`blocks_of`.
    """
    if model.combinations is not None:
        raise InputError("a recorded platform knows no operators, so nothing can be said of blocks; measure a platform")
    cost = np.append(model.costs.mean, 0.0)  # the last entry serves ABSENT, which is -1
    found: dict[str, dict[str, float]] = {}
    for block in blocks_of(model.workload):
        factors = [model.workload.factors[number] for number in block.factors]
        lengths = [model.space.lengths[position] for position in block.scope]
        total = sum(Table(factor.scope, cost[factor.index]).over(block.scope) for factor in factors)
        for said, ms in zip(block.key, np.broadcast_to(total, lengths).ravel().tolist(), strict=True):
            if said:
                found[_written(said)] = {"count": 1, "mean": ms}
    return found
