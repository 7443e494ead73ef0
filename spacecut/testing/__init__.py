"""Contract suites that a third-party platform runs on itself, under pytest."""

from spacecut.testing.platform_contract import PlatformContract

__all__ = ["PlatformContract"]
