"""``python -m spacecut.integrations.metapruning --config FILE -- path/to/searching/search.py ARGS...``."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from spacecut.errors import SpacecutError
from spacecut.integrations.metapruning.config import read_config
from spacecut.integrations.metapruning.runner import run_script


def main() -> None:
    """Run a published script, and end the program: 0 done, 2 bad usage or input."""
    parser = argparse.ArgumentParser(
        prog="python -m spacecut.integrations.metapruning",
        description="Run MetaPruning's published search.py or train.py, unedited, in what a cut left.",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="from `spacecut export DIR`")
    parser.add_argument(
        "--max-latency", type=float, action="append", default=[], metavar="MS",
        help="bound of a search, once, or once for each platform of the config",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the search's draws")
    parser.add_argument("script", type=Path, help="behind --: the script, which runs in its own directory")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")
    asked = parser.parse_args()
    try:
        config = read_config(asked.config)
        left = math.prod(len(slot.ids) for slot in config.slots)
        print(
            f"spacecut: {left:.3g} architectures of {config.space} are left; what the script calls FLOPs of one is its "
            f"latency in ms on {config.platforms[0].name}",
            file=sys.stderr,
        )
        run_script(config, asked.script, asked.arguments, asked.max_latency, asked.seed)
    except SpacecutError as error:
        print(f"spacecut: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
