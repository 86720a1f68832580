"""Runtimes: a network file in, tensors in, tensors out. Nothing here knows of faces.

    import evface_runtimes

    with evface_runtimes.load("evface-s.onnx", device="cpu") as runtime:
        outputs = runtime.run({"events": tensor})

Public: `load`, `RUNTIMES`, `RuntimeSpec`, `Runtime`, `MockRuntime`, `differences`, `Difference`.
"""

from __future__ import annotations

from evface_runtimes.agreement import Difference, differences
from evface_runtimes.mock import MockRuntime
from evface_runtimes.protocol import Runtime
from evface_runtimes.table import RUNTIMES, RuntimeSpec, load

__all__ = [
    "RUNTIMES",
    "Difference",
    "MockRuntime",
    "Runtime",
    "RuntimeSpec",
    "differences",
    "load",
]
