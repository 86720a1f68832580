"""CUDA through cuda-python: the few calls that an inference needs, each of them checked."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_runtimes.errors import RuntimeUnavailable

_NO_DEVICE = {
    35: (
        "the NVIDIA driver is absent, or older than the installed cuda-bindings (with JetPack 6: "
        "pip install 'cuda-bindings==12.9.*')"
    ),
    100: "the driver finds no NVIDIA GPU",
}


@dataclass(frozen=True)
class Gpu:
    """The first GPU of this machine, such as ("Orin", "8.7")."""

    name: str
    compute_capability: str


class Cuda:
    """The CUDA runtime API, whose failures are errors of ours.

    Args:
        library: the module `cuda.bindings.runtime`.
    """

    def __init__(self, library: Any) -> None:
        self._library = library

    def __call__(self, function: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime API; its one result, or None.

        Raises:
            RuntimeUnavailable: it failed; names the function, the error's number and text.
        """
        error, *results = getattr(self._library, function)(*arguments)
        if int(error) != 0:
            raise RuntimeUnavailable(f"{function}: CUDA error {int(error)} ({self._text(error)})")
        return results[0] if results else None

    def gpu(self) -> Gpu:
        """The GPU that everything runs on.

        Raises:
            RuntimeUnavailable: there is none, or no driver for it.
        """
        error, count = self._library.cudaGetDeviceCount()
        if int(error) != 0 or not count:
            reason = _NO_DEVICE.get(int(error), self._text(error))
            raise RuntimeUnavailable(
                f"no NVIDIA GPU can be used: {reason} (CUDA error {int(error)})"
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
        """From here on, what is put into the stream is recorded instead of run."""
        mode = self._library.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self("cudaStreamBeginCapture", stream, mode)

    def _text(self, error: Any) -> str:
        _, text = self._library.cudaGetErrorString(error)
        return text.decode() if isinstance(text, bytes) else str(text)


def load_cuda() -> Cuda:
    """CUDA, once the table of runtimes has seen that cuda-python is there."""
    from cuda.bindings import runtime

    return Cuda(runtime)
