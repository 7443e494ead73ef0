"""Operator costs from measurements, the latency model over a space, and exact answers by elimination."""

from spacecut.latency.model import Calibration, LatencyModel, Scored
from spacecut.latency.profile import Profile, load_profile, profile
from spacecut.latency.trellis import SumTable, Trellis

__all__ = ["Calibration", "LatencyModel", "Profile", "Scored", "SumTable", "Trellis", "load_profile", "profile"]
