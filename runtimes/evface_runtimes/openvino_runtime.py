"""OpenVINO, synchronous: one infer request, one inference at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import ModelError, RuntimeUnavailable
from evface_runtimes.base import BaseRuntime, FloatArrays

#: device → (OpenVINO's name, precision of the float operators). The CPU would otherwise take
#: bfloat16 on its own wherever it has it, which moves landmarks; GPU and NPU compute in float16.
_DEVICES = {"cpu": ("CPU", "f32"), "gpu": ("GPU", "f16"), "npu": ("NPU", "f16")}


def open_model(path: Path, device: str, threads: int) -> BaseRuntime:
    """A compiled model on exactly `device`."""
    import openvino as ov

    core = ov.Core()
    name, precision = _DEVICES[device]
    if name not in {found.split(".")[0] for found in core.available_devices}:
        raise RuntimeUnavailable(
            f"OpenVINO {ov.__version__.split('-')[0]} finds no {name} (it finds "
            f"{', '.join(core.available_devices)}); check the driver"
        )
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    if device == "cpu":
        config |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: OpenVINO {ov.__version__.split('-')[0]} cannot load it ({_reason(error)})"
        ) from error
    for port in (*model.inputs, *model.outputs):
        if port.get_element_type() != ov.Type.f32:
            raise ModelError(
                f"{path}: {port.get_any_name()!r} is {port.get_element_type()}, expected f32"
            )
    try:
        compiled = core.compile_model(model, name, config)
    except RuntimeError as error:
        raise RuntimeUnavailable(f"cannot compile {path.name} ({_reason(error)})") from error
    return _OpenVinoRuntime(model, compiled, device, threads)


class _OpenVinoRuntime(BaseRuntime):
    def __init__(self, model: Any, compiled: Any, device: str, threads: int) -> None:
        # Compiling may give a tensor the names of its neighbours: keep those of the file.
        super().__init__(
            "openvino",
            device,
            {port.get_any_name(): _shape(port) for port in model.inputs},
            {port.get_any_name(): _shape(port) for port in model.outputs},
            {
                "precision": compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
                "threads": threads,
            },
        )
        self._request = compiled.create_infer_request()

    def _infer(self, tensors: FloatArrays) -> FloatArrays:
        results = self._request.infer(list(tensors.values()))
        return {name: np.array(results[index]) for index, name in enumerate(self.outputs)}

    def _release(self) -> None:
        self._request = None


def _shape(port: Any) -> tuple[int, ...]:
    return tuple(-1 if size.is_dynamic else size.get_length() for size in port.get_partial_shape())


def _reason(error: Exception) -> str:
    """The last line says what is wrong; those before it name OpenVINO's own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
