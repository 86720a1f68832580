"""The cases of a benchmark: every model on every runtime and device that can load it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError
from evface_edge.models import bundled_names, files_of, find_model
from evface_runtimes.files import recognise
from evface_runtimes.table import RUNTIMES


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


def model_paths(models: Sequence[str]) -> dict[str, Path]:
    """Return name → file of these models, by default of the bundled ones.

    Raises:
        ModelError: a model does not exist.
        ConfigError: two models have the same name.
    """
    paths: dict[str, Path] = {}
    for model in models or bundled_names():
        for path in files_of(model) or [find_model(model)]:
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


def cases(
    paths: dict[str, Path],
    threads: Sequence[int],
    runtime: str | None = None,
    device: str | None = None,
) -> Iterator[Case]:
    """Yield all combinations; on devices other than the CPU with one thread.

    TensorRT takes minutes to build an engine from an ONNX model, so that only models exported for
    it are included.

    Args:
        runtime, device: the only ones; None: all.

    Raises:
        ModelError: a file without a card, or of an unknown format.
        ConfigError: an unknown runtime or device.
    """
    names = [spec.name for spec in RUNTIMES]
    if runtime not in (None, *names):
        raise ConfigError("--runtime", runtime, f"one of {', '.join(names)}")
    specs = [spec for spec in RUNTIMES if runtime in (None, spec.name)]
    devices = sorted({name for spec in specs for name in spec.devices})
    if device not in (None, *devices):
        raise ConfigError("--device", device, f"one of {', '.join(devices)}")
    for name, path in paths.items():
        kind, card = recognise(path), read_card(path)
        for spec in specs:
            builds = spec.name == "tensorrt" and kind == "onnx"
            if kind not in spec.kinds or (builds and not card.target.startswith("trt")):
                continue
            for each in spec.devices:
                if device in (None, each):
                    for count in threads if each == "cpu" else (1,):
                        yield Case(name, str(path), card.precision, spec.name, each, count)
