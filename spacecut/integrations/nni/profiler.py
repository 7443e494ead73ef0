"""The predicted latency as NNI's one-shot strategies take it: an expression over the labels."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nni.mutable import Categorical, CategoricalMultiple, MutableExpression
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.profiler import ExpressionProfiler

from spacecut.errors import InputError
from spacecut.integrations.nni.cutting import Latency, measured
from spacecut.integrations.nni.labels import Labels
from spacecut.integrations.nni.reading import ReadSpace, read_model_space
from spacecut.latency import AnyProfile, SumTable

__all__ = ["LatencyProfiler"]


class LatencyProfiler(ExpressionProfiler):  # type: ignore[misc]
    """Predicted latency of the samples of a model space, in ms.

    For filters (``RandomOneShot(filter={"profiler": profiler, "max": ms})``) and for penalties of differentiable
    strategies (``DARTS(penalty={"profiler": profiler, "baseline": ms, "scale": 0.5})``), which take the expectation of
    its expression over their distributions.

    Args:
        space: A model space, or one that was read.
        profile: Measurements of it, or the name of a platform to measure it on, or the path of a profile or recorded
            platform.
        input_shape: Channels, height, width of one input; a space that was read has one.

    Raises:
        InputError: The space cannot be read, or was not measured, or its input shape is missing.
        PlatformUnavailable, MeasurementError: It cannot be measured there.
    """

    def __init__(
        self,
        space: ModelSpace | ReadSpace,
        profile: AnyProfile | str,
        input_shape: tuple[int, int, int] | None = None,
    ) -> None:
        if not isinstance(space, ReadSpace):
            if input_shape is None:
                raise InputError("a model space does not tell the shape of its input; give input_shape")
            space = read_model_space(space, input_shape)
        self.latency = Latency(space, measured(space.space, profile))
        model = self.latency.model
        terms = [_term(space, table) for table in model.tables]
        constant = model.correction.overhead_ms + sum(term for term in terms if isinstance(term, float))
        expressions = [term for term in terms if not isinstance(term, float)]
        self.expression = _sum([*expressions, constant]) if expressions else constant

    def profile(self, sample: Mapping[str, Any]) -> float:
        """Milliseconds of a sample.

        Raises:
            InputError: It is no sample of the model space.
        """
        return self.latency.of(sample)


class _LookUp:
    """A table of milliseconds as a function of its labels' values."""

    def __init__(self, values: Sequence[Sequence[Any]], milliseconds: np.ndarray) -> None:
        self._values = values
        self._milliseconds = milliseconds

    def __call__(self, *chosen: Any) -> float:
        single = (one[0] if isinstance(one, list | tuple) and len(one) == 1 else one for one in chosen)
        place = tuple(values.index(one) for values, one in zip(self._values, single, strict=True))
        return float(self._milliseconds[place])


def _term(read: ReadSpace, table: SumTable) -> MutableExpression | float:
    """What one table adds."""
    if not table.scope:
        return float(table.values)
    labels = [read.labels.by_name[read.space.choices[position].name] for position in table.scope]
    mutables = [_categorical(read.labels, label) for label in labels]
    shown = f"ms({', '.join(['{}'] * len(labels))})"
    return MutableExpression(_LookUp([mutable.values for mutable in mutables], table.values), shown, mutables)


def _categorical(labels: Labels, label: str) -> Categorical:
    """A label as one choice from a list: one of several inputs is the input's number."""
    mutable = labels.mutable(label)
    if isinstance(mutable, CategoricalMultiple):
        if mutable.n_chosen != 1:
            raise InputError(f"{label!r} chooses several inputs at once; an expression over it is not known to NNI")
        return Categorical(mutable.values, label=label)
    return mutable


def _sum(terms: Sequence[Any]) -> Any:
    """A balanced tree of sums of two, whose expectation NNI takes term by term."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return MutableExpression(operator.add, "({} + {})", [_sum(terms[:half]), _sum(terms[half:])])
