"""ONNX Runtime: CPU, and CUDA where the GPU build of it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evface_edge.errors import ModelError, RuntimeUnavailable
from evface_runtimes.base import BaseRuntime, FloatArrays

#: device → providers asked for. The CPU stands behind CUDA for the few shape operators that CUDA
#: has no kernel for; that CUDA itself was obtained is checked afterwards.
_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
}


def open_model(path: Path, device: str, threads: int) -> BaseRuntime:
    """A session on exactly the providers of `device`."""
    import onnxruntime as ort

    wanted = _PROVIDERS[device]
    available = ort.get_available_providers()
    missing = [provider for provider in wanted if provider not in available]
    if missing:
        raise RuntimeUnavailable(
            f"this onnxruntime {ort.__version__} has no {missing[0]} (it has "
            f"{', '.join(available)}); for an NVIDIA GPU, replace the package onnxruntime by "
            "onnxruntime-gpu"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; what matters below that is checked here
    # Worker threads that spin between inferences would take the cores of the rest of the program.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=wanted)
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
            "driver, and that CUDA and cuDNN fit this onnxruntime"
        )
    return _OnnxRuntime(session, device, threads)


class _OnnxRuntime(BaseRuntime):
    def __init__(self, session: Any, device: str, threads: int) -> None:
        super().__init__(
            "onnxruntime",
            device,
            {value.name: _shape(value.shape) for value in session.get_inputs()},
            {value.name: _shape(value.shape) for value in session.get_outputs()},
            {"providers": session.get_providers(), "threads": threads},
        )
        self._session = session

    def _infer(self, tensors: FloatArrays) -> FloatArrays:
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, tensors), strict=True))

    def _release(self) -> None:
        self._session = None


def _shape(sizes: list[int | str | None]) -> tuple[int, ...]:
    """A named or unknown size is any size."""
    return tuple(size if isinstance(size, int) else -1 for size in sizes)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
