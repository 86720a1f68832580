"""The cases of a benchmark: every model on every runtime and device that can load it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError
from evface_edge.models import bundled_names, find_model
from evface_runtimes.files import recognise
from evface_runtimes.table import RUNTIMES, RuntimeSpec


@dataclass(frozen=True)
class Case:
    """One model on one device.

    Attributes:
        name: name of the model.
        path: file of the model.
        precision: "fp32", "fp16" or "int8".
    """

    name: str
    path: str
    precision: str
    runtime: str
    device: str
    threads: int

    def __str__(self) -> str:
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.name} on {self.runtime}, {self.device}{threads}"


@dataclass(frozen=True)
class Target:
    """Restriction to a runtime and a device; None: all of them."""

    runtime: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        names = [spec.name for spec in RUNTIMES]
        if self.runtime is not None and self.runtime not in names:
            raise ConfigError("--runtime", self.runtime, f"one of {', '.join(names)}")
        devices = sorted({device for spec in self.runtimes() for device in spec.devices})
        if self.device is not None and self.device not in devices:
            raise ConfigError("--device", self.device, f"one of {', '.join(devices)}")

    def runtimes(self) -> list[RuntimeSpec]:
        """Return the chosen runtimes."""
        return [spec for spec in RUNTIMES if self.runtime in (None, spec.name)]


def model_paths(models: Sequence[str]) -> dict[str, Path]:
    """Return name → file of these models, by default of the bundled ones.

    Raises:
        ModelError: a model does not exist.
        ConfigError: two models have the same name.
    """
    paths: dict[str, Path] = {}
    for model in models or bundled_names():
        path = find_model(model)
        name = path.stem if path.suffix == ".onnx" else path.name
        if name in paths and paths[name] != path:
            raise ConfigError("MODEL", str(path), f"another name than that of {paths[name]}")
        paths[name] = path
    return paths


def thread_counts(cores: int | None = None) -> list[int]:
    """Return 1, 2, 4 … and the number of cores that this process may use."""
    if cores is None:
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    doubled = [1]
    while 2 * doubled[-1] <= cores:
        doubled.append(2 * doubled[-1])
    return sorted({*doubled, cores})


def cases(paths: dict[str, Path], threads: Sequence[int], target: Target) -> Iterator[Case]:
    """Yield all combinations; on devices other than the CPU with one thread.

    TensorRT takes minutes to build an engine from an ONNX model, so that only models exported for
    it are included.

    Raises:
        ModelError: a file without a card, or of an unknown format.
    """
    for name, path in paths.items():
        kind, card = recognise(path), read_card(path)
        for spec in target.runtimes():
            builds = spec.name == "tensorrt" and kind == "onnx"
            if kind not in spec.kinds or (builds and not card.target.startswith("trt")):
                continue
            for device in spec.devices:
                if target.device not in (None, device):
                    continue
                for count in threads if device == "cpu" else (1,):
                    yield Case(name, str(path), card.precision, spec.name, device, count)


def missing_package(runtime: str) -> str | None:
    """Return why a runtime cannot be loaded; None if its packages are installed."""
    spec = next(spec for spec in RUNTIMES if spec.name == runtime)
    for package in spec.packages:
        try:
            installed = importlib.util.find_spec(package) is not None
        except ModuleNotFoundError:  # a parent package is not installed
            installed = False
        if not installed:
            return f"{package} is not installed: {spec.install}"
    return None
