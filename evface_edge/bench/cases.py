"""What is measured: every model on every runtime and device that reads it."""

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
        name: of the model, as it was asked for.
        path: of its file.
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
    """A runtime and a device, as they were asked for; None: all that there are."""

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
        return [spec for spec in RUNTIMES if self.runtime in (None, spec.name)]


def model_paths(models: Sequence[str]) -> dict[str, Path]:
    """Name → file, of those asked for; without any, of those that came along.

    Raises:
        ModelError: one is not there.
        ConfigError: two of the same name.
    """
    found: dict[str, Path] = {}
    for model in models or bundled_names():
        path = find_model(model)
        name = path.stem if path.suffix == ".onnx" else path.name
        if name in found and found[name] != path:
            raise ConfigError("MODEL", str(path), f"another name than that of {found[name]}")
        found[name] = path
    return found


def thread_counts(cores: int | None = None) -> list[int]:
    """1, 2, 4 … and as many as there are cores that this process may use."""
    if cores is None:
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    doubled = [1]
    while 2 * doubled[-1] <= cores:
        doubled.append(2 * doubled[-1])
    return sorted({*doubled, cores})


def cases(paths: dict[str, Path], threads: Sequence[int], target: Target) -> Iterator[Case]:
    """All combinations; threads count on the CPU alone.

    TensorRT builds an engine of an ONNX model, which takes minutes: only of one exported for it.

    Raises:
        ModelError: a file without a card, or that no runtime reads.
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
    """Why a runtime cannot be here at all; None where its libraries are installed."""
    spec = next(spec for spec in RUNTIMES if spec.name == runtime)
    for package in spec.packages:
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:  # a parent of it is absent
            found = None
        if found is None:
            return f"{package} is not installed: {spec.install}"
    return None
