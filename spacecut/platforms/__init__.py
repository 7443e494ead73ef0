"""Runtimes, devices and precisions behind one small interface."""

from spacecut.platforms.platform import Platform, PlatformName, Program, Status
from spacecut.platforms.registry import get_platform, platform_statuses

__all__ = ["Platform", "PlatformName", "Program", "Status", "get_platform", "platform_statuses"]
