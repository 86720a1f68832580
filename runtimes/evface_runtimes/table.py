"""The table of runtimes. To add one, add a row here and a file."""

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
    """A row of the table.

    Attributes:
        name: the value of `runtime=`.
        module: has `open_model(path, options) -> BaseRuntime` and `find_device(device) -> str`;
            imported on demand.
        packages: the libraries it imports.
        install: how to install them.
        kinds: of files that it reads, keys of `evface_runtimes.files.SUFFIXES`.
        devices: the values of `device=`.
        auto: the devices that "auto" tries, in order.
        runs_parallel: whether several inferences can run at once.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    install: str
    kinds: tuple[str, ...]
    devices: tuple[str, ...]
    auto: tuple[str, ...]
    runs_parallel: bool = True


#: The default for a file is the first row that reads it.
RUNTIMES: tuple[RuntimeSpec, ...] = (
    RuntimeSpec(
        name="onnxruntime",
        module="evface_runtimes.onnxruntime_runtime",
        packages=("onnxruntime",),
        install="pip install onnxruntime",
        kinds=("onnx",),
        devices=("cpu", "cuda", "tensorrt"),
        auto=("cuda", "cpu"),  # not TensorRT, which builds for minutes
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
        name="litert",
        module="evface_runtimes.litert_runtime",
        packages=("ai_edge_litert",),
        install="pip install 'evface-edge[litert]'",
        kinds=("litert",),
        devices=("cpu",),
        auto=("cpu",),
    ),
    RuntimeSpec(
        name="tensorrt",
        module="evface_runtimes.tensorrt_runtime",
        packages=("tensorrt", "cuda.bindings.runtime"),
        install=(
            "install TensorRT with JetPack or from NVIDIA (and make the virtual environment with "
            "--system-site-packages), then pip install 'evface-edge[tensorrt]'"
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
        auto=("cpu",),  # the reference, the same on every machine
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
    """Load a network.

    Args:
        path: the file; its kind is read from its first bytes.
        runtime: name of a row of `RUNTIMES`; by default the first that reads this kind.
        device: a device of the runtime, or "auto" for the first one available; `.device` of the
            result names it. There is no silent fallback from a device that was named.
        threads: CPU threads of one inference; 1 by default, which leaves cores to a live program.
        parallel: number of inferences at once, for `run_many` or several threads; 1 has the lowest
            latency.

    Raises:
        ConfigError: no such runtime or device; `threads` or `parallel` below 1; or `parallel`
            above 1 with a runtime that runs one inference at a time.
        ModelError: no such file, or the runtime cannot read it.
        RuntimeUnavailable: the runtime or the device is not available; lists what was tried.
        DeviceMismatch: an engine was built for another GPU or TensorRT.
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

    failures: list[RuntimeUnavailable] = []
    for option in options:
        try:
            opened: BaseRuntime = module.open_model(path, option)
        except RuntimeUnavailable as error:
            failures.append(error)
            continue
        _log.info("%s runs with %s", path, opened.describe())
        return opened
    tried = zip(options, failures, strict=True)
    raise RuntimeUnavailable(
        f"{spec.name} cannot run it; "
        + "; ".join(f"tried {option.device}: {error}" for option, error in tried),
        path=path,
        field="device",
        value=device,
    ) from failures[-1]


def find_device(runtime: str, device: str) -> str:
    """The full name of a device of a runtime; loads no network.

    Raises:
        ConfigError: no such runtime or device.
        RuntimeUnavailable: the runtime or the device is not available.
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
        RuntimeUnavailable: a library is missing.
    """
    spec = next(spec for spec in RUNTIMES if spec.name == runtime)
    for package in spec.packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise RuntimeUnavailable(
                f"{spec.name} is not installed ({error})",
                field="runtime",
                value=spec.name,
                fix=spec.install,
            ) from error


def _named(runtime: str | None) -> RuntimeSpec | None:
    return None if runtime is None else _row(runtime)


def _row(runtime: str) -> RuntimeSpec:
    names = [spec.name for spec in RUNTIMES]
    if runtime not in names:
        near = difflib.get_close_matches(runtime, names, n=1)
        fix = f"did you mean {near[0]!r}?" if near else None
        raise ConfigError("runtime", runtime, ", ".join(names), fix=fix)
    return RUNTIMES[names.index(runtime)]


def _choose(path: Path, kind: str, named: RuntimeSpec | None) -> RuntimeSpec:
    for spec in RUNTIMES if named is None else (named,):
        if kind in spec.kinds:
            return spec
    reader = "no runtime" if named is None else f"{named.name} does not"
    expected = ", ".join(SUFFIXES[k][0] for k in (SUFFIXES if named is None else named.kinds))
    raise ModelError(
        f"{reader} read {kind} files, expected {expected}",
        path=path,
        field="kind",
        value=kind,
        expected=expected,
    )


def _check_device(spec: RuntimeSpec, device: str) -> None:
    if device not in ("auto", *spec.devices):
        raise ConfigError("device", device, f"auto, {', '.join(spec.devices)} with {spec.name}")
