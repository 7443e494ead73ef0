"""What can go wrong, and the exit status that each kind of failure ends the program with."""

from __future__ import annotations

__all__ = ["InputError", "MeasurementError", "PlatformUnavailable", "SpacecutError"]


class SpacecutError(Exception):
    """Base of every error that spacecut raises on purpose; its text is one line for a person."""

    exit_status = 1


class InputError(SpacecutError):
    """Something the user gave is wrong: the text says what, where, and how to mend it."""

    exit_status = 2


class PlatformUnavailable(SpacecutError):
    """The platform cannot run here: the text says why and what to install."""

    exit_status = 3


class MeasurementError(SpacecutError):
    """A measurement failed, or is too noisy to be of use."""

    exit_status = 4
