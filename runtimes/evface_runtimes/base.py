"""What all runtimes share: the checks around one inference, and the end of a network's life."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, RuntimeUnavailable

FloatArrays = dict[str, NDArray[np.float32]]


class BaseRuntime(ABC):
    """A loaded network. Subclasses write `_infer` and `_release`.

    One object may be used from several threads: its inferences then run one after the other.

    Attributes:
        name, device, inputs, outputs: see `Runtime`.
        details: what was really obtained, such as providers, threads and precision.
    """

    def __init__(
        self,
        name: str,
        device: str,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        details: dict[str, Any],
    ) -> None:
        self.name = name
        self.device = device
        self.inputs = inputs
        self.outputs = outputs
        self.details = details
        self._lock = threading.Lock()
        self._closed = False

    @abstractmethod
    def _infer(self, tensors: FloatArrays) -> FloatArrays:
        """One inference on checked, C-contiguous float32 arrays."""

    @abstractmethod
    def _release(self) -> None:
        """Give up the library's objects."""

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> FloatArrays:
        """One inference: name → array, for every input and every output.

        Raises:
            ConfigError: an input is missing, unknown, or of another shape or dtype.
            RuntimeUnavailable: the network was closed.
        """
        self._check(tensors)
        with self._lock:
            if self._closed:
                raise RuntimeUnavailable(
                    f"this {self.name} network was closed: run() after close(); load it again"
                )
            return self._infer({name: np.ascontiguousarray(tensors[name]) for name in self.inputs})

    def close(self) -> None:
        """Release the network, after a running inference has ended. A second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._release()

    def __enter__(self) -> BaseRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        if tensors.keys() != self.inputs.keys():
            raise ConfigError("tensors", sorted(tensors), f"exactly {sorted(self.inputs)}")
        batches: set[int] = set()
        for name, expected in self.inputs.items():
            array = tensors[name]
            if not isinstance(array, np.ndarray) or array.dtype != np.float32:
                found = getattr(array, "dtype", type(array).__name__)
                raise ConfigError(f"tensors[{name!r}]", found, "a float32 array")
            fits = array.ndim == len(expected) and all(
                size > 0 if wanted < 0 else size == wanted
                for size, wanted in zip(array.shape, expected, strict=True)
            )
            if not fits:
                raise ConfigError(
                    f"tensors[{name!r}].shape", array.shape, f"{expected} (-1: any size above 0)"
                )
            batches.update(
                size for size, wanted in zip(array.shape, expected, strict=True) if wanted < 0
            )
        if len(batches) > 1:
            raise ConfigError("tensors", sorted(batches), "one batch size for all inputs")
