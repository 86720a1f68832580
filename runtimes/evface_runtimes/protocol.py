"""What every runtime is: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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
