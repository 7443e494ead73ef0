"""MetaPruning's published scripts in a reduced space, under bounds of latency, unedited."""

from __future__ import annotations

from spacecut.integrations.metapruning.allowed import AllowedIds
from spacecut.integrations.metapruning.config import MetaPruningConfig, read_config, write_metapruning

__all__ = ["AllowedIds", "MetaPruningConfig", "read_config", "write_metapruning"]
