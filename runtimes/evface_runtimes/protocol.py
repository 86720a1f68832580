"""What every runtime is: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evface_runtimes.errors import ConfigError


class Runtime(Protocol):
    """A loaded network.

    Attributes:
        name: such as "onnxruntime".
        device: the device really obtained, such as "cpu".
        inputs, outputs: name → shape (-1 where any size is accepted).
    """

    name: str
    device: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class LoadOptions:
    """How a network is to be opened.

    Attributes:
        device: one of the runtime's devices.
        threads: of the CPU, for one inference.
        parallel: inferences that run at once.
    """

    device: str
    threads: int = 1
    parallel: int = 1

    def __post_init__(self) -> None:
        for field in ("threads", "parallel"):
            if getattr(self, field) < 1:
                raise ConfigError(field, getattr(self, field), "1 or more")
