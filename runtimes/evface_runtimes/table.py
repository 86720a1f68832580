"""The table of runtimes. Adding one is adding a row and a file."""

from __future__ import annotations

import difflib
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path

from evface_runtimes.base import BaseRuntime
from evface_runtimes.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_runtimes.files import SUFFIXES, recognise
from evface_runtimes.protocol import LoadOptions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuntimeSpec:
    """A runtime that may be asked for.

    Attributes:
        name: as users call it.
        module: holds `open_model(path, options) -> BaseRuntime` and `find_device(device) -> str`;
            imported on demand.
        packages: the libraries behind it, as they are imported.
        install: what to type when one of them is absent.
        kinds: of files that it reads, as `evface_runtimes.files` calls them.
        devices: all that may be named.
        auto: those of them that "auto" tries, in order.
        runs_parallel: whether several inferences may run at once.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    install: str
    kinds: tuple[str, ...]
    devices: tuple[str, ...]
    auto: tuple[str, ...]
    runs_parallel: bool = True


#: The first row that reads a file is the one taken when no runtime is named.
RUNTIMES: tuple[RuntimeSpec, ...] = (
    RuntimeSpec(
        name="onnxruntime",
        module="evface_runtimes.onnxruntime_runtime",
        packages=("onnxruntime",),
        install="pip install onnxruntime",
        kinds=("onnx",),
        devices=("cpu", "cuda", "tensorrt"),
        auto=("cuda", "cpu"),  # TensorRT builds for minutes: only where it is named
    ),
    RuntimeSpec(
        name="openvino",
        module="evface_runtimes.openvino_runtime",
        packages=("openvino",),
        install="pip install 'evface-edge[openvino]'",
        kinds=("openvino", "onnx"),
        devices=("cpu", "gpu", "npu"),
        auto=("cpu", "gpu", "npu"),
    ),
    RuntimeSpec(
        name="tensorrt",
        module="evface_runtimes.tensorrt_runtime",
        packages=("tensorrt", "cuda.bindings.runtime"),
        install=(
            "TensorRT comes with JetPack or from NVIDIA (make the virtual environment with "
            "--system-site-packages); pip install 'evface-edge[tensorrt]' brings cuda-python"
        ),
        kinds=("engine", "onnx"),
        devices=("cuda",),
        auto=("cuda",),
        runs_parallel=False,
    ),
    RuntimeSpec(
        name="torch",
        module="evface_runtimes.torch_runtime",
        packages=("torch",),
        install="pip install 'evface-edge[train]'",
        kinds=("checkpoint",),
        devices=("cpu", "cuda"),
        auto=("cpu",),  # the reference: the same numbers everywhere
        runs_parallel=False,
    ),
)


def load(
    path: str | Path,
    *,
    runtime: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    parallel: int = 1,
) -> BaseRuntime:
    """A network, ready to run.

    Args:
        path: the network's file; its kind is read from its first bytes.
        runtime: the name of a row of `RUNTIMES`; by default the first that reads such a file.
        device: a device of that runtime, or "auto": the first of its devices that is there
            (`.device` of the result says which). A device that is named is used or refused.
        threads: for one inference; 1 when not given, so that a live program keeps its cores.
        parallel: inferences at once, for `run_many` or for several threads; 1 has the lowest
            latency.

    Raises:
        ConfigError: no such runtime or device, `threads` or `parallel` below 1, or `parallel`
            above 1 with a runtime that runs one inference at a time.
        ModelError: no such file, or one that the runtime cannot read.
        RuntimeUnavailable: the runtime or the device is not there; says what was tried and why
            it failed.
        DeviceMismatch: an engine built for another GPU, or by another TensorRT.
    """
    path = Path(path)
    named = _named(runtime)
    if named is not None:
        _check_device(named, device)
    spec = _choose(path, recognise(path), named)
    _check_device(spec, device)
    options = [
        LoadOptions(candidate, 1 if threads is None else threads, parallel)
        for candidate in (spec.auto if device == "auto" else (device,))
    ]
    if parallel > 1 and not spec.runs_parallel:
        raise ConfigError("parallel", parallel, f"1 with {spec.name}")
    require(spec.name)
    module = importlib.import_module(spec.module)

    refusals = []
    for option in options:
        try:
            opened: BaseRuntime = module.open_model(path, option)
        except RuntimeUnavailable as error:
            refusals.append(f"{option.device}: {error}")
            continue
        _log.info("%s runs with %s", path, opened.describe())
        return opened
    raise RuntimeUnavailable(f"{spec.name} cannot run {path.name}. Tried {'; '.join(refusals)}")


def find_device(runtime: str, device: str) -> str:
    """Whether a device of a runtime is there; loads no network.

    Returns:
        what the runtime calls it.

    Raises:
        ConfigError: no such runtime or device.
        RuntimeUnavailable: the runtime or the device is not there; says what to do.
    """
    spec = _row(runtime)
    if device not in spec.devices:
        raise ConfigError("device", device, f"{', '.join(spec.devices)} with {runtime}")
    require(runtime)
    found: str = importlib.import_module(spec.module).find_device(device)
    return found


def require(runtime: str) -> None:
    """Import the libraries of a runtime.

    Raises:
        RuntimeUnavailable: one is absent; says what to install.
    """
    spec = next(spec for spec in RUNTIMES if spec.name == runtime)
    for package in spec.packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise RuntimeUnavailable(
                f"{spec.name} is not there ({error}): {spec.install}"
            ) from error


def _named(runtime: str | None) -> RuntimeSpec | None:
    return None if runtime is None else _row(runtime)


def _row(runtime: str) -> RuntimeSpec:
    names = [spec.name for spec in RUNTIMES]
    if runtime not in names:
        near = difflib.get_close_matches(runtime, names, n=1)
        hint = f" (nearest: {near[0]})" if near else ""
        raise ConfigError("runtime", runtime, ", ".join(names) + hint)
    return RUNTIMES[names.index(runtime)]


def _choose(path: Path, kind: str, named: RuntimeSpec | None) -> RuntimeSpec:
    for spec in RUNTIMES if named is None else (named,):
        if kind in spec.kinds:
            return spec
    by = "any runtime" if named is None else named.name
    kinds = SUFFIXES if named is None else named.kinds
    readable = ", ".join(SUFFIXES[kind][0] for kind in kinds)
    raise ModelError(f"{path}: not a file that {by} reads ({kind}); expected {readable}")


def _check_device(spec: RuntimeSpec, device: str) -> None:
    if device not in ("auto", *spec.devices):
        raise ConfigError("device", device, f"auto, {', '.join(spec.devices)} with {spec.name}")
