"""The behaviour study: how one platform runs networks, one dimension at a time, and what that says of a space."""

from spacecut.study.compare import Comparison, ModelOnPlatform, compare
from spacecut.study.findings import Finding, judge
from spacecut.study.walk import Walk, walk

__all__ = ["Comparison", "Finding", "ModelOnPlatform", "Walk", "compare", "judge", "walk"]
