"""The file and the runtime of a bundled model where the user names no runtime.

All runtimes here compute the same INT8 network, so the fastest one is taken. Which one that is
depends on the instructions of the processor, and was measured once
(docs/reference/runtimes.md#which-runtime-is-chosen): nothing is timed at the start.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from evface_edge.models import files_of, find_model
from evface_runtimes.table import RUNTIMES, RuntimeSpec

X86_VNNI, X86, OTHER = "x86 with VNNI", "x86 without VNNI", "a processor other than x86"
#: Processor → runtimes, the fastest first. Others than x86 have not been measured: the base
#: install's comes first.
FASTEST: dict[str, tuple[str, ...]] = {
    X86_VNNI: ("litert", "onnxruntime", "openvino"),
    X86: ("onnxruntime", "openvino", "litert"),
    OTHER: ("onnxruntime", "litert", "openvino"),
}
_VNNI_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})


@dataclass(frozen=True)
class Choice:
    """What a model runs as.

    Attributes:
        runtime: name of a runtime; None: the first that reads the file.
        reason: why this runtime; empty if there was nothing to choose.
    """

    path: Path
    runtime: str | None = None
    reason: str = ""


def choose(
    model: str | Path, *, runtime: str | None = None, device: str = "auto", processor: str = ""
) -> Choice:
    """The file of a model and its runtime; a runtime that is named is kept.

    Args:
        model: as for `find_model`.
        device: a device other than the CPU leaves the choice to `evface_runtimes.load`.
        processor: a key of `FASTEST`; by default that of this machine.

    Raises:
        ModelError: neither a bundled name nor a file, or a bundled model without a file for the
            named runtime.
    """
    path = find_model(model, runtime=runtime)
    if runtime is not None or len(files_of(model)) < 2:
        return Choice(path, runtime)
    if device not in ("auto", "cpu") or (device == "auto" and _has_gpu_build()):
        return Choice(path)
    processor = processor or this_processor()
    fastest, *_ = order = FASTEST[processor]
    chosen = next((name for name in order if _is_installed(name)), None)
    if chosen is None:
        return Choice(path)
    reason = f"the fastest on {processor}"
    if chosen != fastest:
        reason = f"{fastest} is faster on {processor}: {_spec(fastest).install}"
    return Choice(find_model(model, runtime=chosen), chosen, reason)


def this_processor(root: Path = Path("/")) -> str:
    """The key of `FASTEST` of this machine.

    Args:
        root: root of the file system with Linux's pseudo files.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return OTHER
    try:
        text = (root / "proc" / "cpuinfo").read_text(errors="replace")
    except OSError:
        return X86
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return X86_VNNI if flags and _VNNI_FLAGS.intersection(flags[1].split()) else X86


def _spec(runtime: str) -> RuntimeSpec:
    return next(spec for spec in RUNTIMES if spec.name == runtime)


def _is_installed(runtime: str) -> bool:
    return all(
        importlib.util.find_spec(package.partition(".")[0]) is not None
        for package in _spec(runtime).packages
    )


def _has_gpu_build() -> bool:
    """Whether ONNX Runtime may use a GPU, which is faster than any of these."""
    try:
        importlib.metadata.version("onnxruntime-gpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
