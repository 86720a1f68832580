"""ONNX Runtime: CPU; and CUDA and TensorRT where its GPU build is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evface_runtimes.base import BaseRuntime, FloatArrays
from evface_runtimes.cache_folder import cache_folder
from evface_runtimes.errors import ModelError, RuntimeUnavailable
from evface_runtimes.protocol import LoadOptions

#: device → providers asked for. Each stands behind the one before for the operators that that one
#: has no kernel for; that every one of them was obtained is checked afterwards.
_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}
#: A model may name graph optimisations that would spoil it, separated by commas, in its metadata.
#: (`WeightBiasQuantization` of onnxruntime 1.31 passes biases through float16, where they
#: overflow, if a model's DequantizeLinear give float16.)
DISABLED_OPTIMIZERS_KEY = "onnxruntime.disabled_optimizers"


def find_device(device: str) -> str:
    """What stands for a device of this runtime.

    Raises:
        RuntimeUnavailable: this build of ONNX Runtime does not have it.
    """
    import onnxruntime as ort

    available = ort.get_available_providers()
    missing = [provider for provider in _PROVIDERS[device] if provider not in available]
    if missing:
        raise RuntimeUnavailable(
            f"this onnxruntime {ort.__version__} has no {missing[0]} (it has "
            f"{', '.join(available)}); for an NVIDIA GPU, replace the package onnxruntime by "
            "onnxruntime-gpu"
        )
    return _PROVIDERS[device][0]


def open_model(path: Path, options: LoadOptions) -> BaseRuntime:
    """A session on exactly the providers of `options.device`."""
    import onnxruntime as ort

    device = options.device
    wanted = _PROVIDERS[device]
    find_device(device)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3  # errors; what matters below that is checked here
    # Worker threads that spin between inferences would take the cores of the rest of the program.
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
    except Exception as error:  # onnxruntime raises a class per status, all straight from Exception
        if device != "cpu":
            raise RuntimeUnavailable(f"no session on {device} ({_first_line(error)})") from error
        raise ModelError(
            f"{path}: ONNX Runtime {ort.__version__} cannot load it ({_first_line(error)})"
        ) from error
    for value in (*session.get_inputs(), *session.get_outputs()):
        if value.type != "tensor(float)":
            raise ModelError(f"{path}: {value.name!r} is a {value.type}, expected tensor(float)")
    obtained = session.get_providers()
    if obtained != wanted:
        raise RuntimeUnavailable(
            f"asked for {', '.join(wanted)}, obtained only {', '.join(obtained)}: check the GPU "
            "driver, and that CUDA, cuDNN and TensorRT fit this onnxruntime"
        )
    details = {"version": ort.__version__, "providers": obtained, "threads": options.threads}
    return _OnnxRuntime(session, device, details, options.parallel)


class _OnnxRuntime(BaseRuntime):
    """A session: safe for inferences at once, so that slots need nothing of their own."""

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
    """TensorRT keeps what it built: building takes minutes, and would happen at every start."""
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
    """A named or unknown size is any size."""
    return tuple(size if isinstance(size, int) else -1 for size in sizes)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
