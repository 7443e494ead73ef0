"""What a person looks at."""

from spacecut.report.reduction_page import write_reduction_page
from spacecut.report.study_page import write_comparison_page, write_study_page
from spacecut.report.terminal import (
    show_comparison,
    show_estimate,
    show_findings,
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
    "show_comparison",
    "show_estimate",
    "show_findings",
    "show_platforms",
    "show_prediction",
    "show_profile",
    "show_recorded",
    "show_reduction",
    "show_score",
    "show_spaces",
    "show_verification",
    "write_comparison_page",
    "write_reduction_page",
    "write_study_page",
]
