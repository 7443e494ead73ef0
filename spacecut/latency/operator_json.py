"""Tables of single operators in JSON, as nn-Meter's builder and FBNet's authors write them, as rows of a CSV file.

nn-Meter (Zhang et al., MobiSys 2021) profiles kernels: ``{KERNEL: {ID: {config: {HW, CIN, ...}, latency: "1 +- 0"}}}``,
in ms. FBNet's look-up table (Wu et al., CVPR 2019) has a JSON object a line: a Caffe2 operator's type, arguments and
shapes of inputs, and percentiles of its microseconds. Operators of kinds that spacecut does not have are passed over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spacecut.errors import InputError
from spacecut.space.architectures import Row, Rows
from spacecut.space.text_file import opened_text

__all__ = ["read_json_rows"]

_MS = "ms"
_OPERATOR = (
    "kind", "in_channels", "height", "width", "out_channels", "kernel", "stride", "groups", "reduced", "inputs",
    "activation", _MS,
)  # fmt: skip
_REDUCTION = 4
"""Channels into a squeeze-and-excitation for one inside, in nn-Meter's kernels."""
_KERNEL = re.compile(r"(?P<conv>conv|dwconv)(-bn)?(-(?P<activation>relu6?|hswish))?")
_ACTIVATIONS = {None: "none", "relu": "relu", "relu6": "relu6", "hswish": "hardswish"}
_PLAIN: dict[str, tuple[str, str]] = {
    "maxpool": ("max_pool2d", "none"),
    "avgpool": ("avg_pool2d", "none"),
    "fc": ("linear", "none"),
    "se": ("squeeze_excite", "hardsigmoid"),
    "global-avgpool": ("global_avg_pool", "none"),
    "channelshuffle": ("channel_shuffle", "none"),
    "bn": ("batch_norm", "none"),
    "hswish": ("activation", "hardswish"),
    "relu": ("activation", "relu"),
    "addrelu": ("add", "relu"),
    "add": ("add", "none"),
}
"""Of nn-Meter's kernels that are no convolutions, the kind and activation."""
_CAFFE2 = re.compile(r"(?:Int8)?(?P<type>Conv|FC|Add|Sum|AveragePool|MaxPool)(?P<relu>Relu)?")
_ARGUMENT = re.compile(r'name:\s*"(?P<name>\w+)"\s*(?:i|s):\s*"?(?P<value>\w+)"?\s*')

Fields = dict[str, int | float | str]


def read_json_rows(path: str | Path) -> Rows:
    """Read a JSON file of operators, gzipped or not.

    Columns are an operator's fields, ``ms``, and of FBNet's tables ``batch``, ``device`` and ``data_types``; an empty
    value is the field's default. Rows are numbered from 1 in the file's order.

    Raises:
        InputError: The file is missing or is neither kind of table.
    """
    file = Path(path)
    with opened_text(file, "table of operators") as opened:
        text = opened.read()
    records = _lines(text)
    if records and all(isinstance(record, dict) and "op_type" in record for record in records):
        names = [*_OPERATOR, "batch", "device", "data_types"]
        return Rows(file, names, _rows(file, names, _caffe2, zip(records)))
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file}: no JSON ({error})") from None
    if not isinstance(content, dict) or not all(isinstance(kernel, dict) for kernel in content.values()):
        raise InputError(f"{file}: neither a table of nn-Meter's kernels nor of FBNet's operators")
    entries = ((str(kernel), entry) for kernel, found in content.items() for entry in found.values())
    names = list(_OPERATOR)
    return Rows(file, names, _rows(file, names, _kernel, entries))


def _lines(text: str) -> list[Any]:
    """What each line holds; nothing where they do not hold JSON each."""
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return []


def _rows(
    file: Path, names: list[str], read: Callable[..., Fields | None], entries: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[int, Row]]:
    for number, entry in enumerate(entries, 1):
        try:
            fields = read(*entry)
        except InputError as error:
            raise InputError(f"{file}:{number}: {error}") from None
        if fields is not None:
            yield number, [str(fields.get(name, "")) for name in names]


