"""What is known of accuracy: families of functions that respect the quality order, and tables of what was measured."""

from spacecut.quality.family import LEVELS, Quality, quality_family
from spacecut.quality.process import AccuracyProcess
from spacecut.quality.quantisation import Part, block_errors, blocks, decibels, quantisation_error
from spacecut.quality.table import QualityTable, from_accuracies, from_losses, read_quality

__all__ = [
    "LEVELS",
    "AccuracyProcess",
    "Part",
    "Quality",
    "QualityTable",
    "block_errors",
    "blocks",
    "decibels",
    "from_accuracies",
    "from_losses",
    "quality_family",
    "quantisation_error",
    "read_quality",
]
