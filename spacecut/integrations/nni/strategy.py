"""Any multi-trial strategy of NNI's, on a space cut for a platform and within a latency."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nni.nas.execution import ExecutionEngine
from nni.nas.execution.event import ModelEventType
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
from nni.nas.space import ExecutableModelSpace, RawFormatModelSpace, SimplifiedModelSpace
from nni.nas.strategy import Strategy
from nni.nas.strategy.middleware import Chain, Filter

from spacecut.cut import TOLERANCE
from spacecut.errors import InputError
from spacecut.integrations.nni.cutting import Latency, ModelSpaceCut, cut_read_space, measured
from spacecut.integrations.nni.reading import read_model_space
from spacecut.integrations.nni.writing import Order
from spacecut.latency import AnyProfile
from spacecut.measure import DEFAULT_STORE, Budget

__all__ = ["Report", "SpaceCut"]

PATIENCE = 1000
"""After so many rejected models without one accepted, the search ends."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What became of a search.

    Attributes:
        platform: Where latencies are from.
        full_size, size: Architectures before and after the cut.
        max_latency: The bound in ms, if any.
        submitted: Models that went on to be trained.
        rejected: Models that were not, as they are predicted to be slower than the bound.
    """

    platform: str
    full_size: int
    size: int
    max_latency: float | None
    submitted: int
    rejected: int

    def __str__(self) -> str:
        bound = "" if self.max_latency is None else f"; {self.rejected} rejected beyond {self.max_latency:g} ms"
        return (
            f"cut for {self.platform}: {self.full_size:.3g} -> {self.size:.3g} architectures; "
            f"{self.submitted} models submitted{bound}"
        )


class SpaceCut(Chain):  # type: ignore[misc]
    """A multi-trial strategy that searches only what is worth training on a platform.

    Before the strategy sees the space, it is read, measured and cut as :func:`spacecut.cut` does it. While the strategy
    runs, a model that is predicted to be slower than ``max_latency`` is rejected: it gets the status ``Invalid`` and no
    metric, it is not trained, and it takes nothing from the budget of trials. ``RegularizedEvolution`` leaves it out of
    its population, and every strategy proposes another one.

    Args:
        strategy: ``Random``, ``GridSearch``, ``RegularizedEvolution``, ``TPE``, or one of your own.
        input_shape: Channels, height, width of one input of the models.
        platform: A platform's name, the path of a profile or recorded platform, or a profile.
        max_latency: Milliseconds that a model may take.
        tolerance, target_size: As :func:`spacecut.cut` takes them.
        order: As :func:`read_model_space` takes it.
        threads: Threads of one inference, where the platform is measured now.
        store: Where raw samples are kept, so that nothing is measured twice.
        budget: How long to measure.
        patience: After so many rejected models without one accepted, the search ends.

    Raises:
        InputError: The strategy is a one-shot strategy.
    """

    def __init__(
        self,
        strategy: Strategy,
        input_shape: tuple[int, int, int],
        *,
        platform: AnyProfile | str,
        max_latency: float | None = None,
        tolerance: float = TOLERANCE,
        target_size: int | None = None,
        order: Mapping[str, Order] | None = None,
        threads: int = 1,
        store: str = DEFAULT_STORE,
        budget: Budget | None = None,
        patience: int = PATIENCE,
    ) -> None:
        if isinstance(strategy, OneShotStrategy):
            raise InputError(
                f"{type(strategy).__name__} is a one-shot strategy; give it a LatencyProfiler as filter or penalty"
            )
        self._within = _Within(max_latency, patience)
        super().__init__(strategy, self._within)
        self._input_shape = input_shape
        self._platform = platform
        self._asked = {"tolerance": tolerance, "target_size": target_size, "max_latency": max_latency}
        self._order = order
        self._measuring = {"threads": threads, "store": store, "budget": budget}
        self._cut: ModelSpaceCut | None = None

    @property
    def cut(self) -> ModelSpaceCut:
        """What was cut.

        Raises:
            InputError: The strategy has not been initialised by an experiment.
        """
        if self._cut is None:
            raise InputError("nothing is cut before the experiment starts")
        return self._cut

    @property
    def report(self) -> Report:
        """What was done so far.

        Raises:
            InputError: The strategy has not been initialised by an experiment.
        """
        profile = self.cut.latency.profile
        sizes = self.cut.reduction.full.size, self.cut.space.size
        counts = self._within.submitted, self._within.rejected
        return Report(str(profile.platform), *sizes, self._within.max_latency, *counts)

    def extra_repr(self) -> str:
        """Shown in the strategy's ``repr``."""
        return f"{self._strategy!r}, platform={self._platform!s}, max_latency={self._asked['max_latency']}"

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        read = read_model_space(_source(model_space), self._input_shape, order=self._order)
        latency = Latency(read, measured(read.space, self._platform, **self._measuring))  # type: ignore[arg-type]
        self._cut = cut_read_space(latency, **self._asked)
        self._cut.narrow(model_space)
        self._within.latency = latency
        _logger.info("%s", self.report)
        return super()._initialize(model_space, engine)

    def run(self) -> None:
        """Search, and log what was done."""
        try:
            super().run()
        finally:
            _logger.info("%s", self.report)


class _Within(Filter):  # type: ignore[misc]
    """Lets models within a latency pass."""

    latency: Latency

    def __init__(self, max_latency: float | None, patience: int) -> None:
        super().__init__(self._passes, patience=patience)
        self.max_latency = max_latency
        self.submitted = 0

    @property
    def rejected(self) -> int:
        """Models that did not pass."""
        return int(self._filter_count_total)

    def _passes(self, model: ExecutableModelSpace) -> bool:
        passes = self.max_latency is None or self.latency.of(model.sample) <= self.max_latency
        self.submitted += passes
        return passes

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state_dict)
        self.submitted = state_dict["submitted"]

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**super().state_dict(), "submitted": self.submitted}

    def unregister_model_event_callback(self, event_type: ModelEventType, callback: Callable[..., None]) -> None:
        """Take a callback out; NNI 3.0's filter puts it in once more."""
        self._callbacks[event_type].remove(callback)
        self.engine.unregister_model_event_callback(event_type, callback)


def _source(space: ExecutableModelSpace) -> Any:
    """The model space that an experiment made an executable one of."""
    if isinstance(space, RawFormatModelSpace):
        return space.model_space
    if isinstance(space, SimplifiedModelSpace):
        return space.model.trace_copy().get()
    raise InputError(f"a model space in the format {type(space).__name__}; choose the format 'simplified' or 'raw'")
