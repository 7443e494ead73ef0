"""Operator costs from measurements, the latency model over a space, and exact answers by elimination."""

from spacecut.latency.block_table import BlockTable, fit_blocks, read_blocks, table_of
from spacecut.latency.correction import Correction
from spacecut.latency.fit import fit
from spacecut.latency.latencies import Latencies, read_latencies
from spacecut.latency.loading import AnyProfile, load_profile
from spacecut.latency.model import LatencyModel, Scored
from spacecut.latency.operator_table import OperatorTable, fit_operators, read_operators
from spacecut.latency.prediction import OperatorShare, Prediction, predict_network
from spacecut.latency.profile import Profile, profile
from spacecut.latency.recorded import Accuracy, RecordedPlatform
from spacecut.latency.trellis import Stage, SumTable, Trellis

__all__ = [
    "Accuracy",
    "AnyProfile",
    "BlockTable",
    "Correction",
    "Latencies",
    "LatencyModel",
    "OperatorShare",
    "OperatorTable",
    "Prediction",
    "Profile",
    "RecordedPlatform",
    "Scored",
    "Stage",
    "SumTable",
    "Trellis",
    "fit",
    "fit_blocks",
    "fit_operators",
    "load_profile",
    "predict_network",
    "profile",
    "read_blocks",
    "read_latencies",
    "read_operators",
    "table_of",
]
