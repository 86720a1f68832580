"""Runtimes: run a network from a file on tensors. Nothing here depends on faces.

    import evface_runtimes

    with evface_runtimes.load("evface-s.onnx", device="cpu") as runtime:
        outputs = runtime.run({"events": tensor})

`MockRuntime` replaces a network in tests, also those of users:
`Predictor(card, runtime=MockRuntime(...))`. Errors are in `evface_runtimes.errors`.
"""

from __future__ import annotations

from evface_runtimes.agreement import Difference, differences
from evface_runtimes.base import BaseRuntime
from evface_runtimes.mock import MockRuntime
from evface_runtimes.protocol import Runtime
from evface_runtimes.table import RUNTIMES, RuntimeSpec, load
from evface_runtimes.telemetry import switch_off

__all__ = [
    "RUNTIMES",
    "BaseRuntime",
    "Difference",
    "MockRuntime",
    "Runtime",
    "RuntimeSpec",
    "differences",
    "load",
]

switch_off()  # before any runtime is imported
