"""The real libraries, as far as they go without a GPU; and the fakes, held against them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evface_edge.errors import ModelError, RuntimeUnavailable
from evface_runtimes.cuda import Cuda, Gpu
from evface_runtimes.tensorrt_build import BuildSettings, build_engine, cached_engine
from evface_runtimes.tensorrt_engine import read_facts


@pytest.fixture(scope="module")
def cuda_library() -> Any:
    return pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")


@pytest.fixture(scope="module")
def trt() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


def test_cuda_without_a_gpu(cuda_library: Any) -> None:
    if not int(cuda_library.cudaGetDeviceCount()[0]):
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeUnavailable) as caught:
        Cuda(cuda_library).gpu()
    assert (caught.value.field, caught.value.value in (35, 100)) == ("cudaGetDeviceCount", True)
    with pytest.raises(RuntimeUnavailable) as caught:
        Cuda(cuda_library)("cudaMalloc", 16)
    assert (caught.value.field, caught.value.value in (35, 100)) == ("cudaMalloc", True)


def test_fake_cuda_is_like_cuda(cuda_library: Any, fake_cuda: Any) -> None:
    """Every function that the fake has is one of the library's."""
    names = {name for name in dir(fake_cuda) if name.startswith("cuda")}
    assert len(names) > 15
    assert names <= set(dir(cuda_library))


def test_fake_tensorrt_is_like_tensorrt(trt: Any, fake_tensorrt: Any, linear: Path) -> None:
    """Every class, method and constant that the fake has is one of the library's."""
    names = set(vars(fake_tensorrt)) - {"cuda", "built"}
    assert names <= set(dir(trt))
    fake = fake_tensorrt
    builder = fake.Builder(None)
    engine = fake.Runtime(None).deserialize_cuda_engine(b"ftrt\x10" + linear.read_bytes())
    for made, real in (
        (builder, trt.Builder),
        (builder.create_optimization_profile(), trt.IOptimizationProfile),
        (fake.Runtime(None), trt.Runtime),
        (engine, trt.ICudaEngine),
        (engine.create_execution_context(), trt.IExecutionContext),
    ):
        methods = {name for name, _ in inspect.getmembers(made, callable) if name[0] != "_"}
        assert methods
        assert methods <= set(dir(real)), real
    config = {name for name in vars(builder.create_builder_config()) if "_" in name}
    assert config <= set(dir(trt.IBuilderConfig))
    for kind in ("BuilderFlag", "MemoryPoolType", "TensorIOMode", "NetworkDefinitionCreationFlag"):
        assert set(vars(getattr(fake, kind))) <= set(dir(getattr(trt, kind)))


def test_build(trt: Any, linear: Path) -> None:
    phases: list[str] = []
    built = build_engine(
        trt, linear.read_bytes(), BuildSettings(), origin="linear", progress=phases.append
    )
    assert built.layers >= 2
    assert len(built.plan) > 1000
    assert phases


def test_models_that_tensorrt_does_not_take(trt: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("NoSuchOperator", ["x"], ["y"], domain="com.example")],
        "foreign",
        [value("x", 1, [1, 3])],
        [value("y", 1, [1, 3])],
    )
    foreign = onnx.helper.make_model(graph).SerializeToString()
    for content, part in ((foreign, "NoSuchOperator"), (b"\x08\x0a hello", trt.__version__)):
        with pytest.raises(ModelError) as caught:
            build_engine(trt, content, BuildSettings(), origin="m.onnx")
        assert caught.value.path == Path("m.onnx")
        assert part in str(caught.value)
        assert "--target trt-" in str(caught.value.fix)


def test_cache(trt: Any, linear: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gpu = Gpu("NVIDIA GeForce RTX 4060", "8.9")
    engine = cached_engine(trt, gpu, linear)
    before = engine.stat().st_mtime_ns
    assert cached_engine(trt, gpu, linear) == engine
    assert engine.stat().st_mtime_ns == before
    assert cached_engine(trt, Gpu("Orin", "8.7"), linear) != engine
    assert cached_engine(trt, gpu, linear, BuildSettings(max_batch=2)) != engine
    facts = read_facts(engine)
    assert facts is not None
    assert (facts.tensorrt, facts.source) == (trt.__version__, "linear.onnx")
    assert not [path for path in engine.parent.iterdir() if path.name.startswith(".")]


def test_runtime_refuses_before_it_touches_tensorrt(
    trt: Any, cuda_library: Any, linear: Path
) -> None:
    """In a process of its own: without a GPU, what TensorRT makes brings a process down at exit."""
    if not int(cuda_library.cudaGetDeviceCount()[0]):
        pytest.skip("this machine has a GPU")
    code = (
        "import sys, tensorrt_rtx; sys.modules['tensorrt'] = tensorrt_rtx\n"
        "import evface_runtimes\n"
        f"evface_runtimes.load({str(linear)!r}, runtime='tensorrt')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert re.search(r"RuntimeUnavailable: .*linear\.onnx: tensorrt .* cuda", done.stderr)


def test_settings_out_of_range() -> None:
    from evface_edge.errors import ConfigError

    for settings in ({"max_batch": 0}, {"max_batch": 5000}, {"workspace_mib": 0}):
        with pytest.raises(ConfigError) as caught:
            BuildSettings(**settings)
        assert {caught.value.field: caught.value.value} == settings


def test_cuda_takes_our_arguments(cuda_library: Any) -> None:
    """Every call of an inference reaches the driver, which is absent; none has a wrong argument."""
    if not int(cuda_library.cudaGetDeviceCount()[0]):
        pytest.skip("this machine has a GPU")
    cuda = Cuda(cuda_library)
    stream, graph = cuda_library.cudaStream_t(0), cuda_library.cudaGraph_t(0)
    ready = cuda_library.cudaGraphExec_t(0)
    assert int(stream) == 0
    calls: tuple[Callable[[], Any], ...] = (
        lambda: cuda.pinned_array((2, 3)),
        lambda: cuda.upload(16, 32, 4, stream),
        lambda: cuda.download(32, 16, 4, stream),
        lambda: cuda.begin_capture(stream),
        lambda: cuda("cudaMalloc", 16),
        lambda: cuda("cudaFree", 16),
        lambda: cuda("cudaFreeHost", 16),
        lambda: cuda("cudaStreamCreateWithFlags", 1),
        lambda: cuda("cudaStreamSynchronize", stream),
        lambda: cuda("cudaStreamEndCapture", stream),
        lambda: cuda("cudaStreamDestroy", stream),
        lambda: cuda("cudaGraphInstantiate", graph, 0),
        lambda: cuda("cudaGraphLaunch", ready, stream),
        lambda: cuda("cudaGraphExecDestroy", ready),
        lambda: cuda("cudaGraphDestroy", graph),
        lambda: cuda("cudaGetDeviceProperties", 0),
    )
    for call in calls:
        with pytest.raises(RuntimeUnavailable) as caught:
            call()
        assert caught.value.value in (35, 100)
