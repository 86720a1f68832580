"""OpenVINO: one infer request for each parallel inference."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np

from evface_runtimes.base import BaseRuntime, FloatArrays, wrong_dtype
from evface_runtimes.errors import ModelError, RuntimeUnavailable
from evface_runtimes.protocol import LoadOptions

#: Device → OpenVINO's name, and precision of float operators. The default of the CPU is bfloat16
#: where it is available, which changes landmarks.
_DEVICES = {"cpu": ("CPU", "f32"), "gpu": ("GPU", "f16"), "npu": ("NPU", "f16")}

_ARM = ("aarch64", "arm64")


def find_device(device: str) -> str:
    """The full name of the first device of this kind.

    Raises:
        RuntimeUnavailable: there is none.
    """
    import openvino as ov

    core = ov.Core()
    found = _find(ov, core, _DEVICES[device][0])
    return str(core.get_property(found, "FULL_DEVICE_NAME"))


def _find(ov: Any, core: Any, name: str) -> str:
    """ "GPU" → "GPU", or "GPU.0" where there are several."""
    for found in core.available_devices:
        if found.split(".")[0] == name:
            return str(found)
    raise RuntimeUnavailable(
        f"no {name} in OpenVINO {_version(ov)} (available: {', '.join(core.available_devices)})",
        field="device",
        value=name,
        fix="check the driver",
    )


def open_model(path: Path, options: LoadOptions) -> BaseRuntime:
    """A compiled model on `options.device`."""
    import openvino as ov

    core = ov.Core()
    device, parallel = options.device, options.parallel
    name, precision = _DEVICES[device]
    _find(ov, core, name)
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY" if parallel == 1 else "THROUGHPUT",
        "PERFORMANCE_HINT_NUM_REQUESTS": parallel,
        "INFERENCE_PRECISION_HINT": precision,
    }
    if device == "cpu":
        # Each stream has its own threads and runs one inference at a time.
        config |= {"INFERENCE_NUM_THREADS": options.threads * parallel, "NUM_STREAMS": parallel}
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"OpenVINO {_version(ov)} cannot load it ({_reason(error)})", path=path
        ) from error
    for port in (*model.inputs, *model.outputs):
        if port.get_element_type() != ov.Type.f32:
            raise wrong_dtype(path, port.get_any_name(), str(port.get_element_type()))
    if device == "cpu" and platform.machine().lower() in _ARM:
        _fold_matmul_weights(ov, model)
    try:
        compiled = core.compile_model(model, name, config)
    except RuntimeError as error:
        raise RuntimeUnavailable(
            f"OpenVINO {_version(ov)} cannot compile it ({_reason(error)})",
            path=path,
            fix="run the ONNX model with onnxruntime, or export it as openvino-fp32",
        ) from error
    details = {
        "version": _version(ov),
        "precision": compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
        "threads": options.threads,
    }
    return _OpenVinoRuntime(model, compiled, device, details, parallel)


def _fold_matmul_weights(ov: Any, model: Any) -> None:
    """Make the weights of matrix products float32 constants.

    On Arm, OpenVINO 2026.4 does not compile a product with dequantised weights after quantised
    convolutions: findings/openvino_arm_int8_matmul.sh. The convolutions stay INT8.
    """
    from openvino.passes import ConstantFolding, Manager

    matmuls = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    # A model of the weights alone: its operators are shared, so folding replaces them in both.
    outputs = [node.input_value(1) for node in matmuls]
    weights = ov.Model(outputs, model.get_parameters(), "weights")
    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(weights)


class _OpenVinoRuntime(BaseRuntime):
    def __init__(
        self, model: Any, compiled: Any, device: str, details: dict[str, Any], parallel: int
    ) -> None:
        # The names of the file: compiling can rename tensors.
        super().__init__(
            "openvino",
            device,
            {port.get_any_name(): _shape(port) for port in model.inputs},
            {port.get_any_name(): _shape(port) for port in model.outputs},
            details,
            parallel,
        )
        self._requests = [compiled.create_infer_request() for _ in range(parallel)]

    def _infer(self, tensors: FloatArrays, slot: int) -> FloatArrays:
        results = self._requests[slot].infer(list(tensors.values()))
        return {name: np.array(results[index]) for index, name in enumerate(self.outputs)}

    def _release(self) -> None:
        self._requests = []


def _shape(port: Any) -> tuple[int, ...]:
    return tuple(-1 if size.is_dynamic else size.get_length() for size in port.get_partial_shape())


def _version(ov: Any) -> str:
    return str(ov.__version__).split("-")[0]


def _reason(error: Exception) -> str:
    """The last line of a message; the lines before it are locations in OpenVINO's sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
