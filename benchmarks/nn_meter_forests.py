"""nn-Meter's own kernel predictors, run in an environment of their own (``make .venv/nn-meter``).

Reads from standard input a JSON object: ``train``, lists of configuration and milliseconds by kernel, and ``ask``,
lists of configurations by kernel. Writes one line, the predicted milliseconds by kernel. A kernel is nn-Meter's type
and, behind a bar, the activation.
"""

from __future__ import annotations

import json
import sys

import numpy as np

FEWEST = 5
"""Below so many measurements a forest has nothing to grow on; the mean must do."""


def predict(kernel: str, train: list, ask: list) -> list[float]:
    """Milliseconds of the configurations in ``ask``."""
    from nn_meter.builder.backend_meta.utils import Latency
    from nn_meter.builder.kernel_predictor_builder.predictor_builder.build_predictor import build_predictor_by_data
    from nn_meter.builder.kernel_predictor_builder.predictor_builder.extract_feature import get_feature_parser

    if len(train) < FEWEST:
        return [float(np.mean([value for _, value in train])) if train else 0.0] * len(ask)
    kind = kernel.partition("|")[0]
    data = {
        f"id_{number}": {"model": "", "config": configuration, "latency": Latency(value)}
        for number, (configuration, value) in enumerate(train)
    }
    predictor, _, _ = build_predictor_by_data(kind, {kind: data}, "tflite_cpu", final_predictor=True)
    parser = get_feature_parser(kind)
    wanted = [parser.get_feature_by_config(dict(configuration)) for configuration in ask]
    return [float(value) for value in predictor.predict(np.asarray(wanted))]


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    answers = {kernel: predict(kernel, request["train"].get(kernel, []), ask) for kernel, ask in request["ask"].items()}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
