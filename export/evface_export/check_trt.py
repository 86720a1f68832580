"""Parse and build a model with TensorRT-RTX, which needs no GPU.

It runs in a process of its own, because a failure of native code ends the whole process. The
engine is not kept: TensorRT-RTX builds for desktop GPUs. It has the parser and the network API of
TensorRT, but other kernels: a Jetson may still refuse the model, and speed is not known.
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
        ExportError: it cannot be parsed or built; the message is that of TensorRT.
    """
    if importlib.util.find_spec("tensorrt_rtx") is None:
        raise RuntimeUnavailable(
            "--check-trt needs tensorrt-rtx", fix="pip install 'evface-edge[check-trt]'"
        )
    command = [sys.executable, "-m", "evface_export.check_trt", str(model)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"TensorRT-RTX was stopped after {_TIMEOUT_S} s", path=model.name, field="timeout"
        ) from None
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExportError(
            f"TensorRT-RTX crashed (exit code {done.returncode}: {last})",
            path=model.name,
            field="exit code",
            value=done.returncode,
        )
    # The result counts even if the process crashes while it exits.
    result = json.loads(lines[-1].removeprefix(_MARK))
    if "error" in result:
        raise ExportError(result.pop("error"), **result)
    return TrtCheck(**result)


def _main(path: Path) -> None:
    import tensorrt_rtx as trt

    from evface_runtimes.tensorrt_build import BuildSettings, build_engine

    try:
        built = build_engine(trt, path.read_bytes(), BuildSettings(), origin=path.name)
    except ModelError as error:
        result: dict[str, object] = {
            "error": error.reason,
            "path": path.name,
            "field": error.field,
            "value": error.value,
            "fix": error.fix,
        }
    else:
        result = dataclasses.asdict(
            TrtCheck(trt.__version__, built.layers, len(built.plan), round(built.seconds, 2))
        )
    sys.stdout.write(f"\n{_MARK}{json.dumps(result)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
