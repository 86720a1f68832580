"""Processors to run on: this one, and those that QEMU emulates.

QEMU's translator (TCG) has AVX2 from version 7.2 on, no AVX-512 and no VNNI; those need a machine
that has them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
#: Emulated x86 processor → the newest vector instructions it has.
X86 = {"Haswell": "AVX2, no VNNI", "Nehalem": "SSE4.2, no AVX"}
#: Emulated Arm processor → its vector instructions, and its part number in /proc/cpuinfo.
ARM = {
    "cortex-a53": ("NEON", 0xD03),
    "cortex-a72": ("NEON", 0xD08),
    "cortex-a76": ("NEON, dot product, FP16", 0xD0B),
    "neoverse-n1": ("NEON, dot product, FP16", 0xD0C),
}


@dataclass(frozen=True)
class Processor:
    """A processor, and how to run Python on it.

    Attributes:
        name: of QEMU's `-cpu`, or "native".
        instructions: its newest vector instructions.
        emulator: command and arguments of the emulator; empty on this processor.
        root: a file system of another architecture, made by `tools/make_arm64_root`.
    """

    name: str
    instructions: str
    emulator: tuple[str, ...] = ()
    root: Path | None = None

    def run(self, folder: Path, timeout_s: float | None = None) -> None:
        """Run the worker on the job in a folder.

        Raises:
            RuntimeError: the worker failed; with the end of its messages.
            subprocess.TimeoutExpired: it took longer.
        """
        python, packages = sys.executable, [REPOSITORY, REPOSITORY / "runtimes"]
        if self.root is not None:
            python = str(self.root / "usr/bin/python3.11")
            packages.append(Path("/opt/site"))
            _write_cpuinfo(self.root, ARM[self.name][1])
        done = subprocess.run(
            [*self.emulator, python, str(WORKER), str(folder)],
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(map(str, packages)),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "NUMBA_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: exit code {done.returncode}\n{done.stderr[-2000:]}")


def native() -> Processor:
    """This processor."""
    return Processor("native", "this processor")


def emulated_x86(name: str) -> Processor:
    """A processor of `X86`; see `missing_emulator`."""
    return Processor(name, X86[name], ("qemu-x86_64-static", "-cpu", name))


def emulated_arm(name: str, root: Path) -> Processor:
    """A processor of `ARM`, with the file system made by `tools/make_arm64_root`."""
    emulator = ("qemu-aarch64-static", "-L", str(root), "-cpu", name)
    return Processor(name, ARM[name][0], emulator, root)


def missing_emulator(name: str) -> str | None:
    """Why an emulator cannot be used; None if it is installed."""
    if shutil.which(name) is None:
        return f"{name} is not installed: apt-get install qemu-user-static"
    return None


def _write_cpuinfo(root: Path, part: int) -> None:
    """QEMU 7.2 shows the host's /proc/cpuinfo, with which ONNX Runtime for Arm crashes."""
    core = (
        "processor\t: 0\nFeatures\t: fp asimd cpuid\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part:#x}\nCPU revision\t: 0\n\n"
    )
    path = root / "proc/cpuinfo"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(core.replace(": 0\n", f": {i}\n", 1) for i in range(os.cpu_count() or 1))
    )
