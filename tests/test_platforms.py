from __future__ import annotations

import pytest

from spacecut.errors import InputError, PlatformUnavailable
from spacecut.platforms import PlatformName, Status, get_platform, platform_statuses
from spacecut.platforms.attribution import charge, owner
from spacecut.platforms.litert import LiteRt
from spacecut.testing import PlatformContract


class TestOnnxRuntime(PlatformContract):
    platform_name = "onnxruntime"


class TestOpenVino(PlatformContract):
    platform_name = "openvino"


class TestLiteRt(PlatformContract):
    platform_name = "litert"


def test_names_are_taken_apart():
    assert PlatformName.parse("ethos-u/u55-128:int8") == PlatformName("ethos-u", "u55-128", "int8")
    assert PlatformName.parse("openvino") == PlatformName("openvino")
    assert str(PlatformName.parse("torch/cuda:fp16")) == "torch/cuda:fp16"


@pytest.mark.parametrize("text", ["", "Open Vino", "a:b:c", "a//b", ":int8"])
def test_bad_names_are_refused(text):
    with pytest.raises(InputError, match="no platform name"):
        PlatformName.parse(text)


def test_unknown_platform_names_a_close_one():
    with pytest.raises(InputError, match="did you mean openvino"):
        get_platform("openvin")


def test_a_missing_runtime_says_what_to_install(monkeypatch):
    reason = Status.missing("ai-edge-litert", ModuleNotFoundError("no"))
    assert "pip install ai-edge-litert" in reason.reason
    monkeypatch.setattr(LiteRt, "status", classmethod(lambda cls: reason))
    assert not platform_statuses()["litert"].available
    with pytest.raises(PlatformUnavailable, match="pip install ai-edge-litert"):
        get_platform("litert")


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("n3.conv", 3),
        ("n0.out_nchwc", 0),
        ("n12.conv/WithoutBiases", 12),
        ("fused n6.gemm", 6),
        ("n1.conv_n2.add", 2),
        ("ReorderOutput_token_12", None),
        ("conv3.x", None),
    ],
)
def test_owner_of_a_runtime_node(name, node):
    assert owner(name) == node


def test_inserted_nodes_are_charged_to_the_operator_before_them_but_not_at_the_ends():
    executed = [
        (None, [9.0, 9.0]),  # converts the network's input
        (0, [1.0, 2.0]),
        (None, [0.5, 0.5]),
        (1, [3.0, 3.0]),
        (1, [0.25, 0.25]),  # one operator made of two runtime nodes
        (None, [7.0, 7.0]),  # converts the network's output
    ]
    assert charge(executed) == {0: [1.5, 2.5], 1: [3.25, 3.25]}
