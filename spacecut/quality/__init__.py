"""What is known of accuracy: families of functions that respect the quality order, and tables of what was measured."""

from spacecut.quality.family import LEVELS, Quality, quality_family
from spacecut.quality.table import QualityTable, from_accuracies, from_losses, read_quality

__all__ = ["LEVELS", "Quality", "QualityTable", "from_accuracies", "from_losses", "quality_family", "read_quality"]
