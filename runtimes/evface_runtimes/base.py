"""What all runtimes have in common: checks of inputs, parallel inferences, and closing."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_runtimes.errors import ConfigError, ModelError, RuntimeUnavailable

FloatArrays = dict[str, NDArray[np.float32]]


def wrong_dtype(path: Path, name: str, dtype: str) -> ModelError:
    """The error for a tensor of a network that is not float32."""
    return ModelError(
        f"tensor {name!r} is {dtype}, expected float32",
        path=path,
        field=name,
        value=dtype,
        expected="float32",
    )


class BaseRuntime(ABC):
    """A loaded network. Subclasses implement `_infer` and `_release`.

    Safe in several threads: `parallel` inferences run at once, others wait.

    Attributes:
        name, device, inputs, outputs: see `Runtime`.
        details: such as version, providers, threads and precision, as the library reports them.
        parallel: number of inferences that can run at once.
    """

    def __init__(
        self,
        name: str,
        device: str,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        details: dict[str, Any],
        parallel: int = 1,
    ) -> None:
        self.name = name
        self.device = device
        self.inputs = inputs
        self.outputs = outputs
        self.details = details
        self.parallel = parallel
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(parallel):
            self._slots.put(slot)
        self._closing = threading.Lock()
        self._closed = False

    @abstractmethod
    def _infer(self, tensors: FloatArrays, slot: int) -> FloatArrays:
        """One inference on checked, C-contiguous float32 arrays.

        Args:
            slot: 0 to `parallel` - 1; no other inference uses it at the same time.
        """

    @abstractmethod
    def _release(self) -> None:
        """Release the library's objects; no inference is running."""

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> FloatArrays:
        """One inference: name → array, for every input and every output.

        Raises:
            ConfigError: an input is missing, unknown, or of another shape or dtype.
            RuntimeUnavailable: the network is closed.
        """
        self._check(tensors)
        slot = self._slots.get()
        try:
            if self._closed:
                raise RuntimeUnavailable(
                    f"this network on {self.name} is closed",
                    field="closed",
                    value=True,
                    fix="load it again",
                )
            arrays = {name: np.ascontiguousarray(tensors[name]) for name in self.inputs}
            return self._infer(arrays, slot)
        finally:
            self._slots.put(slot)

    def run_many(
        self, batches: Iterable[Mapping[str, NDArray[np.float32]]]
    ) -> Iterator[FloatArrays]:
        """The results of many inferences in order, `parallel` of them at once.

        This has the higher throughput, `run` the lower latency. `batches` is read only as far
        ahead as keeps the network busy.

        Raises:
            the errors of `run`, in place of that result.
        """
        pending: deque[Future[FloatArrays]] = deque()
        with ThreadPoolExecutor(self.parallel) as pool:
            try:
                for tensors in batches:
                    pending.append(pool.submit(self.run, tensors))
                    if len(pending) == 2 * self.parallel:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def describe(self) -> str:
        """Runtime, device and details in one line."""
        details = {"parallel": self.parallel, **self.details}
        return f"{self.name} on {self.device}: " + ", ".join(
            f"{key} {' + '.join(value) if isinstance(value, list) else value}"
            for key, value in details.items()
        )

    def close(self) -> None:
        """Release the network after running inferences have ended. A second call does nothing."""
        with self._closing:
            if self._closed:
                return
            slots = [self._slots.get() for _ in range(self.parallel)]
            self._closed = True
            try:
                self._release()
            finally:
                for slot in slots:
                    self._slots.put(slot)

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
