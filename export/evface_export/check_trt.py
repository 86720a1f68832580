"""Does TensorRT take this model? Asked of TensorRT-RTX, which parses and builds without a GPU.

In a process of its own: it is native code, which ends a whole process when it fails. What comes
out is not written anywhere: TensorRT-RTX builds for GPUs of desktop machines, and its engines run
nowhere else. It shares parser and network API with TensorRT; kernels, speed, and the last word on
a Jetson do not follow from it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evface_edge.errors import ExportError, ModelError, RuntimeUnavailable

_MARK = "evface-check-trt:"
_TIMEOUT_S = 600


@dataclass(frozen=True)
class TrtCheck:
    """A model that was parsed and built.

    Attributes:
        version: of TensorRT-RTX.
        layers: of the parsed network, before fusion.
        plan_bytes: size of the engine.
        seconds: of parsing and building.
    """

    version: str
    layers: int
    plan_bytes: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.layers} layers parsed, engine of {self.plan_bytes / 1e6:.2f} MB built in "
            f"{self.seconds:.1f} s by TensorRT-RTX {self.version}"
        )


def check_trt(model: Path) -> TrtCheck:
    """Parse and build an ONNX model with TensorRT-RTX.

    Raises:
        RuntimeUnavailable: tensorrt-rtx is not installed.
        ExportError: it cannot be parsed or built; the message has what TensorRT said.
    """
    if importlib.util.find_spec("tensorrt_rtx") is None:
        raise RuntimeUnavailable(
            "--check-trt needs tensorrt-rtx: pip install 'evface-edge[check-trt]'"
        )
    command = [sys.executable, "-m", "evface_export.check_trt", str(model)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"{model.name}: TensorRT-RTX was still building after {_TIMEOUT_S} s, and was stopped"
        ) from None
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExportError(
            f"{model.name}: TensorRT-RTX brought its process down (exit code {done.returncode}: "
            f"{last})"
        )
    # A crash after the answer, on the way out, takes nothing from it.
    answer = json.loads(lines[-1].removeprefix(_MARK))
    if "error" in answer:
        raise ExportError(answer["error"])
    return TrtCheck(**answer)


def _main(path: Path) -> None:
    import tensorrt_rtx as trt

    from evface_runtimes.tensorrt_build import BuildSettings, build_engine

    try:
        built = build_engine(trt, path.read_bytes(), BuildSettings(), origin=path.name)
    except ModelError as error:
        answer: dict[str, object] = {"error": str(error)}
    else:
        answer = dataclasses.asdict(
            TrtCheck(trt.__version__, built.layers, len(built.plan), round(built.seconds, 2))
        )
    sys.stdout.write(f"\n{_MARK}{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
