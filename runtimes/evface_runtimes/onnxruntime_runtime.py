"""ONNX Runtime: on the CPU; on CUDA and TensorRT with its GPU build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evface_runtimes.base import BaseRuntime, FloatArrays, wrong_dtype
from evface_runtimes.cache_folder import cache_folder
from evface_runtimes.errors import ModelError, RuntimeUnavailable
from evface_runtimes.protocol import LoadOptions

#: Device → providers. Each runs the operators that the one before has no kernel for. A session
#: that lacks one of them is refused.
_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}
#: Key of a model's metadata: graph optimisations to disable, separated by commas.
#: (`WeightBiasQuantization` of onnxruntime 1.31 converts biases to float16, where they overflow,
#: if the model's DequantizeLinear operators give float16.)
DISABLED_OPTIMIZERS_KEY = "onnxruntime.disabled_optimizers"


def find_device(device: str) -> str:
    """The name of the provider of a device.

    Raises:
        RuntimeUnavailable: this build of ONNX Runtime does not have it.
    """
    import onnxruntime as ort

    available = ort.get_available_providers()
    missing = [provider for provider in _PROVIDERS[device] if provider not in available]
    if missing:
        raise RuntimeUnavailable(
            f"no {missing[0]} in onnxruntime {ort.__version__} (available: {', '.join(available)})",
            field="device",
            value=device,
            fix="for an NVIDIA GPU, replace the package onnxruntime by onnxruntime-gpu",
        )
    return _PROVIDERS[device][0]


def open_model(path: Path, options: LoadOptions) -> BaseRuntime:
    """A session on the providers of `options.device`."""
    import onnxruntime as ort

    device = options.device
    wanted = _PROVIDERS[device]
    find_device(device)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3  # errors
    # Threads that spin between inferences would take cores from the rest of the program.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), settings, providers=_configured(wanted))
        disabled = _disabled_optimizers(session)
        if disabled:
            session = ort.InferenceSession(
                str(path),
                settings,
                providers=_configured(wanted),
                disabled_optimizers=disabled,
            )
    except Exception as error:  # the only common base of onnxruntime's errors
        if device != "cpu":
            raise RuntimeUnavailable(
                f"no session on {device} ({_first_line(error)})", path=path
            ) from error
        raise ModelError(
            f"ONNX Runtime {ort.__version__} cannot load it ({_first_line(error)})", path=path
        ) from error
    for value in (*session.get_inputs(), *session.get_outputs()):
        if value.type != "tensor(float)":
            raise wrong_dtype(path, value.name, value.type)
    obtained = session.get_providers()
    if obtained != wanted:
        raise RuntimeUnavailable(
            f"providers {', '.join(obtained)} instead of {', '.join(wanted)}",
            path=path,
            field="device",
            value=obtained,
            expected=", ".join(wanted),
            fix="check the GPU driver, and the versions of CUDA, cuDNN and TensorRT that "
            "this onnxruntime needs",
        )
    details = {"version": ort.__version__, "providers": obtained, "threads": options.threads}
    return _OnnxRuntime(session, device, details, options.parallel)


class _OnnxRuntime(BaseRuntime):
    """A session; it is safe in several threads, so that slots need no objects of their own."""

    def __init__(self, session: Any, device: str, details: dict[str, Any], parallel: int) -> None:
        super().__init__(
            "onnxruntime",
            device,
            {value.name: _shape(value.shape) for value in session.get_inputs()},
            {value.name: _shape(value.shape) for value in session.get_outputs()},
            details,
            parallel,
        )
        self._session = session

    def _infer(self, tensors: FloatArrays, slot: int) -> FloatArrays:
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, tensors), strict=True))

    def _release(self) -> None:
        self._session = None


def _configured(providers: list[str]) -> list[Any]:
    """Providers with options: TensorRT keeps its engines, since building them takes minutes."""
    if "TensorrtExecutionProvider" not in providers:
        return list(providers)
    folder = str(cache_folder("onnxruntime-tensorrt"))
    keep = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
    }
    return [(name, keep) if name == "TensorrtExecutionProvider" else name for name in providers]


def _disabled_optimizers(session: Any) -> list[str]:
    metadata = session.get_modelmeta().custom_metadata_map
    return [name for name in metadata.get(DISABLED_OPTIMIZERS_KEY, "").split(",") if name]


def _shape(sizes: list[int | str | None]) -> tuple[int, ...]:
    """Named and unknown sizes are -1."""
    return tuple(size if isinstance(size, int) else -1 for size in sizes)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
