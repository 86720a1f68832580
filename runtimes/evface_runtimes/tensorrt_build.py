"""ONNX model → TensorRT engine, with TensorRT's own parser.

For the Python API of TensorRT 10 (JetPack 6) and 11, and of TensorRT-RTX, which builds on a machine
without a GPU.

Networks are strongly typed: every operator runs in the types of the ONNX file, INT8 by its Q/DQ
pairs and float16 by its float16 tensors. TensorRT 11 supports nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
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
    """Settings of the builder.

    Attributes:
        max_batch: largest batch of one inference, 1 to 1024; kernels are chosen for a batch of 1.
        workspace_mib: GPU memory for kernels during the build.

    Raises:
        ConfigError: a value out of range.
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
    """A serialized engine, the timing cache, the number of layers, and the time of the build."""

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
    """Build an engine from an ONNX model.

    Args:
        trt: the module `tensorrt` or `tensorrt_rtx`.
        onnx: the contents of the file.
        origin: the file, for messages.
        timing_cache: of an earlier build; TensorRT ignores it if it does not fit.
        progress: called with the name of each phase when it begins.

    Raises:
        ModelError: the parser does not support an operator, or the builder has no kernel for it;
            with the messages of TensorRT.
    """
    start = time.perf_counter()
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    # TensorRT 11 has only strongly typed networks, and no such flag.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
        reasons = _reasons(errors or logger.errors)
        raise ModelError(
            f"TensorRT {trt.__version__} cannot parse it ({reasons})",
            path=origin,
            field="parser",
            value=reasons,
            fix="export it with --target trt-fp32, trt-fp16 or trt-int8",
        )
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    # By default TensorRT rounds the factors of float32 products to 10 bits.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.progress_monitor = _monitor(trt, progress)
    _add_profile(builder, network, config, settings)
    with warnings.catch_warnings():
        # TensorRT-RTX has no timing cache; its functions only warn.
        warnings.filterwarnings("ignore", ".*Timing cache", DeprecationWarning)
        cache = config.create_timing_cache(timing_cache)
        if cache is not None:
            config.set_timing_cache(cache, ignore_mismatch=False)
        plan = builder.build_serialized_network(network, config)
        kept = config.get_timing_cache()
        timings = b"" if kept is None else bytes(kept.serialize())
    if plan is None:
        reasons = _reasons(logger.errors)
        raise ModelError(
            f"TensorRT {trt.__version__} cannot build it ({reasons})",
            path=origin,
            field="builder",
            value=reasons,
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
    """The engine of an ONNX model for this machine; built if it is not in the cache.

    The cache is `cache_folder("engines")`. The name of an engine depends on the model's hash, the
    GPU, the version of TensorRT and the settings.

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
            "%s: building an engine for %s with TensorRT %s; this takes minutes, once",
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
            f"the engine of {model.name} cannot be written ({error.strerror})",
            path=error.filename,
            fix="set XDG_CACHE_HOME to a folder that can be written",
        ) from error
    return engine


def write_engine(engine: Path, plan: bytes, facts: EngineFacts) -> EngineFacts:
    """Write an engine and the file beside it; returns the facts with the engine's hash."""
    complete = dataclasses.replace(facts, engine_sha256=hashlib.sha256(plan).hexdigest())
    replace_file(engine, plan)
    replace_file(sidecar_path(engine), json.dumps(complete.to_entry(), indent=1).encode())
    return complete


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically; if that fails, the old contents stay."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def make_logger(trt: Any) -> Any:
    """A logger for TensorRT: keeps errors in `errors`, and logs all messages at debug level."""

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
            return True  # continue

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
    """Whether an engine is in the cache and not damaged."""
    try:
        return engine.is_file() and read_facts(engine) is not None
    except ModelError as error:
        _log.warning("%s", error)
        return False


def _parser_error(error: Any) -> str:
    """The parser's message, with the operator."""
    where = f"{error.node_operator()} {error.node_name()!r}: " if error.node_operator() else ""
    return f"{where}{error.desc()}"


def _reasons(messages: list[str]) -> str:
    """The first three messages; later ones are mostly consequences."""
    return "; ".join(" ".join(message.split()) for message in messages[:3]) or "no reason given"
