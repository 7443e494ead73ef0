"""NNI: a model space is read, cut by what a platform measures, and searched by NNI's own strategies.

>>> from spacecut.integrations.nni import SpaceCut
>>> strategy = SpaceCut(RegularizedEvolution(), (3, 32, 32), platform="onnxruntime", max_latency=5)

Importing this imports nni and torch, which the extra ``nni`` installs.
"""

import warnings

try:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is found to be not a nn.Module", RuntimeWarning)  # with a newer PyTorch
        import nni.nas.nn.pytorch  # noqa: F401
except ImportError as error:
    raise ImportError(f"{error}; NNI comes with: pip install 'spacecut[nni]'") from error

from spacecut.integrations.nni.cutting import ModelSpaceCut, cut_model_space
from spacecut.integrations.nni.narrowing import narrow
from spacecut.integrations.nni.profiler import LatencyProfiler
from spacecut.integrations.nni.reading import ReadSpace, frozen_network, read_model_space
from spacecut.integrations.nni.strategy import SpaceCut

__all__ = [
    "LatencyProfiler",
    "ModelSpaceCut",
    "ReadSpace",
    "SpaceCut",
    "cut_model_space",
    "frozen_network",
    "narrow",
    "read_model_space",
]
