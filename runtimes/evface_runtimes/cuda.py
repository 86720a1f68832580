"""CUDA through cuda-python: the calls of an inference, each with a check of its result."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_runtimes.errors import RuntimeUnavailable

_NO_DEVICE = {
    35: (
        "the NVIDIA driver is missing, or older than the installed cuda-bindings (with JetPack 6: "
        "pip install 'cuda-bindings==12.9.*')"
    ),
    100: "the driver finds no NVIDIA GPU",
}


@dataclass(frozen=True)
class Gpu:
    """The first GPU of this machine: name and compute capability, such as "Orin", "8.7"."""

    name: str
    compute_capability: str


class Cuda:
    """The CUDA runtime API; its failures raise RuntimeUnavailable.

    Args:
        library: the module `cuda.bindings.runtime`.
    """

    def __init__(self, library: Any) -> None:
        self._library = library

    def __call__(self, function: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime API; returns its result, or None.

        Raises:
            RuntimeUnavailable: it failed; `field` is the function, `value` the CUDA error.
        """
        error, *results = getattr(self._library, function)(*arguments)
        if int(error) != 0:
            raise RuntimeUnavailable(
                f"{function}: CUDA error {int(error)} ({self._text(error)})",
                field=function,
                value=int(error),
            )
        return results[0] if results else None

    def gpu(self) -> Gpu:
        """The first GPU.

        Raises:
            RuntimeUnavailable: there is no GPU, or no driver for it.
        """
        error, count = self._library.cudaGetDeviceCount()
        if int(error) != 0 or not count:
            reason = _NO_DEVICE.get(int(error), self._text(error))
            raise RuntimeUnavailable(
                f"no NVIDIA GPU can be used: {reason} (CUDA error {int(error)})",
                field="cudaGetDeviceCount",
                value=int(error),
            )
        properties = self("cudaGetDeviceProperties", 0)
        name = properties.name
        return Gpu(
            name.decode() if isinstance(name, bytes) else name,
            f"{properties.major}.{properties.minor}",
        )

    def pinned_array(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], int]:
        """A float32 array in page-locked host memory, and its address for `cudaFreeHost`."""
        count = int(np.prod(shape))
        address = self("cudaHostAlloc", 4 * count, 0)
        cells = (ctypes.c_float * count).from_address(address)
        array: NDArray[np.float32] = np.ctypeslib.as_array(cells)
        return array.reshape(shape), address

    def upload(self, device: int, host: int, count: int, stream: Any) -> None:
        """Copy `count` float32 to the GPU, in the order of the stream."""
        kind = self._library.cudaMemcpyKind.cudaMemcpyHostToDevice
        self("cudaMemcpyAsync", device, host, 4 * count, kind, stream)

    def download(self, host: int, device: int, count: int, stream: Any) -> None:
        """Copy `count` float32 from the GPU, in the order of the stream."""
        kind = self._library.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self("cudaMemcpyAsync", host, device, 4 * count, kind, stream)

    def begin_capture(self, stream: Any) -> None:
        """Record the next calls on the stream in a graph instead of running them."""
        mode = self._library.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self("cudaStreamBeginCapture", stream, mode)

    def _text(self, error: Any) -> str:
        _, text = self._library.cudaGetErrorString(error)
        return text.decode() if isinstance(text, bytes) else str(text)


def load_cuda() -> Cuda:
    """CUDA; cuda-python must be installed."""
    from cuda.bindings import runtime

    return Cuda(runtime)
