"""What does INT8 cost in accuracy, on each runtime with its own quantiser? Two small networks, really trained.

    make bench-int8

A network like MobileNetV2 (ReLU6) and one like MobileNetV3 (HardSwish, Squeeze-and-Excitation) are trained on
Fashion-MNIST (Debian's package ``dataset-fashion-mnist``), in some ten minutes on one core; each then runs over all
test images in float32 and INT8. Beside the accuracies stands what is told without training or labels: decibels of
signal to quantisation noise of each block and of the whole. Trained networks are kept in ``out/int8``, as ONNX models
with images beside them, for ``spacecut study --quantise``. Writes ``benchmarks/results/int8-DATE.md``.
"""

from __future__ import annotations

import argparse
import gzip
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from spacecut.measure.machine import machine
from spacecut.operators import Affine, Network, Operator, expand
from spacecut.operators.onnx_builder import build_onnx
from spacecut.operators.onnx_reader import read_onnx
from spacecut.operators.operator import encode, macs
from spacecut.platforms import get_platform
from spacecut.quality import block_errors, decibels
from spacecut.space import SearchSpace
from spacecut.space.document import SpaceDocument

RESULTS = Path(__file__).parent / "results"
KEPT = Path("out/int8")
DATA = Path("/usr/share/datasets/fashion-mnist")
RUNTIMES = ("onnxruntime", "openvino", "litert", "tflite-runtime")
SIDE = 33
"""Images are padded to an odd size, and so is every feature map, so that all runtimes pad windows alike."""
BATCH, RATE, DECAY = 128, 0.01, 1e-4
EPOCHS = 5
_EXPANSION = 4
CALIBRATION, BLOCK_IMAGES = 512, 64


