"""LiteRT (TensorFlow Lite) on the CPU, with its XNNPACK kernels."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np

from evface_runtimes.base import BaseRuntime, FloatArrays, wrong_dtype
from evface_runtimes.errors import ModelError
from evface_runtimes.protocol import LoadOptions


def find_device(device: str) -> str:
    """The architecture of the processor."""
    return platform.machine()


def open_model(path: Path, options: LoadOptions) -> BaseRuntime:
    """A model with one interpreter for each of `options.parallel` inferences.

    Shapes are fixed in the file. A model for a batch of one takes any batch here, one row after
    the other: its results do not depend on the batch.
    """
    import ai_edge_litert

    interpreters = [_interpreter(path, options.threads) for _ in range(options.parallel)]
    details = {"version": ai_edge_litert.__version__, "threads": options.threads}
    return _LiteRtRuntime(path, interpreters, options.device, details)


def _interpreter(path: Path, threads: int) -> Any:
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"LiteRT {ai_edge_litert.__version__} cannot load it ({reason})", path=path
        ) from error
    return interpreter


class _LiteRtRuntime(BaseRuntime):
    def __init__(
        self, path: Path, interpreters: list[Any], device: str, details: dict[str, Any]
    ) -> None:
        inputs, outputs = (
            {entry["name"]: entry for entry in entries}
            for entries in (
                interpreters[0].get_input_details(),
                interpreters[0].get_output_details(),
            )
        )
        for name, entry in (inputs | outputs).items():
            if entry["dtype"] is not np.float32:
                raise wrong_dtype(path, name, np.dtype(entry["dtype"]).name)
        shapes = {
            name: tuple(map(int, entry["shape"])) for name, entry in (inputs | outputs).items()
        }
        self._by_row = all(shape[:1] == (1,) for shape in shapes.values())
        if self._by_row:
            shapes = {name: (-1, *shape[1:]) for name, shape in shapes.items()}
        super().__init__(
            "litert",
            device,
            {name: shapes[name] for name in inputs},
            {name: shapes[name] for name in outputs},
            details,
            len(interpreters),
        )
        self._interpreters = interpreters
        self._indices = {name: entry["index"] for name, entry in (inputs | outputs).items()}

    def _infer(self, tensors: FloatArrays, slot: int) -> FloatArrays:
        interpreter = self._interpreters[slot]
        if not self._by_row:
            return self._once(interpreter, tensors)
        count = len(next(iter(tensors.values())))
        rows = [
            self._once(interpreter, {name: array[i : i + 1] for name, array in tensors.items()})
            for i in range(count)
        ]
        return {name: np.concatenate([row[name] for row in rows]) for name in self.outputs}

    def _once(self, interpreter: Any, tensors: FloatArrays) -> FloatArrays:
        for name, array in tensors.items():
            interpreter.set_tensor(self._indices[name], array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(self._indices[name]) for name in self.outputs}

    def _release(self) -> None:
        self._interpreters = []
