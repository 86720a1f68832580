"""Landmarks of the bundled models on other processors, emulated by QEMU.

    python -m benchmarks emulation                        Haswell (AVX2, no VNNI) and Nehalem
    python -m benchmarks emulation --windows 2 --runtime onnxruntime
    tools/make_arm64_root /tmp/arm64 && python -m benchmarks emulation --arm-root /tmp/arm64 --demo

Install the emulators with `apt-get install qemu-user-static`. Landmarks are compared with those of
the float32 model, run without emulation. QEMU emulates neither AVX-512 nor VNNI: those columns need
a processor that has them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.emulation.comparison import as_report, as_text, bundled_files, compare, runs_of
from benchmarks.emulation.processors import (
    ARM,
    X86,
    emulated_arm,
    emulated_x86,
    missing_emulator,
)
from evface_runtimes.table import RUNTIMES


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks emulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--windows", type=int, default=8, help="inputs for each model")
    parser.add_argument(
        "--cpu", action="append", choices=[*X86, *ARM], help="processor; repeatable"
    )
    parser.add_argument("--arm-root", type=Path, help="run Arm processors with this file system")
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        choices=[spec.name for spec in RUNTIMES],
        help="runtime; repeatable; default: all",
    )
    parser.add_argument("--model", action="append", type=Path, help="model file; repeatable")
    parser.add_argument("--demo", action="store_true", help="also run the Predictor on the demo")
    parser.add_argument("-o", "--output", type=Path, help="write the report to this file (JSON)")
    given = parser.parse_args()
    if given.windows < 1:
        parser.error("--windows must be 1 or more")
    emulator = "qemu-aarch64-static" if given.arm_root else "qemu-x86_64-static"
    known = ARM if given.arm_root else X86
    if missing := missing_emulator(emulator):
        parser.error(missing)
    chosen = given.cpu or list(known)
    if wrong := [name for name in chosen if name not in known]:
        parser.error(
            f"{wrong[0]} {'is no Arm processor' if given.arm_root else 'needs --arm-root'}"
        )
    processors = [
        emulated_arm(name, given.arm_root.resolve()) if given.arm_root else emulated_x86(name)
        for name in chosen
    ]
    runs = runs_of(given.model or bundled_files(), given.runtime)
    rows, reports = compare(runs, processors, windows=given.windows, demo=given.demo)
    sys.stdout.write(as_text(rows) + "\n")
    if given.output:
        report = as_report(rows, reports, given.windows)
        given.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
