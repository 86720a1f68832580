"""TensorRT: an engine, or an ONNX model whose engine is built once and kept in the cache.

Inputs and outputs use page-locked memory. One inference is one CUDA graph (upload, network,
download), recorded once for each batch size, on one stream.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from evface_runtimes.base import BaseRuntime, FloatArrays, wrong_dtype
from evface_runtimes.cuda import Cuda, load_cuda
from evface_runtimes.errors import ModelError, RuntimeUnavailable
from evface_runtimes.files import recognise
from evface_runtimes.protocol import LoadOptions
from evface_runtimes.tensorrt_build import cached_engine, make_logger
from evface_runtimes.tensorrt_engine import check_machine, read_facts

_log = logging.getLogger(__name__)


def find_device(device: str) -> str:
    """Name and compute capability of the GPU.

    Raises:
        RuntimeUnavailable: there is no GPU, or no driver for it.
    """
    gpu = load_cuda().gpu()
    return f"{gpu.name}, compute capability {gpu.compute_capability}"


def open_model(path: Path, options: LoadOptions) -> BaseRuntime:
    """An engine on the first NVIDIA GPU.

    Raises:
        RuntimeUnavailable: no GPU, no driver, or not enough memory.
        ModelError: the engine is damaged, or has tensors that are not float32.
        DeviceMismatch: the engine was built for another GPU or TensorRT.
    """
    import tensorrt as trt

    return open_engine(trt, load_cuda(), path, options)


def open_engine(trt: Any, cuda: Cuda, path: Path, options: LoadOptions) -> BaseRuntime:
    """`open_model` with these libraries."""
    # Before any object of TensorRT: without a driver, they crash the process at exit.
    gpu = cuda.gpu()
    if recognise(path) == "onnx":
        path = cached_engine(trt, gpu, path, progress=lambda phase: _log.info("%s", phase))
    facts = read_facts(path)
    if facts is not None:
        check_machine(
            path,
            facts,
            gpu=gpu.name,
            compute_capability=gpu.compute_capability,
            tensorrt=trt.__version__,
        )
    logger = make_logger(trt)
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ModelError(
            f"TensorRT {trt.__version__} on {gpu.name} cannot load it "
            f"({'; '.join(logger.errors) or 'no reason given'})",
            path=path,
            fix="build it on this machine: `evface-edge build-engine MODEL.onnx`",
        )
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    for name in names:
        if engine.get_tensor_dtype(name) != trt.float32:
            raise wrong_dtype(path, name, str(engine.get_tensor_dtype(name)))
    inputs, outputs = (
        {
            name: tuple(engine.get_tensor_shape(name))
            for name in names
            if engine.get_tensor_mode(name) == mode
        }
        for mode in (trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT)
    )
    details = {
        "version": trt.__version__,
        "gpu": f"{gpu.name} ({gpu.compute_capability})",
        "cuda graph": "yes",
        "engine": str(path),
    }
    return _TensorRtRuntime(cuda, runtime, engine, inputs, outputs, options.device, details)


class _TensorRtRuntime(BaseRuntime):
    """One stream, and for each batch size that was used a `_Lane`."""

    def __init__(
        self,
        cuda: Cuda,
        runtime: Any,
        engine: Any,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        device: str,
        details: dict[str, Any],
    ) -> None:
        super().__init__("tensorrt", device, inputs, outputs, details)
        self._cuda, self._runtime, self._engine = cuda, runtime, engine
        free = [name for name, shape in inputs.items() if shape[0] < 0]
        #: Largest batch of one inference; larger ones are split.
        self.max_batch: int | None = None
        if free:
            self.max_batch = min(engine.get_tensor_profile_shape(name, 0)[2][0] for name in free)
            details["largest batch"] = self.max_batch
        self._lanes: dict[int, _Lane] = {}
        self._stream = cuda("cudaStreamCreateWithFlags", 1)  # does not wait for the default stream

    def _infer(self, tensors: FloatArrays, slot: int) -> FloatArrays:
        batch = len(next(iter(tensors.values())))
        step = self.max_batch or batch
        parts = []
        for start in range(0, batch, step):
            part = {name: array[start : start + step] for name, array in tensors.items()}
            parts.append(self._lane(min(step, batch - start)).infer(part))
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _lane(self, batch: int) -> _Lane:
        lane = self._lanes.get(batch)
        if lane is None:
            lane = _Lane(self._cuda, self._engine, self._stream, self.inputs, self.outputs, batch)
            self._lanes[batch] = lane
            if lane.problem:
                self.details["cuda graph"] = f"no ({lane.problem})"
                _log.warning("no CUDA graph, so that every inference is slower: %s", lane.problem)
        return lane

    def _release(self) -> None:
        # In reverse order of creation, also if a step fails: graphs, buffers and contexts, then
        # the stream, the engine and the runtime.
        with contextlib.ExitStack() as made:
            made.callback(setattr, self, "_runtime", None)
            made.callback(setattr, self, "_engine", None)
            made.callback(self._cuda, "cudaStreamDestroy", self._stream)
            for lane in self._lanes.values():
                made.callback(lane.close)
            self._lanes = {}


class _Lane:
    """Context, buffers and graph of one batch size.

    A recorded graph contains the addresses and the shapes of its context, so that each batch size
    needs its own.

    Attributes:
        problem: why the network cannot be recorded as a graph, or "".
    """

    def __init__(
        self,
        cuda: Cuda,
        engine: Any,
        stream: Any,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        batch: int,
    ) -> None:
        self._cuda, self._stream = cuda, stream
        self._arrays: FloatArrays = {}
        self._memory: dict[str, tuple[int, int]] = {}  # name → addresses on host and GPU
        self._inputs, self._outputs = list(inputs), list(outputs)
        self._graph: Any = None
        self.problem = ""
        with contextlib.ExitStack() as made:
            self._context = engine.create_execution_context()
            if self._context is None:
                raise RuntimeUnavailable("TensorRT made no context", fix="free some GPU memory")
            made.callback(self._drop_context)
            for name, shape in (inputs | outputs).items():
                full = tuple(batch if size < 0 else size for size in shape)
                self._allocate(name, full, made)
                if name in inputs and not self._context.set_input_shape(name, full):
                    raise ModelError(
                        f"the engine refuses shape {full} for {name!r}", field=name, value=full
                    )
                self._context.set_tensor_address(name, self._memory[name][1])
            self._enqueue()  # the first run allocates memory, which cannot be recorded
            cuda("cudaStreamSynchronize", stream)
            self._record(made)
            self._made = made.pop_all()

    def infer(self, tensors: FloatArrays) -> FloatArrays:
        for name in self._inputs:
            np.copyto(self._arrays[name], tensors[name])
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda("cudaGraphLaunch", self._graph, self._stream)
        self._cuda("cudaStreamSynchronize", self._stream)
        return {name: self._arrays[name].copy() for name in self._outputs}

    def close(self) -> None:
        self._made.close()

    def _allocate(self, name: str, shape: tuple[int, ...], made: contextlib.ExitStack) -> None:
        array, host = self._cuda.pinned_array(shape)
        made.callback(self._cuda, "cudaFreeHost", host)
        self._arrays[name] = array
        made.callback(self._arrays.pop, name)  # the array goes before its memory
        array.fill(0)
        device = self._cuda("cudaMalloc", array.nbytes)
        made.callback(self._cuda, "cudaFree", device)
        self._memory[name] = host, device

    def _enqueue(self) -> None:
        for name in self._inputs:
            host, device = self._memory[name]
            self._cuda.upload(device, host, self._arrays[name].size, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise RuntimeUnavailable(
                "TensorRT could not run the network", fix="see its messages with -vv"
            )
        for name in self._outputs:
            host, device = self._memory[name]
            self._cuda.download(host, device, self._arrays[name].size, self._stream)

    def _record(self, made: contextlib.ExitStack) -> None:
        """Record `_enqueue` as a graph, or set `problem`; then inferences run without one."""
        self._cuda.begin_capture(self._stream)
        try:
            self._enqueue()
        except RuntimeUnavailable as error:
            self.problem = str(error)
        try:
            graph = self._cuda("cudaStreamEndCapture", self._stream)
        except RuntimeUnavailable as error:
            self.problem = self.problem or str(error)
            return
        made.callback(self._cuda, "cudaGraphDestroy", graph)
        if not self.problem:
            self._graph = self._cuda("cudaGraphInstantiate", graph, 0)
            made.callback(self._cuda, "cudaGraphExecDestroy", self._graph)

    def _drop_context(self) -> None:
        self._context = None
