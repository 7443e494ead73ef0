"""Tables of operators as nn-Meter and FBNet write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from models import space_of

from spacecut.errors import InputError
from spacecut.latency import fit_operators, read_operators

CONV = {"HW": 14, "CIN": 8, "COUT": 16, "KERNEL_SIZE": 3, "STRIDES": 2}
ORDER = ['name: "order"\ns: "NHWC"\n', 'name: "stride"\ni: 2\n', 'name: "kernel"\ni: 3\n']


def told(path: Path) -> dict[str, float]:
    table = read_operators(path)
    return {str(operator): ms for operator, ms in zip(table.operators, table.ms.tolist(), strict=True)}


def kernels(path: Path, **found: list[tuple[dict[str, int], str]]) -> Path:
    content = {
        kernel.replace("_", "-"): {
            f"id_{number}": {"model": "x", "config": config, "latency": ms} for number, (config, ms) in enumerate(rows)
        }
        for kernel, rows in found.items()
    }
    path.write_text(json.dumps(content))
    return path


def caffe2(kind: str, shapes: list[list[int]], microseconds: float, *arguments: str, device: str = "S8") -> str:
    record = {"op_type": kind, "op_args": list(arguments), "input_shapes": shapes, "input_dtypes": [3, 3, 2]}
    return json.dumps(record | {"runtime_us_p50": microseconds, "device": device})


def test_the_kernels_of_nn_meter_are_operators(tmp_path: Path) -> None:
    path = kernels(
        tmp_path / "k.json",
        conv_bn_relu=[(CONV, "1.5 +- 0.1")],
        conv_bn=[(CONV, "1.4 +- 0.1")],
        dwconv_bn_relu6=[({**CONV, "COUT": 8}, "0.25 +- 0.0")],
        fc=[({"CIN": 64, "COUT": 10}, "0.1 +- 0.01")],
        se=[({"HW": 7, "CIN": 32}, "0.2")],
        add=[({"HW": 7, "CIN": 32}, "0.05 +- 0.0")],
        hswish=[({"HW": 7, "CIN": 32}, "0.04 +- 0.0")],
        global_avgpool=[({"HW": 7, "CIN": 32}, "0.03 +- 0.0")],
        maxpool=[({"HW": 14, "CIN": 8, "COUT": 8, "KERNEL_SIZE": 3, "POOL_STRIDES": 2}, "0.02 +- 0.0")],
        split=[({"HW": 14, "CIN": 8}, "9 +- 0")],
    )
    assert told(path) == {
        "conv2d 8->16 @14x14 k3 s2 relu": 1.5,
        "conv2d 8->16 @14x14 k3 s2": 1.4,
        "depthwise_conv2d 8 @14x14 k3 s2 relu6": 0.25,
        "linear 64->10 @1x1": 0.1,
        "squeeze_excite 32 @7x7 r8 hardsigmoid": 0.2,
        "add 32 @7x7 x2": 0.05,
        "activation 32 @7x7 hardswish": 0.04,
        "global_avg_pool 32 @7x7": 0.03,
        "max_pool2d 8 @14x14 k3 s2": 0.02,
    }


def test_the_operators_of_fbnet_are_operators(tmp_path: Path) -> None:
    lines = [
        caffe2("NCHW2NHWC", [[1, 3, 224, 224]], 276),
        caffe2("Int8ConvRelu", [[1, 112, 112, 32], [16, 3, 3, 32], [16]], 960, *ORDER),
        caffe2("Int8Conv", [[1, 112, 112, 32], [16, 1, 1, 32], [16]], 674, ORDER[0]),
        caffe2("Int8ConvRelu", [[1, 56, 56, 32], [32, 3, 3, 1], [32]], 363, *ORDER, 'name: "group"\ni: 32\n'),
        caffe2("Int8AveragePool", [[1, 7, 7, 64]], 10, 'name: "global_pooling"\ni: 1\n'),
        caffe2("Int8FC", [[1, 1, 1, 64], [10, 64], [10]], 20),
        caffe2("Int8Add", [[1, 7, 7, 64], [1, 7, 7, 64]], 5),
    ]
    path = tmp_path / "lut.json.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    expected = {
        "conv2d 32->16 @112x112 k3 s2 relu": 0.96,
        "conv2d 32->16 @112x112 k1 s1": 0.674,
        "depthwise_conv2d 32 @56x56 k3 s2 relu": 0.363,
        "global_avg_pool 64 @7x7": 0.01,
        "linear 64->10 @1x1": 0.02,
        "add 64 @7x7 x2": 0.005,
    }
    assert told(path) == {name: pytest.approx(ms) for name, ms in expected.items()}


def test_floating_point_operators_of_fbnet_have_their_channels_first(tmp_path: Path) -> None:
    path = tmp_path / "lut.json"
    path.write_text(caffe2("Conv", [[1, 3, 32, 16], [8, 3, 5, 5], [8]], 100, 'name: "stride"\ni: 1\n') + "\n")
    assert told(path) == {"conv2d 3->8 @32x16 k5 s1": pytest.approx(0.1)}


def test_tables_of_several_devices_are_read_one_by_one(tmp_path: Path) -> None:
    shapes = [[1, 7, 7, 64], [1, 7, 7, 64]]
    path = tmp_path / "lut.json"
    path.write_text("\n".join([caffe2("Int8Add", shapes, 5), caffe2("Int8Add", shapes, 7, device="S9")]))
    with pytest.raises(InputError, match=r"lut.json:2: device is 'S9', and 'S8' above.*--where device=S9"):
        read_operators(path)
    assert read_operators(path, {"device": "S9"}).ms.tolist() == [0.007]


def test_a_space_is_priced_whatever_is_fused_where_the_table_has_one_activation(tmp_path: Path) -> None:
    rows = [
        ({"HW": 6, "CIN": 4, "COUT": out, "KERNEL_SIZE": 3, "STRIDES": 1}, f"{0.1 * -(-out // 32)} +- 0")
        for out in range(8, 129, 8)
    ]
    conv = {"conv2d": {"out_channels": "width", "kernel": 3, "activation": "hardswish"}}
    space = space_of({"width": {"candidates": [16, 32, 48, 64], "order": "larger"}}, [conv])
    model = fit_operators(space, read_operators(kernels(tmp_path / "k.json", conv_bn_relu=rows))).latency_model(space)
    assert [model.predict({"width": width})[0] for width in (16, 64)] == pytest.approx([0.1, 0.2], rel=0.05)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nothing", "no JSON"),
        ("[1, 2]", "neither a table of nn-Meter's kernels nor of FBNet's"),
        ('{"conv-bn": {"a": {"latency": "1 +- 0"}}}', "k.json:1: the conv-bn has no config.*DETAIL: TRUE"),
        ('{"fc": {"a": {"config": {"CIN": "x"}, "latency": "1 +- 0"}}}', "CIN is 'x'"),
        ('{"fc": {"a": {"config": {"CIN": 4, "COUT": 4}, "latency": "-1 +- 0"}}}', "latency is -1"),
        ('{"op_type": "Int8Conv"}', "k.json:1: the Int8Conv lacks input_shapes"),
        (caffe2("Int8Conv", [[1, 7, 7, 8]], 1), "must have an image's"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_operators(path)
    with pytest.raises(InputError, match="there is no file"):
        read_operators(tmp_path / "none.json")
