"""Description of the machine that a benchmark ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

#: Packages whose version changes a latency.
_PACKAGES = (
    "evface-edge",
    "numpy",
    "numba",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "ai-edge-litert",
    "torch",
)
_PACKAGES_OF_GPU = ("tensorrt", "cuda-bindings")


def describe_machine(root: Path = Path("/")) -> dict[str, str]:
    """Return facts such as processor, memory and package versions; unknown ones are absent.

    Args:
        root: root of the file system with Linux's pseudo files.
    """
    facts = {
        "processor": _processor(root),
        "cores": _cores(),
        "memory": _memory(root),
        "board": _board(root),
        "hypervisor": _hypervisor(root),
        "system": f"{platform.system()} {_release()} {platform.machine()}",
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load": _load(),
        "python": platform.python_version(),
    }
    versions = {name: _version(name) for name in (*_PACKAGES, *_PACKAGES_OF_GPU)}
    return {key: value for key, value in (facts | versions).items() if value}


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _processor(root: Path) -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} of {os.cpu_count()} usable"


def _release() -> str:
    """Return the kernel's major and minor version."""
    return ".".join(platform.release().split(".")[:2])


def _memory(root: Path) -> str:
    match = re.search(r"^MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return f"{int(match[1]) * 1024 / 1e9:.1f} GB" if match else ""


def _board(root: Path) -> str:
    """Return the model of a board such as a Jetson, its software release and power mode."""
    model = _text(root / "proc/device-tree/model")
    release = _text(root / "etc/nv_tegra_release").partition(", GCID")[0].strip("# ")
    mode = re.search(r"(\w*)\s*$", _text(root / "var/lib/nvpmodel/status"))
    parts = [model, release, f"power mode {mode[1]}" if mode and mode[1] else ""]
    return ", ".join(part for part in parts if part)


def _hypervisor(root: Path) -> str:
    """Report a virtual machine: other guests may use the same cores."""
    inside = re.search(r"^flags\s*:.*\bhypervisor\b", _text(root / "proc/cpuinfo"), re.MULTILINE)
    return "a virtual machine" if inside else ""


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
