"""The behaviour study: how one platform runs networks, one dimension at a time, and what that says of a space."""

from spacecut.study.accuracy import Trained, read_trained
from spacecut.study.compare import Comparison, ModelOnPlatform, Upset, compare
from spacecut.study.finding import Finding
from spacecut.study.findings import judge
from spacecut.study.platforms import judge_platforms
from spacecut.study.walk import Walk, walk

__all__ = [
    "Comparison",
    "Finding",
    "ModelOnPlatform",
    "Trained",
    "Upset",
    "Walk",
    "compare",
    "judge",
    "judge_platforms",
    "read_trained",
    "walk",
]
