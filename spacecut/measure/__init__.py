"""The measuring protocol: warm-up, repeats, noise, isolation in a worker process, and the store of raw samples."""

from spacecut.measure.campaign import Budget, Campaign, Progress, interleave, interleaved, platform_record
from spacecut.measure.disturbance import is_calm, quiet_reference, quiet_runs, settled
from spacecut.measure.drift import steadied
from spacecut.measure.plan import sampled_networks
from spacecut.measure.protocol import Protocol
from spacecut.measure.run import PlatformRecord, Run, Task
from spacecut.measure.store import DEFAULT_STORE, Store
from spacecut.measure.worker import Worker

__all__ = [
    "DEFAULT_STORE",
    "Budget",
    "Campaign",
    "PlatformRecord",
    "Progress",
    "Protocol",
    "Run",
    "Store",
    "Task",
    "Worker",
    "interleave",
    "interleaved",
    "is_calm",
    "platform_record",
    "quiet_reference",
    "quiet_runs",
    "sampled_networks",
    "settled",
    "steadied",
]
