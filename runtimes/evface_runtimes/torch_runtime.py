"""PyTorch: checkpoints, as the reference for the other runtimes.

The package that trains registers the function that loads its checkpoints in the entry point group
`evface_runtimes.checkpoints`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from evface_runtimes.base import BaseRuntime, FloatArrays
from evface_runtimes.errors import RuntimeUnavailable
from evface_runtimes.protocol import LoadOptions

ENTRY_POINTS = "evface_runtimes.checkpoints"

Shapes = dict[str, tuple[int, ...]]
#: Path → network in eval mode (tensor → tuple of tensors), its input, its outputs in order.
Loader = Callable[[Path], tuple[Any, Shapes, Shapes]]


def find_device(device: str) -> str:
    """The name of the device.

    Raises:
        RuntimeUnavailable: there is no CUDA device.
    """
    import torch

    if device == "cpu":
        return f"{torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        raise RuntimeUnavailable(
            f"no CUDA device in torch {torch.__version__}",
            field="device",
            value=device,
            fix="check the driver, and that torch was installed with CUDA",
        )
    return str(torch.cuda.get_device_name())


def open_model(path: Path, options: LoadOptions) -> BaseRuntime:
    """A checkpoint in float32, on the CPU or on the first CUDA device."""
    import torch

    find_device(options.device)
    network, inputs, outputs = _loader()(path)
    details = {"version": torch.__version__, "precision": "fp32", "threads": options.threads}
    return _TorchRuntime(network.to(options.device), inputs, outputs, options.device, details)


def _loader() -> Loader:
    points = metadata.entry_points(group=ENTRY_POINTS)
    if not points:
        raise RuntimeUnavailable(
            f"no installed package loads checkpoints (entry points {ENTRY_POINTS})",
            field=ENTRY_POINTS,
            fix="install evface-edge again",
        )
    loader: Loader = next(iter(points)).load()
    return loader


class _TorchRuntime(BaseRuntime):
    def __init__(
        self, network: Any, inputs: Shapes, outputs: Shapes, device: str, details: dict[str, Any]
    ) -> None:
        super().__init__("torch", device, inputs, outputs, details)
        self._network = network

    def _infer(self, tensors: FloatArrays, slot: int) -> FloatArrays:
        import torch

        before = torch.get_num_threads()  # of the whole process; restored below
        torch.set_num_threads(self.details["threads"])
        try:
            with torch.inference_mode():
                arrays = [torch.from_numpy(array).to(self.device) for array in tensors.values()]
                results = self._network(*arrays)
        finally:
            torch.set_num_threads(before)
        return {
            name: result.cpu().numpy().copy()
            for name, result in zip(self.outputs, results, strict=True)
        }

    def _release(self) -> None:
        self._network = None
