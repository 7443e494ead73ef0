"""Latencies of single operators that someone else measured, as CSV files have them; what a space costs by them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from spacecut.errors import InputError, MeasurementError
from spacecut.latency.correction import Correction
from spacecut.latency.estimator import Costs, estimate
from spacecut.latency.evidence import Evidence
from spacecut.latency.fit import LEAST_CORRELATION, accuracy_of
from spacecut.latency.model import LatencyModel
from spacecut.latency.operator_json import read_json_rows
from spacecut.latency.recorded import CostTable, RecordedPlatform
from spacecut.operators import Operator, expand
from spacecut.operators.operator import COLUMNS, CONTEXT, KIND_NAMES, decode, encode, family_columns, family_numbers
from spacecut.space import SearchSpace
from spacecut.space.architectures import Rows, read_rows
from spacecut.space.layers import ACTIVATIONS, KINDS
from spacecut.space.place import hint

__all__ = ["OperatorTable", "fit_operators", "read_operators"]

_NAMES = {
    "kind": ("kind", "operator", "op", "conv_type"),
    "in_channels": ("in_channels", "in_c", "cin"),
    "height": ("height", "in_h", "h"),
    "width": ("width", "in_w", "w"),
    "out_channels": ("out_channels", "out_c", "cout"),
    "kernel": ("kernel", "kernel_size", "k"),
    "stride": ("stride", "s"),
    "groups": ("groups",),
    "reduced": ("reduced",),
    "inputs": ("inputs",),
    "activation": ("activation",),
}
"""What a column of an operator may be called in a file."""
_REQUIRED = ("kind", "in_channels", "height", "width", "out_channels", "kernel", "stride")
_KINDS = {"regular": "conv2d", "conv": "conv2d", "depthwise": "depthwise_conv2d", "dwconv": "depthwise_conv2d"}
_FUSING = tuple(kind for kind, rules in KINDS.items() if rules.defaults.get("activation") == "none")
"""Kinds that an activation is fused into."""
_FOLDS = 5
_ACTIVATION, _KIND = COLUMNS.index("activation"), COLUMNS.index("kind")


@dataclass(frozen=True)
class OperatorTable:
    """Operators with what each took.

    Attributes:
        operators: Distinct ones.
        ms: Milliseconds, the median where one is listed again, ``[operators]``.
        repeated: How many rows of the file listed an operator again.
        source: Name of the file.
        column: Name of the column of milliseconds, and which rows were taken.
        activations: Whether the file tells fused activations apart; where it does not, the operators have none.
    """

    operators: Sequence[Operator]
    ms: np.ndarray
    repeated: int
    source: str
    column: str
    activations: bool


def read_operators(
    path: str | Path, where: Mapping[str, str] | None = None, column: str | None = None
) -> OperatorTable:
    """Read a CSV file with one operator a row, or JSON of nn-Meter's kernels or FBNet's operators; gzipped or not.

    Args:
        path: The file: the columns ``kind``, ``in_channels``, ``height``, ``width``, ``out_channels``, ``kernel`` and
            ``stride``, or what profilers call them (``conv_type``, ``in_c``, ``in_h``, ...), maybe ``groups``,
            ``reduced``, ``inputs`` and ``activation``, and milliseconds in a column whose name ends in ``ms``. An empty
            value is an operator's default.
        where: Only rows with these words in these columns. Any other column must hold the same in all rows taken.
        column: The column of milliseconds, where there are several.

    Raises:
        InputError: The file is missing or broken, or a row holds something else; the row is named.
    """
    rows = (
        read_json_rows(path) if str(path).endswith((".json", ".json.gz")) else read_rows(path, "CSV file of operators")
    )
    wanted = dict(where or {})
    places = {name: rows.names.index(word) for name, words in _NAMES.items() for word in words if word in rows.names}
    if missing := [name for name in _REQUIRED if name not in places]:
        words = " or ".join(_NAMES[missing[0]])
        raise InputError(f"{rows.file}: no column {words}; its columns are {', '.join(rows.names)}")
    if strange := [name for name in wanted if name not in rows.names]:
        raise InputError(f"{rows.file}: no column {strange[0]!r}; {hint(strange[0], rows.names)}")
    taken = _column(rows, places, wanted, column)
    conditions = [(rows.names.index(name), word) for name, word in wanted.items()]
    others = [n for n in range(len(rows.names)) if n not in (taken, *places.values(), *(p for p, _ in conditions))]
    same: dict[int, str] = {}
    found: dict[Operator, list[float]] = defaultdict(list)
    for line, row in rows:
        if any(row[place].strip() != word for place, word in conditions):
            continue
        for place in others:
            if row[place] != same.setdefault(place, row[place]):
                name = rows.names[place]
                raise InputError(
                    f"{rows.file}:{line}: {name} is {row[place]!r}, and {same[place]!r} above; say which rows to take "
                    f"with --where {name}={row[place]}"
                )
        try:
            operator = _operator({name: row[place].strip() for name, place in places.items()})
            found[operator].append(_milliseconds(row[taken]))
        except InputError as error:
            raise InputError(f"{rows.file}:{line}: {error}") from None
    if not found:
        raise InputError(f"{rows.file}: no row is left; say with --where which to take")
    said = " ".join([rows.names[taken], *(f"{name}={word}" for name, word in wanted.items())])
    ms = np.asarray([float(np.median(values)) for values in found.values()])
    repeated = sum(map(len, found.values())) - len(found)
    fused = {(operator.kind, operator.activation) for operator in found if operator.kind in _FUSING}
    told = len(fused) > len({kind for kind, _ in fused})
    operators = found if told else map(_without_activation, found)
    return OperatorTable(tuple(operators), ms, repeated, rows.file.name, said, told)


def fit_operators(space: SearchSpace, table: OperatorTable, without: Sequence[str] = ()) -> RecordedPlatform:
    """What a space's candidates cost by a table of operators.

    An operator of the space that is not in the table is estimated from those that differ from it in width only, by
    steps that are found in the table (see :mod:`spacecut.latency.estimator`). Where the table has each kind with one
    activation only, what is fused into it does not matter.

    Args:
        space: The space.
        table: The operators.
        without: Kinds of operator that are to cost nothing.

    Raises:
        InputError: The table has nothing like some operator of the space; all that it lacks is named.
        MeasurementError: Operators left out in turn are not predicted.
    """
    if strange := [kind for kind in without if kind not in KIND_NAMES]:
        raise InputError(f"there is no kind of operator {strange[0]!r}; {hint(strange[0], KIND_NAMES)}")
    workload = expand(space)
    rows = workload.rows.copy()
    rows[:, [COLUMNS.index(name) for name in CONTEXT]] = 0  # alone, they have no network around
    if not table.activations:
        fusing = np.isin(rows[:, _KIND], [KIND_NAMES.index(kind) for kind in _FUSING])
        rows[fusing, _ACTIVATION] = ACTIVATIONS.index("none")
    counted = ~np.isin(rows[:, _KIND], [KIND_NAMES.index(kind) for kind in without])
    known = encode(list(table.operators))
    families = {tuple(row) for row in family_columns(known).tolist()}
    lacking = [row for row in rows[counted] if tuple(family_columns(row[None])[0].tolist()) not in families]
    if lacking:
        kinds = ", ".join(sorted({KIND_NAMES[row[_KIND]] for row in lacking}))
        raise InputError(
            f"{table.source} has nothing like {len(lacking)} of the {len(rows)} operators of {space.name}, such as "
            f"{decode(lacking[0])}; add them, or leave out whole kinds ({kinds}) with --without"
        )
    asked = {tuple(row) for row in family_columns(rows[counted]).tolist()}
    ours = np.asarray([tuple(row) in asked for row in family_columns(known).tolist()])
    evidence = _evidence([o for o, one in zip(table.operators, ours, strict=True) if one], table.ms[ours])
    predicted = _left_out(evidence)
    told = np.isfinite(predicted)
    if not told.any():
        raise MeasurementError(
            f"{table.source} has no two operators of {space.name} that differ in width only; add rows"
        )
    held_out = accuracy_of(predicted[told], evidence.cost[told])
    if held_out.rank_correlation < LEAST_CORRELATION:
        raise MeasurementError(
            f"{table.column} of {table.source} does not fit: on operators left out the rank correlation is "
            f"{held_out.rank_correlation:.2f} (at least {LEAST_CORRELATION}); give more rows"
        )
    mean, error = np.zeros(len(rows)), np.zeros(len(rows))
    costs = estimate(evidence, rows[counted])
    mean[counted], error[counted] = costs.mean, costs.error
    model = LatencyModel(workload, Costs(mean, error, np.zeros(len(rows))), Correction(0.0, math.nan, 0))
    overhead, tables = 0.0, []
    for summed, variance in zip(model.tables, model.variances, strict=True):
        if not summed.scope:
            overhead += float(summed.values)
        else:
            choices = [space.choices[position] for position in summed.scope]
            tables.append(
                CostTable(
                    tuple(choice.name for choice in choices),
                    tuple(choice.candidates for choice in choices),
                    tuple(summed.values.ravel().tolist()),
                    tuple(np.sqrt(variance.values).ravel().tolist()),
                )
            )
    return RecordedPlatform(
        space.name,
        table.source,
        table.column,
        len(evidence.operators),
        None,
        datetime.now(UTC).isoformat(timespec="seconds"),
        "operators measured alone" + "".join(f", without {kind}" for kind in without),
        overhead,
        held_out,
        None,
        tuple(tables),
    )


def _column(rows: Rows, places: Mapping[str, int], where: Mapping[str, str], wanted: str | None) -> int:
    """Position of the column of milliseconds."""
    names = [name for name in rows.names if name.endswith("ms") and name not in where]
    if wanted is not None:
        if wanted not in rows.names or rows.names.index(wanted) in places.values():
            raise InputError(f"{rows.file}: no column of latencies {wanted!r}; {hint(wanted, names)}")
        return rows.names.index(wanted)
    if len(names) != 1:
        shown = ", ".join(names) or "none whose name ends in ms"
        raise InputError(f"{rows.file}: which column holds the latency? It has {shown}; name one with --column")
    return rows.names.index(names[0])


def _operator(values: Mapping[str, str]) -> Operator:
    kind = _KINDS.get(values["kind"].lower(), values["kind"])
    if kind not in KIND_NAMES:
        raise InputError(f"there is no kind of operator {kind!r}; {hint(kind, KIND_NAMES)}")
    activation = values.get("activation") or str(KINDS[kind].defaults.get("activation", "none"))
    if activation not in ACTIVATIONS:
        raise InputError(f"there is no activation {activation!r}; {hint(activation, ACTIVATIONS)}")
    numbers: dict[str, Any] = {"inputs": 2} if kind == "add" else {}
    for name, text in values.items():
        if name in ("kind", "activation") or not text:
            continue
        if not text.isdecimal() or int(text) < 1:
            raise InputError(f"{name} is {text!r}, and must be a whole number above 0")
        numbers[name] = int(text)
    try:
        return Operator(kind, activation=activation, **numbers)
    except TypeError:
        missing = next(name for name in _REQUIRED if name not in ("kind", *numbers))
        raise InputError(f"{missing} is empty; give the {kind}'s") from None


def _without_activation(operator: Operator) -> Operator:
    return replace(operator, activation="none") if operator.kind in _FUSING else operator


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"the latency is {text!r}, which is no number") from None
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"the latency is {text}, and must be a number above 0")
    return value


def _evidence(operators: Sequence[Operator], ms: np.ndarray) -> Evidence:
    """Each operator seen once, alone."""
    numbers = np.arange(len(ms))
    return Evidence(list(operators), numbers, numbers, ms, np.full(len(ms), np.nan), {})


def _left_out(evidence: Evidence) -> np.ndarray:
    """Milliseconds of each operator by the others, a fold at a time; NaN where no other is like it."""
    predicted = np.full(len(evidence.cost), np.nan)
    families = family_numbers(evidence.rows)
    fold = np.random.default_rng(0).permutation(len(predicted)) % _FOLDS
    for number in range(_FOLDS):
        kept = fold != number
        out = np.flatnonzero(~kept & np.isin(families, families[kept]))
        if not len(out):
            continue
        some = _evidence([evidence.operators[place] for place in np.flatnonzero(kept)], evidence.cost[kept])
        predicted[out] = estimate(some, evidence.rows[out]).mean
    return predicted
