"""LiteRT (TensorFlow Lite) on the CPU, with and without its XNNPACK delegate. It tells no node times."""

from __future__ import annotations

from importlib import metadata
from typing import Any, ClassVar

from spacecut.platforms.platform import Status
from spacecut.platforms.tflite import TfLite

__all__ = ["LiteRt", "LiteRtBuiltin"]

_PACKAGE = "ai-edge-litert"


class LiteRt(TfLite):
    """LiteRT's interpreter with its default resolver, which delegates to XNNPACK."""

    runtime = "litert"
    _resolver: ClassVar[str] = "AUTO"

    @classmethod
    def status(cls) -> Status:
        try:
            import ai_edge_litert.interpreter  # noqa: F401
        except ImportError as error:
            return Status.missing(_PACKAGE, error)
        return cls.offered(metadata.version(_PACKAGE))

    def interpreter(self, model: bytes) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType[self._resolver]
        return Interpreter(model_content=model, num_threads=self.threads, experimental_op_resolver_type=resolver)


class LiteRtBuiltin(LiteRt):
    """LiteRT's interpreter with its built-in kernels alone."""

    runtime = "litert-builtin"
    _resolver = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
