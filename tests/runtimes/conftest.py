"""A GPU that is not there: CUDA and TensorRT as far as our runtime uses them, in plain memory.

Streams really are asynchronous here (nothing runs before the stream is waited for), capture really
records, memory is checked at each copy and each free, and a plan is an ONNX model that ONNX Runtime
computes. What the fakes offer is held against the real libraries in `test_tensorrt_fakes.py`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

WEIGHTS = np.arange(15, dtype=np.float32).reshape(3, 5) / 7
BIAS = np.array([1, -2, 3, -4, 5], np.float32)


def linear_model(path: Path, dtype: int = TensorProto.FLOAT) -> Path:
    """y = x W + b, any batch size."""
    numpy_dtype = helper.tensor_dtype_to_np_dtype(dtype)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"]),
            helper.make_node("Add", ["xw", "b"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", dtype, ["batch", 3])],
        [helper.make_tensor_value_info("y", dtype, ["batch", 5])],
        [
            onnx.numpy_helper.from_array(WEIGHTS.astype(numpy_dtype), "w"),
            onnx.numpy_helper.from_array(BIAS.astype(numpy_dtype), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "linear.onnx")


@pytest.fixture(scope="session")
def make_linear() -> Callable[..., Path]:
    return linear_model


@pytest.fixture
def closed_form() -> Callable[[Any], Any]:
    """What `linear` computes."""
    return lambda x: x @ WEIGHTS + BIAS


@dataclass
class _Stream:
    handle: int
    pending: list[Callable[[], None]] = field(default_factory=list)
    recording: list[Callable[[], None]] | None = None

    def __int__(self) -> int:
        return self.handle

    def submit(self, step: Callable[[], None]) -> None:
        (self.pending if self.recording is None else self.recording).append(step)


class FakeCuda:
    """The functions of `cuda.bindings.runtime` that are used, over memory of this process.

    Attributes:
        alive: what was made and not given back: handle → what it is.
        log: names of the calls, in order.
        capture_fails: the network cannot be recorded.
        free_bytes: that the GPU has left.
    """

    def __init__(self) -> None:
        self._real = pytest.importorskip(
            "cuda.bindings.runtime", reason="cuda-bindings is not installed"
        )
        self.cudaMemcpyKind = self._real.cudaMemcpyKind
        self.cudaStreamCaptureMode = self._real.cudaStreamCaptureMode
        self.device_count = (self._real.cudaError_t.cudaSuccess, 1)
        self.gpu = SimpleNamespace(name=b"Orin", major=8, minor=7)
        self.alive: dict[int, str] = {}
        self.log: list[str] = []
        self.capture_fails = False
        self.free_bytes = 1 << 30
        self._memory: dict[int, Any] = {}
        self.streams: dict[int, _Stream] = {}
        self._graphs: dict[int, list[Callable[[], None]]] = {}
        self._next = 1000

    def error(self, name: str) -> Any:
        return getattr(self._real.cudaError_t, name)

    def _done(self, call: str, *values: Any) -> tuple[Any, ...]:
        self.log.append(call)
        return (self.error("cudaSuccess"), *values)

    def _handle(self, kind: str) -> int:
        self._next += 1
        self.alive[self._next] = kind
        return self._next

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:
        return self.device_count

    def cudaGetErrorString(self, error: Any) -> tuple[Any, ...]:
        return tuple(self._real.cudaGetErrorString(error))

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, ...]:
        return self._done("cudaGetDeviceProperties", self.gpu)

    def _allocate(self, call: str, kind: str, size: int) -> tuple[Any, ...]:
        if kind == "device":
            if size > self.free_bytes:
                return (self.error("cudaErrorMemoryAllocation"), 0)
            self.free_bytes -= size
        memory = (ctypes.c_char * size)()
        address = ctypes.addressof(memory)
        ctypes.memset(address, 0xA5, size)  # whatever was there before
        self._memory[address], self.alive[address] = memory, kind
        return self._done(call, address)

    def _give_back(self, call: str, handle: int, kind: str) -> tuple[Any, ...]:
        if self.alive.get(handle) != kind:
            return (self.error("cudaErrorInvalidValue"),)
        del self.alive[handle]
        if kind == "device":
            self.free_bytes += len(self._memory[handle])
        self._memory.pop(handle, None)
        return self._done(call)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:
        return self._allocate("cudaHostAlloc", "host", size)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return self._allocate("cudaMalloc", "device", size)

    def cudaFreeHost(self, address: int) -> tuple[Any, ...]:
        return self._give_back("cudaFreeHost", address, "host")

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        return self._give_back("cudaFree", address, "device")

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: Any, stream: _Stream
    ) -> tuple[Any, ...]:
        up = kind == self.cudaMemcpyKind.cudaMemcpyHostToDevice
        sides = ("device", "host") if up else ("host", "device")
        for address, side in zip((target, source), sides, strict=True):
            if self.alive.get(address) != side or len(self._memory[address]) < size:
                return (self.error("cudaErrorInvalidValue"),)
        stream.submit(lambda: ctypes.memmove(target, source, size) and None)
        return self._done("cudaMemcpyAsync")

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        stream = _Stream(self._handle("stream"))
        self.streams[int(stream)] = stream
        return self._done("cudaStreamCreateWithFlags", stream)

    def cudaStreamDestroy(self, stream: _Stream) -> tuple[Any, ...]:
        return self._give_back("cudaStreamDestroy", int(stream), "stream")

    def cudaStreamSynchronize(self, stream: _Stream) -> tuple[Any, ...]:
        if stream.recording is not None:
            return (self.error("cudaErrorStreamCaptureUnsupported"),)
        while stream.pending:
            stream.pending.pop(0)()
        return self._done("cudaStreamSynchronize")

    def cudaStreamBeginCapture(self, stream: _Stream, mode: Any) -> tuple[Any, ...]:
        stream.recording = []
        return self._done("cudaStreamBeginCapture")

    def cudaStreamEndCapture(self, stream: _Stream) -> tuple[Any, ...]:
        steps, stream.recording = stream.recording, None
        if self.capture_fails:
            return (self.error("cudaErrorStreamCaptureInvalidated"), None)
        graph = self._handle("graph")
        self._graphs[graph] = steps or []
        return self._done("cudaStreamEndCapture", graph)

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[Any, ...]:
        ready = self._handle("graph ready to run")
        self._graphs[ready] = self._graphs[graph]
        return self._done("cudaGraphInstantiate", ready)

    def cudaGraphLaunch(self, ready: int, stream: _Stream) -> tuple[Any, ...]:
        for step in self._graphs[ready]:
            stream.submit(step)
        return self._done("cudaGraphLaunch")

    def cudaGraphExecDestroy(self, ready: int) -> tuple[Any, ...]:
        return self._give_back("cudaGraphExecDestroy", ready, "graph ready to run")

    def cudaGraphDestroy(self, graph: int) -> tuple[Any, ...]:
        return self._give_back("cudaGraphDestroy", graph, "graph")


MAGIC = b"ftrt"


class FakeTensorRt(SimpleNamespace):
    """The part of the module `tensorrt` that is used. A plan is MAGIC + largest batch + ONNX."""

    def __init__(self, cuda: FakeCuda, version: str = "10.3.0") -> None:
        super().__init__(__version__=version, float32="float32", float16="float16")
        self.cuda = cuda
        self.built: list[bytes] = []
        severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, INFO=3)
        self.ILogger = type("ILogger", (), {"Severity": severity, "__init__": lambda self: None})
        self.IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
        self.BuilderFlag = SimpleNamespace(TF32="TF32")
        self.TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
        self.Builder = lambda logger: _Builder(self)
        self.OnnxParser = _Parser
        self.Runtime = lambda logger: _Runtime(self, logger)


class _Builder:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt

    def create_network(self, flags: int) -> SimpleNamespace:
        assert flags == 1 << 1, "strongly typed"
        return SimpleNamespace(onnx=b"", num_layers=0)

    def create_builder_config(self) -> SimpleNamespace:
        config = SimpleNamespace(flags={"TF32"}, profiles=[], cache=None)
        config.set_memory_pool_limit = lambda pool, size: None
        config.clear_flag = config.flags.remove
        config.create_timing_cache = lambda content: SimpleNamespace(
            serialize=lambda: content or b"timings"
        )
        config.set_timing_cache = lambda cache, ignore_mismatch: setattr(config, "cache", cache)
        config.get_timing_cache = lambda: config.cache
        config.add_optimization_profile = config.profiles.append
        return config

    def create_optimization_profile(self) -> SimpleNamespace:
        profile = SimpleNamespace(shapes={})
        profile.set_shape = lambda name, low, best, high: profile.shapes.update({name: high})
        return profile

    def build_serialized_network(
        self, network: SimpleNamespace, config: SimpleNamespace
    ) -> bytes | None:
        assert not config.flags, "float32 stays float32"
        config.progress_monitor.phase_start("Building engine", None, 1)
        largest = next(iter(config.profiles[0].shapes.values()))[0]
        self._trt.built.append(network.onnx)
        return MAGIC + bytes([largest]) + network.onnx


class _Parser:
    def __init__(self, network: SimpleNamespace, logger: Any) -> None:
        self._network = network
        self.num_errors = 0

    def parse(self, content: bytes) -> bool:
        import onnxruntime as ort

        values = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).get_inputs()
        shapes = [SimpleNamespace(name=v.name, shape=(-1, *v.shape[1:])) for v in values]
        self._network.onnx, self._network.num_layers = content, 2
        self._network.num_inputs, self._network.get_input = len(shapes), shapes.__getitem__
        return True


class _Runtime:
    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        if not plan.startswith(MAGIC):
            self._logger.log(1, "Serialization assertion plan->header.magicTag failed")
            return None
        return _Engine(self._trt, plan)


class _Engine:
    def __init__(self, trt: FakeTensorRt, plan: bytes) -> None:
        import onnxruntime as ort

        self.trt = trt
        self.largest = plan[len(MAGIC)]
        self.session = ort.InferenceSession(
            plan[len(MAGIC) + 1 :], providers=["CPUExecutionProvider"]
        )
        self.ins = {value.name: value for value in self.session.get_inputs()}
        self.values = self.ins | {value.name: value for value in self.session.get_outputs()}
        self.num_io_tensors = len(self.values)

    def get_tensor_name(self, index: int) -> str:
        return list(self.values)[index]

    def get_tensor_dtype(self, name: str) -> str:
        return {"tensor(float)": "float32"}.get(self.values[name].type, "float16")

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in self.ins else "out"

    def get_tensor_shape(self, name: str) -> list[int]:
        return [size if isinstance(size, int) else -1 for size in self.values[name].shape]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        rest = tuple(self.values[name].shape[1:])
        return [(1, *rest), (1, *rest), (self.largest, *rest)]

    def create_execution_context(self) -> Any:
        return _Context(self)


class _Context:
    """Runs nothing when it is asked to, but puts it into the stream."""

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = shape
        return 1 <= shape[0] <= self._engine.largest

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        cuda = self._engine.trt.cuda
        found = cuda.streams[stream]
        if cuda.capture_fails and found.recording is not None:
            return False
        found.submit(self._run)
        return True

    def _run(self) -> None:
        feeds = {name: self._view(name, self._shapes[name]).copy() for name in self._engine.ins}
        outputs = [name for name in self._engine.values if name not in self._engine.ins]
        results = self._engine.session.run(outputs, feeds)
        for name, result in zip(outputs, results, strict=True):
            self._view(name, result.shape)[...] = result

    def _view(self, name: str, shape: tuple[int, ...]) -> Any:
        address = self._addresses[name]
        assert self._engine.trt.cuda.alive.get(address) == "device"
        count = int(np.prod(shape))
        cells = (ctypes.c_float * count).from_address(address)
        return np.ctypeslib.as_array(cells).reshape(shape)


@pytest.fixture
def fake_cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def fake_tensorrt(
    fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> FakeTensorRt:
    """In the place of `tensorrt` and of CUDA, with an empty cache of engines."""
    from evface_runtimes import cuda, tensorrt_runtime

    fake = FakeTensorRt(fake_cuda)
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr(cuda, "load_cuda", lambda: cuda.Cuda(fake_cuda))
    monkeypatch.setattr(tensorrt_runtime, "load_cuda", lambda: cuda.Cuda(fake_cuda))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return fake
