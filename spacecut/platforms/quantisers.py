"""Post-training quantisation to int8 by the quantiser that each runtime's own project offers.

Weights are quantised per channel, activations by the ranges that they take on calibration inputs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import platform
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spacecut.platforms.attribution import owner
from spacecut.platforms.platform import not_importable

if TYPE_CHECKING:
    import openvino

__all__ = ["nncf_lacking", "quantised_onnx", "quantised_openvino", "quantised_tflite", "tflite_quantiser_lacking"]

_SIGNATURE, _INPUT = "serving_default", "input"
_NO_OPERATORS = ("Constant", "Parameter", "Result")  # what OpenVINO's graphs hold besides


def quantised_onnx(model: bytes, samples: Sequence[np.ndarray], chosen: Collection[int]) -> bytes:
    """An ONNX model with QuantizeLinear and DequantizeLinear nodes, by ONNX Runtime's static quantisation.

    Args:
        model: The model; its one input is called ``input``.
        samples: Calibration inputs.
        chosen: Which nodes of the network are quantised, told by their prefix ``n<position>.``.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            sample = next(self._samples, None)
            return None if sample is None else {_INPUT: sample}

    with _quiet(), tempfile.TemporaryDirectory(prefix="spacecut-") as folder:
        path = Path(folder) / "int8.onnx"
        given = onnx.load_from_string(model)
        quantize_static(
            given,
            path,
            Reader(),
            nodes_to_quantize=[node.name for node in given.graph.node if owner(node.name) in chosen],
            per_channel=True,
            reduce_range=_products_saturate(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return path.read_bytes()


def _products_saturate() -> bool:
    """Whether two products of 8 bits overflow their 16-bit sum: on x86 without VNNI weights then get 7 bits."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        return "_vnni" not in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice and the progress bars of quantisers; what they raise comes through."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        hidden = io.StringIO()
        with contextlib.redirect_stdout(hidden), contextlib.redirect_stderr(hidden), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def nncf_lacking() -> str:
    """Why OpenVINO models cannot be quantised here, and what to install; empty where they can."""
    return _lacking("nncf", "nncf")


def quantised_openvino(
    model: openvino.Model, samples: Sequence[np.ndarray], chosen: Collection[int], correct_biases: bool = True
) -> openvino.Model:
    """An OpenVINO model with FakeQuantize nodes, by NNCF's post-training quantisation.

    Args:
        model: The model; it has one input.
        samples: Calibration inputs.
        chosen: Which nodes of the network are quantised, told by their prefix ``n<position>.``.
        correct_biases: Make up in biases for what weights lose, as NNCF does by itself; it takes time, and changes
            the output but not the latency.
    """
    os.environ["NNCF_CI"] = "1"  # without it NNCF reports its use over the network
    import nncf

    nncf.set_log_level(logging.ERROR)
    options = nncf.AdvancedQuantizationParameters(disable_bias_correction=not correct_biases)
    others = _operators_of_others(model, chosen)
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(list(samples)),
            subset_size=len(samples),
            ignored_scope=nncf.IgnoredScope(names=others) if others else None,
            advanced_parameters=options,
        )


def _operators_of_others(model: openvino.Model, chosen: Collection[int]) -> list[str]:
    """Names of all operators of an OpenVINO model that belong to other nodes of the network than those chosen.

    What OpenVINO added without a name belongs to the node whose value it reads.
    """
    owners: dict[str, int | None] = {}
    names = []
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        read = [value.get_source_output().get_node().get_friendly_name() for value in node.inputs()]
        known = (number for number in (owner(name), *map(owners.get, read)) if number is not None)
        owners[name] = next(known, None)
        if node.get_type_name() not in _NO_OPERATORS and owners[name] is not None and owners[name] not in chosen:
            names.append(name)
    return names


def tflite_quantiser_lacking() -> str:
    """Why TFLite models cannot be quantised here, and what to install; empty where they can."""
    return _lacking("ai_edge_quantizer", "ai-edge-quantizer")


def quantised_tflite(model: bytes, samples: Sequence[np.ndarray]) -> bytes:
    """A TFLite model in int8 throughout, its input and output too, by AI Edge Quantizer.

    Args:
        model: The model; its signature ``serving_default`` calls its one input ``input``.
        samples: Calibration inputs.
    """
    from ai_edge_quantizer import quantizer, recipe

    with _quiet():
        tool = quantizer.Quantizer(model, recipe.static_wi8_ai8())
        calibrated = tool.calibrate({_SIGNATURE: [{_INPUT: sample} for sample in samples]})
        return bytes(tool.quantize(calibrated, enable_progress_report=False).quantized_model)


def _lacking(module: str, package: str) -> str:
    """The quantisers are slow to import, so they are only looked for."""
    return "" if importlib.util.find_spec(module) else not_importable(package, ModuleNotFoundError(module))
