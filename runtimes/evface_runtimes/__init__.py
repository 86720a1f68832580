"""Runtimes: a network file in, tensors in, tensors out. Nothing here knows of faces.

    import evface_runtimes

    with evface_runtimes.load("evface-s.onnx", device="cpu") as runtime:
        outputs = runtime.run({"events": tensor})

Public: `load`, `RUNTIMES`, `RuntimeSpec`, `Runtime`, `MockRuntime`.
"""

from __future__ import annotations

from evface_runtimes.mock import MockRuntime
from evface_runtimes.protocol import Runtime
from evface_runtimes.table import RUNTIMES, RuntimeSpec, load

__all__ = ["RUNTIMES", "MockRuntime", "Runtime", "RuntimeSpec", "load"]
