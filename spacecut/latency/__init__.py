"""Operator costs from measurements, the latency model over a space, and exact answers by elimination."""

from spacecut.latency.correction import Correction
from spacecut.latency.model import LatencyModel, Scored
from spacecut.latency.prediction import OperatorShare, Prediction, predict_network
from spacecut.latency.profile import Profile, load_profile, profile
from spacecut.latency.trellis import SumTable, Trellis

__all__ = [
    "Correction",
    "LatencyModel",
    "OperatorShare",
    "Prediction",
    "Profile",
    "Scored",
    "SumTable",
    "Trellis",
    "load_profile",
    "predict_network",
    "profile",
]
