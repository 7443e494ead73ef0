"""Operator costs from measurements, the latency model over a space, and exact answers by elimination."""

from spacecut.latency.correction import Correction
from spacecut.latency.fit import fit
from spacecut.latency.latencies import Latencies, read_latencies
from spacecut.latency.loading import AnyProfile, load_profile
from spacecut.latency.model import LatencyModel, Scored
from spacecut.latency.operator_table import OperatorTable, fit_operators, read_operators
from spacecut.latency.prediction import OperatorShare, Prediction, predict_network
from spacecut.latency.profile import Profile, profile
from spacecut.latency.recorded import Accuracy, RecordedPlatform
from spacecut.latency.trellis import SumTable, Trellis

__all__ = [
    "Accuracy",
    "AnyProfile",
    "Correction",
    "Latencies",
    "LatencyModel",
    "OperatorShare",
    "OperatorTable",
    "Prediction",
    "Profile",
    "RecordedPlatform",
    "Scored",
    "SumTable",
    "Trellis",
    "fit",
    "fit_operators",
    "load_profile",
    "predict_network",
    "profile",
    "read_latencies",
    "read_operators",
]