@dataclass(frozen=True)
class Stage:
    """An inverted residual."""

    out: int
    activation: str
    kernel: int = 3
    stride: int = 1
    gate: bool = False

    def layers(self, width: int) -> list[dict[str, Any]]:
        """Its layers behind ``width`` channels."""
        wide = _EXPANSION * width
        layers: list[dict[str, Any]] = [
            {"conv2d": {"out_channels": wide, "kernel": 1, "activation": self.activation}},
            {"depthwise_conv2d": {"kernel": self.kernel, "stride": self.stride, "activation": self.activation}},
        ]
        if self.gate:
            layers.append({"squeeze_excite": {"reduced": wide // 4}})
        layers.append({"conv2d": {"out_channels": self.out, "kernel": 1}})
        if self.stride == 1 and self.out == width:
            layers.append({"add": {"inputs": ["previous", "input"]}})
        return layers


def network(name: str, stages: Sequence[Stage], activation: str) -> Network:
    """A small mobile network: a stem, inverted residuals, a head."""
    blocks: dict[str, Any] = {}
    body: list[dict[str, Any]] = [{"conv2d": {"out_channels": 16, "kernel": 3, "stride": 2, "activation": activation}}]
    width = 16
    for number, stage in enumerate(stages):
        blocks[f"stage{number}"] = {"layers": stage.layers(width)}
        body.append({f"stage{number}": {}})
        width = stage.out
    head = [
        {"conv2d": {"out_channels": 192, "kernel": 1, "activation": activation}},
        {"global_avg_pool": {}},
        {"linear": {"out_channels": 10}},
    ]
    content = {"spacecut": 1, "name": name, "input": [1, SIDE, SIDE], "blocks": blocks, "network": [*body, *head]}
    space = SearchSpace(SpaceDocument.model_validate({**content, "choices": {}}))
    return expand(space).network(np.zeros(0, dtype=np.int64))


NETWORKS = {
    "like MobileNetV2": network(
        "v2",
        [
            Stage(24, "relu6", stride=2),
            Stage(24, "relu6"),
            Stage(40, "relu6", stride=2),
            Stage(40, "relu6"),
            Stage(64, "relu6"),
        ],
        "relu6",
    ),
    "like MobileNetV3": network(
        "v3",
        [
            Stage(24, "relu", stride=2, gate=True),
            Stage(24, "relu"),
            Stage(40, "hardswish", 5, stride=2, gate=True),
            Stage(40, "hardswish", 5, gate=True),
            Stage(64, "hardswish", 5, gate=True),
        ],
        "hardswish",
    ),
}
ACTIVATE = {
    "none": lambda values: values,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
}


class Trainable(nn.Module):
    """A network with weights to learn: a batch norm behind every convolution, which is folded into it at the end."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.parts = nn.ModuleList(_part(node.operator) for node in network.nodes)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits ``[images, 10]``."""
        done: list[torch.Tensor] = []
        for node, part in zip(self.network.nodes, self.parts, strict=True):
            given = [values if source < 0 else done[source] for source in node.inputs]
            if node.operator.kind == "linear":
                given = [one.flatten(1) for one in given]
            activate = ACTIVATE[node.operator.activation]
            match node.operator.kind:
                case "add":
                    done.append(activate(sum(given[1:], given[0])))
                case "global_avg_pool":
                    done.append(given[0].mean((2, 3), keepdim=True))
                case "squeeze_excite":
                    inner = functional.relu(part[0](given[0].mean((2, 3), keepdim=True)))
                    done.append(given[0] * activate(part[1](inner)))
                case _:
                    done.append(activate(part(given[0])))
        return done[self.network.output]

    def trained(self) -> Network:
        """The network with its weights."""
        nodes = [
            replace(node, weights=_weights(part)) for node, part in zip(self.network.nodes, self.parts, strict=True)
        ]
        return replace(self.network, nodes=tuple(nodes))


def _part(operator: Operator) -> nn.Module:
    match operator.kind:
        case "conv2d" | "depthwise_conv2d":
            groups = operator.in_channels if operator.kind == "depthwise_conv2d" else operator.groups
            convolution = nn.Conv2d(
                operator.in_channels, operator.out_channels, operator.kernel, operator.stride, operator.kernel // 2,
                groups=groups, bias=False,
            )  # fmt: skip
            return nn.Sequential(convolution, nn.BatchNorm2d(operator.out_channels))
        case "squeeze_excite":
            down = nn.Conv2d(operator.in_channels, operator.reduced, 1)
            return nn.ModuleList([down, nn.Conv2d(operator.reduced, operator.in_channels, 1)])
        case "linear":
            return nn.Linear(operator.in_channels, operator.out_channels)
        case _:
            return nn.Identity()


def _weights(part: nn.Module) -> tuple[Affine, ...]:
    if isinstance(part, nn.Sequential):
        convolution, norm = part
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return (_arrays(convolution.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor),)
    if isinstance(part, nn.ModuleList):
        return tuple(_arrays(one.weight, one.bias) for one in part)
    return (_arrays(part.weight, part.bias),) if isinstance(part, nn.Linear) else ()


def _arrays(kernel: torch.Tensor, bias: torch.Tensor) -> Affine:
    return kernel.detach().numpy().copy(), bias.detach().numpy().copy()


@dataclass(frozen=True)
class Images:
    """Images ``[images, 1, SIDE, SIDE]`` in float32, and what they show."""

    values: np.ndarray
    labels: np.ndarray


def images(part: str) -> Images:
    """One part of Fashion-MNIST: ``train`` or ``t10k``."""
    with gzip.open(DATA / f"{part}-images-idx3-ubyte.gz") as file:
        raw = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(DATA / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    before = (SIDE - 28) // 2
    after = SIDE - 28 - before
    padded = np.pad(raw, ((0, 0), (0, 0), (before, after), (before, after)))
    return Images((padded.astype(np.float32) / 255 - 0.286) / 0.353, labels)


def train(plan: Network, data: Images, epochs: int) -> Network:
    """Train a network from scratch; the same at every call on the same machine."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # two are slower where something else wants the cores too
    model = Trainable(plan).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = len(data.labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * steps)
    values, labels = torch.from_numpy(data.values), torch.from_numpy(data.labels)
    for epoch in range(epochs):
        for step, chosen in enumerate(torch.randperm(len(labels))[: steps * BATCH].view(steps, BATCH)):
            given = values[chosen].contiguous(memory_format=torch.channels_last)
            if step % 2:
                given = given.flip(3)
            loss = functional.cross_entropy(model(given), labels[chosen], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}", flush=True)
    return model.eval().trained()


def kept(name: str, plan: Network, data: Images, epochs: int) -> Network:
    """A trained network, from ``out/int8`` where it was trained before."""
    path = KEPT / f"{name.replace(' ', '-').lower()}.onnx"
    if not path.is_file():
        KEPT.mkdir(parents=True, exist_ok=True)
        path.write_bytes(build_onnx(train(plan, data, epochs)))
        np.save(KEPT / "images.npy", data.values[:CALIBRATION])
    return read_onnx(path)


@dataclass(frozen=True)
class Row:
    """One network on one runtime; accuracies and agreement of 1."""

    exact: float
    accuracy: float
    agree: float
    decibels: float
    worst: tuple[str, float]
    blocks: list[tuple[str, float]]


def judged(network: Network, runtime: str, test: Images, calibration: np.ndarray) -> Row:
    """A network on a runtime in float32 and INT8."""
    outputs = {}
    for precision in ("fp32", "int8"):
        platform = get_platform(f"{runtime}:{precision}")
        outputs[precision] = platform.compute(network, test.values, calibration).reshape(len(test.labels), -1)
    answers = {precision: output.argmax(axis=1) for precision, output in outputs.items()}
    some = test.values[:BLOCK_IMAGES], calibration[:BLOCK_IMAGES]
    found = [(part.name, value) for part, value in block_errors(network, f"{runtime}:int8", *some)]
    return Row(
        float((answers["fp32"] == test.labels).mean()),
        float((answers["int8"] == test.labels).mean()),
        float((answers["fp32"] == answers["int8"]).mean()),
        decibels(outputs["fp32"], outputs["int8"]),
        min(found, key=lambda entry: entry[1]),
        found,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    asked = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"{DATA} is missing; apt-get install dataset-fashion-mnist")
    logging.disable(logging.WARNING)  # quantisers advise at length
    training, test = images("train"), images("t10k")
    lines, versions = [], {}
    for name, plan in NETWORKS.items():
        trained = kept(name, plan, training, asked.epochs)
        size = macs(encode([node.operator for node in trained.nodes])).sum() / 1e6
        rows = {}
        for runtime in RUNTIMES:
            print(f"{name} on {runtime}", flush=True)
            rows[runtime] = judged(trained, runtime, test, training.values[:CALIBRATION])
            versions[runtime] = get_platform(f"{runtime}:int8").version
        lines += section(f"{name} ({size:.2f} million MACs)", rows)
    today = datetime.now(UTC).date().isoformat()
    head = [
        f"# What INT8 costs in accuracy, {today}",
        "",
        f"{machine()}; {', '.join(f'{name} {version}' for name, version in versions.items())}; torch "
        f"{torch.__version__}. Trained on Fashion-MNIST's 60,000 images for {asked.epochs} epochs, tested on all "
        f"10,000 others; each runtime's own quantiser, calibrated with {CALIBRATION} training images one at "
        "a time. Repeat with `make bench-int8`.",
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"int8-{today}.md").write_text("\n".join([*head, *lines]) + "\n")


def section(title: str, rows: dict[str, Row]) -> list[str]:
    """A network's tables."""
    lines = [
        f"## {title}",
        "",
        "| runtime | float32 | INT8 | lost, points | same answer | output | worst block |",
        "|---|---|---|---|---|---|---|",
    ]
    for runtime, row in rows.items():
        lines.append(
            f"| {runtime} | {row.exact:.2%} | {row.accuracy:.2%} | {100 * (row.exact - row.accuracy):.2f} | "
            f"{row.agree:.2%} | {row.decibels:.1f} dB | {row.worst[1]:.1f} dB: {row.worst[0]} |"
        )
    first = next(iter(rows.values()))
    lines += ["", f"| block | {' | '.join(rows)} |", f"|---|{'---|' * len(rows)}"]
    for number, (name, _) in enumerate(first.blocks):
        lines.append(f"| {name} | {' | '.join(f'{row.blocks[number][1]:.1f} dB' for row in rows.values())} |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
