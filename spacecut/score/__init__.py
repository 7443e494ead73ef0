"""Scoring a reduced space over the latency model: counts, the best architectures, the Pareto front."""

from spacecut.score.score import Score, score
from spacecut.score.verify import Verification, verify

__all__ = ["Score", "Verification", "score", "verify"]
