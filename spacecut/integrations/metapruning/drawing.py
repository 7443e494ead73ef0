"""What takes the place of the published search's three drawing functions, and of the ids that training draws."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from spacecut.cut.selection import SAFETY
from spacecut.errors import InputError
from spacecut.integrations.metapruning.allowed import AllowedIds
from spacecut.integrations.metapruning.config import MetaPruningConfig

__all__ = ["DRAWS", "Drawing", "reduced_network"]

DRAWS: Mapping[str, tuple[str, ...]] = {
    "random_can": ("num", "num_states", "test_dict", "untest_dict"),
    "get_mutation": ("keep_top_k", "num_states", "mutation_num", "m_prob", "test_dict", "untest_dict"),
    "get_crossover": ("keep_top_k", "num_states", "crossover_num", "test_dict", "untest_dict"),
}
"""The functions of ``search.py`` that are replaced, and what they are given."""

_AT_ONCE = 256
_PATIENCE = 400
"""Batches of random candidates without a new one after which there is nothing more to find."""
_ROUNDS = 10
"""Batches of mutants, or of children, for each one that is asked for: as many tries as the published search makes."""

Key = tuple[float, ...]
Seen = MutableMapping[Key, Any]


class Drawing:
    """The drawing functions of one search.

    Their candidates are as the published script expects them: ids, and one more number, which was the FLOPs and is the
    latency in ms on the first platform.

    Args:
        config: What may be drawn.
        max_latency: Bounds in ms, one for all of the config's platforms or one for each; predictions stay below
            by the model's error, so that 19 of 20 hold when measured.
        seed: Of the draws.

    Raises:
        InputError: The number of bounds does not fit.
    """

    def __init__(self, config: MetaPruningConfig, max_latency: Sequence[float], seed: int) -> None:
        count = len(config.platforms)
        if len(max_latency) not in (1, count):
            raise InputError(f"{len(max_latency)} latency bounds for {count} platforms; give one, or one for each")
        bounds = list(max_latency) * (count if len(max_latency) == 1 else 1)
        self._config = config
        self._allowed = AllowedIds(config)
        self._bounds = [
            bound / (1 + SAFETY * (platform.error or 0.0))
            for bound, platform in zip(bounds, config.platforms, strict=True)
        ]
        self._shown = " and ".join(
            f"{bound:g} ms on {platform.name}" for bound, platform in zip(bounds, config.platforms, strict=True)
        )
        self._generator = np.random.default_rng(seed)

    def random_can(self, num: int, num_states: int, test_dict: Seen, untest_dict: Seen) -> list[np.ndarray]:
        """Random candidates, from the range of ids that the published search begins with."""
        self._check(num_states)
        first = self._config.family.first

        def make() -> np.ndarray:
            return self._allowed.sample(_AT_ONCE, self._generator, first)

        found = self._within(num, make, _PATIENCE, test_dict, untest_dict)
        if len(found) < num:
            raise InputError(
                f"after {_PATIENCE * _AT_ONCE:,} draws there is no further architecture of at most {self._shown}, less "
                "the model's error; raise --max-latency, or cut with a larger --target-size"
            )
        return found

    def get_mutation(  # noqa: PLR0917  (as it is called)
        self,
        keep_top_k: Sequence[np.ndarray],
        num_states: int,
        mutation_num: int,
        m_prob: float,
        test_dict: Seen,
        untest_dict: Seen,
    ) -> list[np.ndarray]:
        """Mutants of the best candidates; fewer than asked for where too many are beyond the bound."""
        self._check(num_states)
        parents = _ids(keep_top_k)

        def make() -> np.ndarray:
            chosen = parents[self._generator.integers(len(parents), size=mutation_num)]
            return self._allowed.mutate(chosen, m_prob, self._generator)

        return self._within(mutation_num, make, _ROUNDS, test_dict, untest_dict)

    def get_crossover(
        self,
        keep_top_k: Sequence[np.ndarray],
        num_states: int,
        crossover_num: int,
        test_dict: Seen,
        untest_dict: Seen,
    ) -> list[np.ndarray]:
        """Children of two of the best candidates; fewer than asked for where too many are beyond the bound."""
        self._check(num_states)
        parents = _ids(keep_top_k)

        def make() -> np.ndarray:
            pairs = np.stack([self._generator.permutation(len(parents))[:2] for _ in range(crossover_num)])
            return self._allowed.crossover(parents[pairs[:, 0]], parents[pairs[:, -1]], self._generator)

        return self._within(crossover_num, make, _ROUNDS, test_dict, untest_dict)

    def check_candidates(self, candidates: Sequence[np.ndarray], where: str) -> None:
        """Refuse candidates that another search left behind.

        Raises:
            InputError: One is not allowed.
        """
        if len(candidates) and not self._allowed.contains(_ids(candidates)).all():
            raise InputError(f"{where} is of a search in another space; move it away to begin anew")

    def _check(self, num_states: int) -> None:
        if num_states != self._config.family.drawn:
            raise InputError(
                f"the script asks for {num_states} ids, and {self._config.space} has {self._config.family.drawn}: it "
                "is not the published one"
            )

    def _within(
        self, count: int, make: Callable[[], np.ndarray], patience: int, tested: Seen, waiting: Seen
    ) -> list[np.ndarray]:
        """New candidates within the bounds, up to a count, until so many batches in a row hold none."""
        found: list[np.ndarray] = []
        idle = 0
        while len(found) < count and idle < patience:
            drawn = make()
            latencies = [self._allowed.latency_ms(drawn, number) for number in range(len(self._bounds))]
            within = np.logical_and.reduce([ms <= most for ms, most in zip(latencies, self._bounds, strict=True)])
            idle += 1
            for ids, ms in zip(drawn[within], latencies[0][within], strict=True):
                key = tuple(ids.astype(float).tolist())
                if len(found) < count and key not in tested and key not in waiting:
                    waiting[key], idle = ms, 0
                    found.append(np.append(ids, ms))
        return found


def _ids(candidates: Sequence[np.ndarray]) -> np.ndarray:
    """Without the last number, which is no id."""
    return np.asarray(np.stack(list(candidates))[:, :-1], dtype=int)


def reduced_network(network: type, config: MetaPruningConfig) -> type:
    """A network of the published training whose ids are all taken to allowed ones, wherever they were drawn.

    Raises:
        InputError: It is not called as the published one.
    """
    allowed, family = AllowedIds(config), config.family
    signature = inspect.signature(network.forward)  # type: ignore[attr-defined]
    if missing := family.arguments.keys() - signature.parameters.keys():
        raise InputError(
            f"{network.__name__}.forward{signature} has no {', '.join(sorted(missing))}: it is not the published one"
        )

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        given = signature.bind(self, *arguments, **named)
        for name, slots in family.arguments.items():
            drawn = given.arguments[name]
            if len(drawn) != len(slots):
                raise InputError(f"{name} has {len(drawn)} ids, not {len(slots)}: it is not the published training")
            ids = allowed.nearby(drawn, slots)
            given.arguments[name] = np.asarray(ids) if isinstance(drawn, np.ndarray) else ids
        return network.forward(*given.args, **given.kwargs)  # type: ignore[attr-defined]

    return type(network.__name__, (network,), {"forward": forward, "__module__": network.__module__})
