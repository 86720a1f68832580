"""Nothing leaves the machine: commands and runtimes in a fresh home, system calls watched."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "evface_edge" / "models"
#: Ways by which a library finds out that it runs in CI, where some send nothing.
CI_VARIABLES = ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV")
#: A call to an address outside this machine; DNS servers count, whatever their address.
INTERNET = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*AF_INET6?\b.*")
LOOPBACK = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "::1"')

COMMAND = "from evface_edge.cli import main; raise SystemExit(main({arguments!r}))"
LOAD = """
import time
import numpy as np
import evface_runtimes
with evface_runtimes.load({path!r}, runtime={runtime!r}) as runtime:
    runtime.run({{"events": np.zeros((1, 10, 128, 128), np.float32)}})
time.sleep(4)  # ONNX Runtime uploads after two seconds
"""
CASES = {
    "demo": (COMMAND.format(arguments=["demo", "-o", "out"]), ()),
    "doctor": (COMMAND.format(arguments=["doctor"]), ()),
    "onnxruntime": (LOAD.format(path=str(MODELS / "evface-n-fp32.onnx"), runtime=None), ()),
    "openvino": (
        LOAD.format(path=str(MODELS / "evface-n-fp32.onnx"), runtime="openvino"),
        ("openvino",),
    ),
    "litert": (
        LOAD.format(path=str(MODELS / "evface-n-int8.tflite"), runtime="litert"),
        ("ai_edge_litert",),
    ),
    "nncf": ("import evface_runtimes, nncf, time; time.sleep(2)", ("nncf",)),
    "rerun": (
        COMMAND.format(
            arguments=["view", str(ROOT / "evface_edge" / "data" / "demo.npz"), "-o", "demo.rrd"]
        ),
        ("rerun",),
    ),
}


def _calls_out(code: str, folder: Path) -> tuple[list[str], list[str]]:
    """Run `code`; return calls to other machines, and the files left in its home."""
    trace, home = folder / "trace.txt", folder / "home"
    home.mkdir()
    environment = {
        **{key: value for key, value in os.environ.items() if key not in CI_VARIABLES},
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    for name in ("ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    watched = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", trace]
    done = subprocess.run(
        [*watched, sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    calls = [
        line
        for line in trace.read_text(errors="replace").splitlines()
        if INTERNET.search(line) and not LOOPBACK.search(line)
    ]
    files = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    return calls, files


@pytest.fixture(autouse=True)
def _strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_sent(name: str, tmp_path: Path) -> None:
    code, packages = CASES[name]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    calls, files = _calls_out(code, tmp_path)
    assert calls == []
    # numba keeps compiled loops in the cache folder; ours holds TensorRT's timing cache.
    assert [file for file in files if not file.startswith(".cache/evface-edge/")] == []


def test_telemetry_is_detected(tmp_path: Path) -> None:
    """The same check, of the library alone."""
    code = "import onnxruntime, time; time.sleep(4)"
    if tuple(map(int, importlib.metadata.version("onnxruntime").split(".")[:2])) < (1, 29):
        pytest.skip("this ONNX Runtime has no telemetry on Linux")
    _, files = _calls_out(code, tmp_path)
    assert any("onnxruntime" in file for file in files)


def test_a_choice_of_the_user_is_kept(tmp_path: Path) -> None:
    code = "import os, evface_runtimes; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {
        **os.environ,
        "ORT_DISABLE_TELEMETRY": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0"