def _kernel(name: str, entry: Any) -> Fields | None:
    """An entry of nn-Meter's results."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict) or "latency" not in entry:
        raise InputError(f"the {name} has no config or no latency; profile with DETAIL: TRUE, which writes both")
    config = entry["config"]
    ms = str(entry["latency"]).partition("+-")[0].strip()
    match = _KERNEL.fullmatch(name)
    if match is None and name not in _PLAIN:
        return None
    size, channels = _count(config, "HW", 1), _count(config, "CIN")
    fields: Fields = {"in_channels": channels, "height": size, "width": size, "out_channels": channels, _MS: ms}
    if match is not None:
        deep = match["conv"] == "dwconv"
        kind = "depthwise_conv2d" if deep else "conv2d"
        window: Fields = {"kernel": _count(config, "KERNEL_SIZE"), "stride": _count(config, "STRIDES")}
        out = channels if deep else _count(config, "COUT")
        return fields | window | {"kind": kind, "out_channels": out, "activation": _ACTIVATIONS[match["activation"]]}
    kind, activation = _PLAIN[name]
    fields |= {"kind": kind, "activation": activation}
    if kind == "linear":
        fields["out_channels"] = _count(config, "COUT")
    elif kind.endswith("pool2d"):
        fields |= {"kernel": _count(config, "KERNEL_SIZE"), "stride": _count(config, "POOL_STRIDES")}
    elif kind == "squeeze_excite":
        fields["reduced"] = max(channels // _REDUCTION, 1)
    elif kind == "add":
        fields["inputs"] = 2
    elif kind == "channel_shuffle":
        fields["groups"] = 2
    return fields


def _caffe2(record: Mapping[str, Any]) -> Fields | None:
    """A line of FBNet's table."""
    kind = str(record["op_type"])
    match = _CAFFE2.fullmatch(kind)
    if match is None:
        return None
    try:
        image, *others = [[int(size) for size in shape] for shape in record["input_shapes"]]
        written = [_ARGUMENT.fullmatch(str(argument).strip()) for argument in record["op_args"]]
        ms = float(record["runtime_us_p50"]) / 1000
    except (KeyError, TypeError, ValueError):
        raise InputError(f"the {kind} lacks input_shapes, op_args or runtime_us_p50") from None
    said = {argument["name"]: argument["value"] for argument in written if argument is not None}
    last = kind.startswith("Int8") or said.get("order") == "NHWC"  # where the channels stand
    if match["type"] == "FC":
        image = [image[0], 1, 1, math.prod(image[1:])] if last else [image[0], math.prod(image[1:]), 1, 1]
    weights = others[0] if others else []
    if len(image) != 4 or (match["type"] == "Conv" and len(weights) != 4) or (match["type"] == "FC" and not weights):
        raise InputError(f"the {kind} has the shapes {record['input_shapes']}, and must have an image's")
    batch, channels, height, width = (image[place] for place in ((0, 3, 1, 2) if last else (0, 1, 2, 3)))
    fields: Fields = {
        "in_channels": channels,
        "height": height,
        "width": width,
        "out_channels": channels,
        "activation": "relu" if match["relu"] else "none",
        "batch": batch,
        "device": str(record.get("device", "")),
        "data_types": " ".join(map(str, record.get("input_dtypes", []))),
        _MS: ms,
    }
    window: Fields = {"kernel": said.get("kernel", ""), "stride": said.get("stride", "1")}
    if match["type"] == "Conv":
        groups = int(said.get("group", "1"))
        fields |= window | {"out_channels": weights[0], "kernel": weights[1 if last else 2]}
        deep = groups == channels == weights[0] and groups > 1
        return fields | ({"kind": "depthwise_conv2d"} if deep else {"kind": "conv2d", "groups": groups})
    if match["type"] == "FC":
        return fields | {"kind": "linear", "out_channels": weights[0]}
    if match["type"] in ("Add", "Sum"):
        return fields | {"kind": "add", "inputs": len(others) + 1}
    if said.get("global_pooling") == "1" and match["type"] == "AveragePool":
        return fields | {"kind": "global_avg_pool"}
    return fields | window | {"kind": "avg_pool2d" if match["type"] == "AveragePool" else "max_pool2d"}


def _count(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A number of a kernel's configuration."""
    value = config.get(name, default)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} is {value!r}, and must be a whole number")
    return value
