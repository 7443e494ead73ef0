"""What is known of accuracy without training: the quality order, and families of quality functions that respect it."""

from spacecut.quality.family import LEVELS, Quality, quality_family

__all__ = ["LEVELS", "Quality", "quality_family"]
