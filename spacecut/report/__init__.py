"""What a person looks at."""

from spacecut.report.terminal import (
    show_estimate,
    show_platforms,
    show_prediction,
    show_profile,
    show_recorded,
    show_reduction,
    show_score,
    show_spaces,
    show_verification,
)

__all__ = [
    "show_estimate",
    "show_platforms",
    "show_prediction",
    "show_profile",
    "show_recorded",
    "show_reduction",
    "show_score",
    "show_spaces",
    "show_verification",
]
