"""The interface of a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evface_runtimes.errors import ConfigError


class Runtime(Protocol):
    """A loaded network. Anything with these members is a runtime.

    Attributes:
        name: such as "onnxruntime".
        device: the device in use, such as "cpu".
        inputs, outputs: name → shape (-1: any size).
    """

    name: str
    device: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """One inference: name → array for every input, name → array for every output."""

    def close(self) -> None:
        """Release the network."""


@dataclass(frozen=True)
class LoadOptions:
    """How to open a network.

    Attributes:
        device: one of the runtime's devices.
        threads: CPU threads of one inference.
        parallel: number of inferences that can run at once.

    Raises:
        ConfigError: a number below 1.
    """

    device: str
    threads: int = 1
    parallel: int = 1

    def __post_init__(self) -> None:
        for field in ("threads", "parallel"):
            if getattr(self, field) < 1:
                raise ConfigError(field, getattr(self, field), "1 or more")
