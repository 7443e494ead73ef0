"""Measure how a platform really runs neural networks, and cut the search space before the search.

>>> import spacecut
>>> space = spacecut.load_space("metapruning/mobilenet_v1")
>>> profile = spacecut.profile(space, "onnxruntime")
>>> reduction = spacecut.cut(space, profile, tolerance=0.02)
"""

from spacecut.cut import Certificate, Decision, Reduction, cut, load_reduction
from spacecut.errors import InputError, MeasurementError, PlatformUnavailable, SpacecutError
from spacecut.latency import (
    LatencyModel,
    Profile,
    RecordedPlatform,
    Scored,
    fit,
    load_profile,
    profile,
    read_latencies,
)
from spacecut.measure import Budget
from spacecut.platforms import platform_statuses
from spacecut.score import Score, Verification, score, verify
from spacecut.space import Choice, SearchSpace, load_space, save_space, shipped_spaces

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "Certificate",
    "Choice",
    "Decision",
    "InputError",
    "LatencyModel",
    "MeasurementError",
    "PlatformUnavailable",
    "Profile",
    "RecordedPlatform",
    "Reduction",
    "Score",
    "Scored",
    "SearchSpace",
    "SpacecutError",
    "Verification",
    "__version__",
    "cut",
    "fit",
    "load_profile",
    "load_reduction",
    "load_space",
    "platform_statuses",
    "profile",
    "read_latencies",
    "save_space",
    "score",
    "shipped_spaces",
    "verify",
]
