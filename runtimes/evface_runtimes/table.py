"""The table of runtimes. Adding one is adding a row and a file."""

from __future__ import annotations

import difflib
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path

from evface_edge.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_runtimes.base import BaseRuntime

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuntimeSpec:
    """A runtime that may be asked for.

    Attributes:
        name: as users call it.
        module: holds `open_model(path, device, threads) -> BaseRuntime`; imported on demand.
        package: the library behind it, as it is imported.
        install: what to type when that library is absent.
        suffixes: of the files that it reads.
        devices: in the order in which "auto" tries them.
    """

    name: str
    module: str
    package: str
    install: str
    suffixes: tuple[str, ...]
    devices: tuple[str, ...]


#: The first row that reads a file is the one taken when no runtime is named.
RUNTIMES: tuple[RuntimeSpec, ...] = (
    RuntimeSpec(
        name="onnxruntime",
        module="evface_runtimes.onnxruntime_runtime",
        package="onnxruntime",
        install="pip install onnxruntime",
        suffixes=(".onnx",),
        devices=("cuda", "cpu"),
    ),
    RuntimeSpec(
        name="openvino",
        module="evface_runtimes.openvino_runtime",
        package="openvino",
        install="pip install 'evface-edge[openvino]'",
        suffixes=(".xml", ".onnx"),
        devices=("cpu", "gpu", "npu"),
    ),
)


def load(
    path: str | Path,
    *,
    runtime: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> BaseRuntime:
    """A network, ready to run.

    Args:
        path: the network's file.
        runtime: the name of a row of `RUNTIMES`; by default the first that reads such a file.
        device: a device of that runtime, or "auto": the first of its devices that is there
            (`.device` of the result says which). A device that is named is used or refused.
        threads: for one inference; 1 when not given, so that a live program keeps its cores.

    Raises:
        ConfigError: no such runtime or device, or `threads` below 1.
        ModelError: no such file, or one that the runtime cannot read.
        RuntimeUnavailable: the runtime or the device is not there; says what was tried and why
            it failed.
    """
    path = Path(path)
    if threads is not None and threads < 1:
        raise ConfigError("threads", threads, "1 or more")
    spec = _choose(path, runtime)
    if device != "auto" and device not in spec.devices:
        raise ConfigError("device", device, f"auto, {', '.join(spec.devices)} with {spec.name}")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        importlib.import_module(spec.package)
    except ImportError as error:
        raise RuntimeUnavailable(f"{spec.name} is not there ({error}): {spec.install}") from error
    module = importlib.import_module(spec.module)

    refusals = []
    for candidate in spec.devices if device == "auto" else (device,):
        try:
            opened: BaseRuntime = module.open_model(path, candidate, threads or 1)
        except RuntimeUnavailable as error:
            refusals.append(f"{candidate}: {error}")
            continue
        _log.info("%s runs on %s with %s", path, opened.device, opened.name)
        return opened
    raise RuntimeUnavailable(f"{spec.name} cannot run {path.name}. Tried {'; '.join(refusals)}")


def _choose(path: Path, runtime: str | None) -> RuntimeSpec:
    names = [spec.name for spec in RUNTIMES]
    if runtime is not None and runtime not in names:
        near = difflib.get_close_matches(runtime, names, n=1)
        hint = f" (nearest: {near[0]})" if near else ""
        raise ConfigError("runtime", runtime, ", ".join(names) + hint)
    suffix = path.suffix.lower()
    candidates = [spec for spec in RUNTIMES if runtime in (None, spec.name)]
    for spec in candidates:
        if suffix in spec.suffixes:
            return spec
    readable = sorted({suffix for spec in candidates for suffix in spec.suffixes})
    by = runtime or "any runtime"
    raise ModelError(f"{path}: not a file that {by} reads; expected {', '.join(readable)}")
