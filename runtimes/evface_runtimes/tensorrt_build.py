"""From an ONNX model to a TensorRT engine, through TensorRT's own parser.

Works with the Python API of TensorRT 10 (JetPack 6) and 11, and with that of TensorRT-RTX, which
parses and builds on a machine without a GPU.

Networks are strongly typed: every operator runs in the types that stand in the ONNX file. INT8 is
its Q/DQ pairs, float16 its float16 tensors; TensorRT 11 knows no other way.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evface_runtimes.cache_folder import cache_folder
from evface_runtimes.cuda import Gpu
from evface_runtimes.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_runtimes.tensorrt_engine import EngineFacts, read_facts, sidecar_path

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildSettings:
    """How the builder is set.

    Attributes:
        max_batch: largest batch of one inference; kernels are chosen for a batch of 1.
        workspace_mib: GPU memory that kernels may use while they are tried.
    """

    max_batch: int = 16
    workspace_mib: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.max_batch <= 1024:
            raise ConfigError("max_batch", self.max_batch, "1 to 1024")
        if self.workspace_mib < 1:
            raise ConfigError("workspace_mib", self.workspace_mib, "1 or more")

    def __str__(self) -> str:
        return (
            f"strongly typed, no TF32, batch 1 to {self.max_batch}, "
            f"workspace {self.workspace_mib} MiB"
        )


@dataclass(frozen=True)
class BuiltEngine:
    """A serialized engine, the timing cache after it, and what the build took."""

    plan: bytes
    timing_cache: bytes
    layers: int
    seconds: float


def build_engine(
    trt: Any,
    onnx: bytes,
    settings: BuildSettings,
    *,
    origin: str,
    timing_cache: bytes = b"",
    progress: Callable[[str], None] = lambda phase: None,
) -> BuiltEngine:
    """Parse `onnx` and build an engine.

    Args:
        trt: the module `tensorrt`, or `tensorrt_rtx`.
        origin: names the model in messages.
        timing_cache: of an earlier build; a foreign one is ignored by TensorRT.
        progress: gets the name of each phase as it begins.

    Raises:
        ModelError: the parser does not know an operator, or the builder has no kernel for it;
            the message has what TensorRT said.
    """
    start = time.perf_counter()
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    # TensorRT 11 knows strongly typed networks alone, and may do without the flag.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = [_told(parser.get_error(index)) for index in range(parser.num_errors)]
        raise ModelError(
            f"{origin}: TensorRT {trt.__version__} cannot parse it "
            f"({_reasons(errors or logger.errors)}); export it with --target trt-fp32, trt-fp16 "
            "or trt-int8"
        )
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    # Float32 means float32: on its own, TensorRT rounds factors to 10 bits where it can.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.progress_monitor = _monitor(trt, progress)
    _add_profile(builder, network, config, settings)
    with warnings.catch_warnings():
        # TensorRT-RTX has no timing cache: its functions do nothing there, and say so.
        warnings.filterwarnings("ignore", ".*Timing cache", DeprecationWarning)
        cache = config.create_timing_cache(timing_cache)
        if cache is not None:
            config.set_timing_cache(cache, ignore_mismatch=False)
        plan = builder.build_serialized_network(network, config)
        kept = config.get_timing_cache()
        timings = b"" if kept is None else bytes(kept.serialize())
    if plan is None:
        raise ModelError(
            f"{origin}: TensorRT {trt.__version__} cannot build it ({_reasons(logger.errors)})"
        )
    return BuiltEngine(bytes(plan), timings, network.num_layers, time.perf_counter() - start)


def cached_engine(
    trt: Any,
    gpu: Gpu,
    model: Path,
    settings: BuildSettings | None = None,
    *,
    progress: Callable[[str], None] = lambda phase: None,
) -> Path:
    """The engine of an ONNX model for this machine, from the cache, or built into it.

    The cache is `cache_folder("engines")`; an engine's name holds the model's hash, the GPU, the
    version of TensorRT and the settings.

    Raises:
        ModelError: see `build_engine`.
        RuntimeUnavailable: the cache cannot be written.
    """
    settings = settings or BuildSettings()
    onnx = model.read_bytes()
    facts = EngineFacts(
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        tensorrt=trt.__version__,
        flags=str(settings),
        source=model.name,
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
        engine_sha256="",
    )
    try:
        folder = cache_folder("engines")
        engine = folder / f"{model.stem}-{facts.key}.engine"
        if _is_sound(engine):
            _log.info("%s: engine from %s", model, engine)
            return engine
        timing = folder / f"timing-{gpu.compute_capability}-{trt.__version__}.cache"
        _log.warning(
            "%s: building an engine for %s with TensorRT %s, once; this takes up to minutes",
            model,
            gpu.name,
            trt.__version__,
        )
        built = build_engine(
            trt,
            onnx,
            settings,
            origin=str(model),
            timing_cache=timing.read_bytes() if timing.is_file() else b"",
            progress=progress,
        )
        _log.info("%s: %d layers, built in %.1f s", model, built.layers, built.seconds)
        replace_file(timing, built.timing_cache)
        write_engine(engine, built.plan, facts)
    except OSError as error:
        raise RuntimeUnavailable(
            f"the engine of {model.name} cannot be kept in {error.filename or 'the cache'} "
            f"({error.strerror}); set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return engine


def write_engine(engine: Path, plan: bytes, facts: EngineFacts) -> EngineFacts:
    """Write an engine and its sidecar; the facts with the hash that it has."""
    import dataclasses
    import json

    complete = dataclasses.replace(facts, engine_sha256=hashlib.sha256(plan).hexdigest())
    replace_file(engine, plan)
    replace_file(sidecar_path(engine), json.dumps(complete.to_entry(), indent=1).encode())
    return complete


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what was there."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def make_logger(trt: Any) -> Any:
    """A logger for TensorRT that keeps its errors, as `errors`, and passes all on to ours."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)
            _log.debug("TensorRT: %s", message)

    return Logger()


def _monitor(trt: Any, progress: Callable[[str], None]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            progress(phase)

        def step_complete(self, phase: str, step: int) -> bool:
            return True  # go on

        def phase_finish(self, phase: str) -> None:
            pass

    return Monitor()


def _add_profile(builder: Any, network: Any, config: Any, settings: BuildSettings) -> None:
    profile = builder.create_optimization_profile()
    free = False
    for index in range(network.num_inputs):
        value = network.get_input(index)
        batch, *rest = tuple(value.shape)
        if batch < 0:
            free = True
            profile.set_shape(value.name, (1, *rest), (1, *rest), (settings.max_batch, *rest))
    if free:
        config.add_optimization_profile(profile)


def _is_sound(engine: Path) -> bool:
    """Whether the cache holds it; a damaged entry is built again."""
    try:
        return engine.is_file() and read_facts(engine) is not None
    except ModelError as error:
        _log.warning("%s", error)
        return False


def _told(error: Any) -> str:
    """What the parser says of one operator."""
    where = f"{error.node_operator()} {error.node_name()!r}: " if error.node_operator() else ""
    return f"{where}{error.desc()}"


def _reasons(messages: list[str]) -> str:
    """The first few, since one cause has many consequences."""
    return "; ".join(" ".join(message.split()) for message in messages[:3]) or "no reason given"
