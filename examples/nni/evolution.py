"""NNI's RegularizedEvolution on Fashion-MNIST, cut for a platform, in the sequential engine or the training service.

python evolution.py onnxruntime --max-latency 0.15              one process, one model after the other
python evolution.py onnxruntime --max-latency 0.15 --service    trials in processes of their own
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashion import INPUT_SHAPE, FashionSpace, report_accuracy
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.strategy import RegularizedEvolution

from spacecut.integrations.nni import SpaceCut


def main() -> None:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("platform")
    parser.add_argument("--max-latency", type=float, required=True, help="ms")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--service", action="store_true", help="use NNI's local training service")
    parser.add_argument("--port", type=int, default=8080, help="of the training service's manager")
    asked = parser.parse_args()

    evolution = RegularizedEvolution(population_size=8, sample_size=4, mutation_prob=0.2, seed=0)
    strategy = SpaceCut(evolution, INPUT_SHAPE, platform=asked.platform, max_latency=asked.max_latency)  # the one line

    config = NasExperimentConfig("ts" if asked.service else "sequential", "simplified", "local")
    if asked.service:
        config.max_trial_number, config.trial_concurrency = asked.trials, 1
        os.environ["PYTHONPATH"] = str(Path(__file__).parent.resolve())  # where trials find the model space
    else:
        config.execution_engine.max_model_count = asked.trials
    experiment = NasExperiment(FashionSpace(), FunctionalEvaluator(report_accuracy), strategy, config)
    try:
        experiment.run(port=asked.port)
        print(strategy.report)
        for model in strategy.list_models(limit=3):
            print(f"{model.metric:.4f}  {strategy.cut.latency.of(model.sample):.3f} ms  {model.sample}")
    finally:
        experiment.stop()


if __name__ == "__main__":
    main()
