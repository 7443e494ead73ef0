"""tflite-runtime, LiteRT's predecessor, on the CPU with its XNNPACK delegate. It tells no node times."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np

from spacecut.platforms.platform import Status
from spacecut.platforms.tflite import TfLite

__all__ = ["TfLiteRuntime"]

_PACKAGE = "tflite-runtime"


class TfLiteRuntime(TfLite):
    """tflite-runtime's interpreter; unlike LiteRT's it does not delegate int8 to XNNPACK."""

    runtime = "tflite-runtime"

    @classmethod
    def status(cls) -> Status:
        try:
            import tflite_runtime.interpreter  # noqa: F401
        except ImportError as error:
            return Status.missing(_PACKAGE, error)
        if int(np.__version__.partition(".")[0]) > 1:  # it imports, and then fails where an interpreter is built
            return Status(False, reason=f"it needs numpy 1, not {np.__version__}; pip install 'numpy<2'")
        return cls.offered(metadata.version(_PACKAGE))

    def interpreter(self, model: bytes) -> Any:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter(model_content=model, num_threads=self.threads)
