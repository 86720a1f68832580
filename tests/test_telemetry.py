"""Nothing leaves the machine: commands and examples in a fresh home, system calls watched.

With EVFACE_TRACE_ALL=1, every command and every example runs, each for ten seconds at least.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evface_edge.cli.assembly import assemble

ROOT = Path(__file__).parents[1]
DEMO = str(ROOT / "evface_edge" / "data" / "demo.npz")
EXAMPLES = {path.name for path in (ROOT / "examples").glob("*.py")}
ALL = bool(os.environ.get("EVFACE_TRACE_ALL"))
#: ONNX Runtime uploads after two seconds.
LEAST_S = 10.0 if ALL else 4.0
#: Ways by which a library finds out that it runs in CI, where some send nothing.
CI_VARIABLES = ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV")
UNSET = ("ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
#: A call to an address outside this machine; DNS servers count, whatever their address.
INTERNET = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*AF_INET6?\b.*")
LOOPBACK = re.compile(r'inet_addr\("(127\.|0\.0\.0\.0")|inet_pton\(AF_INET6, "::1?"')
#: Ray connects to its own machine, and finds the address by a route to this one; nothing is sent.
ROUTE = re.compile(r'connect\(\d+, .*htons\(53\), sin_addr=inet_addr\("8\.8\.8\.8"\)')

#: An answer of a program that is stopped, as by Ctrl-C.
STOPPED = 130
#: Runs commands in one process, and leaves time for an upload.
RUN = f"""
import time
began = time.monotonic()
from evface_edge.cli import main
code = max(main(arguments) for arguments in {{calls!r}})
time.sleep(max(0, began + {LEAST_S} - time.monotonic()))
raise SystemExit(code)
"""
#: rerun's window needs a display; without one, its program runs the same way with --headless.
WINDOW = """
import os
from pathlib import Path
from evface_edge import DEMO_RECORDING
from evface_edge.cli import main
from evface_edge.results import rerun_server, rerun_viewer
real, program = rerun_server.viewer_program(), Path("rerun").absolute()
program.write_text(f'#!/bin/sh\\nexec timeout 12 {real} --headless "$@"')
program.chmod(0o755)
rerun_viewer.viewer_program = lambda: program
os.environ["DISPLAY"] = ":0"
raise SystemExit(main(["view", str(DEMO_RECORDING), "-o", "window"]))
"""
TINY = """
name: tiny
task: landmarks
avatars: {people: 2, validation_people: 2, stills: 1}
student: {channels: [16, 16, 32, 32], blocks: [0, 0, 1], hidden: 32}
steps: 2
batch: 2
pool: 4
validation_clips: 4
validate_every: 2
"""
#: A call of each command, in an order that makes the files which later ones read.
COMMANDS: dict[str, list[str]] = {
    "demo": ["-o", "demo"],
    "predict": [DEMO, "-o", "faces.csv"],
    "view": [DEMO, "-o", "demo.rrd"],
    "info": ["evface-n"],
    "convert": [DEMO, "demo.raw"],
    "models": [],
    "bench": [
        *("evface-n-fp32", "--runtime", "onnxruntime", "--threads", "1", "--no-end-to-end"),
        *("--seconds", "0.1", "--rounds", "2"),
    ],
    "compare": ["evface-n-fp32", "--rate-hz", "5", "--seconds", "0.1"],
    "doctor": [],
    "simulate": ["synthetic:avatar?seconds=0.2", "-o", "simulated.npz"],
    "train": ["tiny.yaml", "-o", "run"],
    "evaluate": ["evface-n-fp32", "--data", "avatars", "--condition", "normal", "--count", "1"],
    "ablate": [
        *("-o", "ablation", "--size", "smoke", "--steps", "1", "--pretraining-steps", "1"),
        *("--seeds", "1", "--clips", "4", "--row", "events"),
    ],
    "finalize": ["run/last.pt", "-o", "tiny.pt", "--data", "avatars", "--licence", "MIT"],
    "calibration-set": ["--faces", "faces", "-o", "clips.npz", "--count", "64"],
    "export": ["evface-n", "-t", "openvino-int8", "--quantizer", "nncf", "-o", "exported"],
    "build-engine": [str(ROOT / "evface_edge" / "models" / "evface-n-fp32.onnx"), "--check"],
}
#: Commands that may fail here: faces of validation identities or a GPU are needed.
MAY_FAIL = {"calibration-set", "build-engine"}
#: Commands that are stopped, because they take long.
STOPPED_AFTER_S = {"ablate": 30.0}
NEEDED = {"openvino_live.py": "openvino", "export": "nncf"}


@dataclass(frozen=True)
class Trace:
    """What a program did.

    Attributes:
        calls: to other machines.
        files: left in its home.
        code: of its end.
        stderr: its last lines.
    """

    calls: list[str]
    files: list[str]
    code: int
    stderr: str


def trace(code: str, folder: Path, stop_s: float | None = None) -> Trace:
    """Run a Python program in `folder`, in a home of its own; stop it after `stop_s`."""
    number = sum(1 for _ in folder.glob("home*"))
    log, home = folder / f"trace{number}.txt", folder / f"home{number}"
    home.mkdir()
    environment = {
        **{key: value for key, value in os.environ.items() if key not in (*CI_VARIABLES, *UNSET)},
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    watched = ["strace", "-f", "-qq", "--seccomp-bpf"]
    watched += ["-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(log)]
    if stop_s is not None:
        watched += ["timeout", "--signal=INT", "--kill-after=20", str(stop_s)]
    done = subprocess.run(
        [*watched, sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True
    )
    calls = [
        line
        for line in log.read_text(errors="replace").splitlines()
        if INTERNET.search(line) and not LOOPBACK.search(line)
    ]
    files = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    return Trace(calls, files, done.returncode, done.stderr.decode(errors="replace")[-2000:])


def check(seen: Trace, codes: tuple[int, ...] = (0,)) -> None:
    assert seen.calls == []
    # The caches that docs/explanation/privacy.md names.
    own = (".cache/evface-edge/", ".cache/matplotlib/", ".ray/")
    assert [file for file in seen.files if not file.startswith(own)] == []
    assert seen.code in codes, seen.stderr


@pytest.fixture(autouse=True)
def _strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands run, one after the other."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "tiny.yaml").write_text(TINY)
    images = folder / "faces" / "images"
    images.mkdir(parents=True)
    Image.new("L", (192, 192), 99).save(images / "a.jpg")
    ones = np.ones((1, 98), np.float32)
    points = 60 + 70 * np.random.default_rng(0).random((1, 98, 2), np.float32)
    labels = {"name": ["a.jpg"], "source": ["drawn"], "size_px": 192}
    np.savez(folder / "faces" / "labels.npz", points98=points, weight98=ones, **labels)
    return folder


def needs(name: str) -> None:
    package = NEEDED.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def test_every_command_is_watched() -> None:
    assert list(COMMANDS) == list(assemble().commands)


@pytest.mark.skipif(ALL, reason="each command runs alone")
def test_some_commands(folder: Path) -> None:
    """In one process."""
    names = ("demo", "view", "info", "models", "simulate", "doctor")
    check(trace(RUN.format(calls=[[name, *COMMANDS[name]] for name in names]), folder))


@pytest.mark.skipif(not ALL, reason="EVFACE_TRACE_ALL is not set")
@pytest.mark.parametrize("name", COMMANDS)
def test_command(name: str, folder: Path) -> None:
    needs(name)
    stop_s = STOPPED_AFTER_S.get(name)
    seen = trace(RUN.format(calls=[[name, *COMMANDS[name]]]), folder, stop_s)
    codes = (0, 1) if name in MAY_FAIL else (0,) if stop_s is None else (STOPPED, 124)
    check(seen, codes)


@pytest.mark.skipif(not ALL, reason="EVFACE_TRACE_ALL is not set")
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example(name: str, folder: Path) -> None:
    needs(name)
    check(trace(example(name), folder))


@pytest.mark.skipif(not ALL, reason="EVFACE_TRACE_ALL is not set")
@pytest.mark.xfail(reason="Ray asks the network which cloud it runs in", strict=True)
def test_ray(folder: Path) -> None:
    pytest.importorskip("ray")
    seen = trace(example("batch_folder.py", "--ray", "local", "--workers", "1"), folder)
    if "timed out during startup" in seen.stderr:
        pytest.skip("Ray did not start in time on this machine")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.connect(("192.0.2.1", 9))
        own = f'{found.getsockname()[0]}"'
    calls = [line for line in seen.calls if not ROUTE.search(line) and own not in line]
    check(replace(seen, calls=calls))


def example(name: str, *arguments: str) -> str:
    return (
        "import atexit, runpy, sys, time\n"
        f"atexit.register(time.sleep, {LEAST_S})\n"
        f"sys.argv = {[name, *arguments]!r}\n"
        f"runpy.run_path({str(ROOT / 'examples' / name)!r}, run_name='__main__')"
    )


def test_other_runtimes_and_nncf(folder: Path) -> None:
    """OpenVINO sends at its import and its conversion, NNCF while it quantises."""
    models = ROOT / "evface_edge" / "models"
    code = "import numpy as np, time, evface_runtimes\n"
    for package, runtime, model in (
        ("openvino", "openvino", "evface-n-fp32.onnx"),
        ("ai_edge_litert", "litert", "evface-n-int8.tflite"),
    ):
        if importlib.util.find_spec(package):
            code += (
                f"with evface_runtimes.load({str(models / model)!r}, runtime={runtime!r}) as one:\n"
                "    one.run({'events': np.zeros((1, 10, 128, 128), np.float32)})\n"
            )
    if importlib.util.find_spec("openvino"):
        code += f"import openvino\nopenvino.convert_model({str(models / 'evface-n-fp32.onnx')!r})\n"
    if importlib.util.find_spec("nncf"):
        code += "import nncf\n"
    check(trace(f"{code}time.sleep({LEAST_S})", folder))


def test_the_page_of_rerun(folder: Path) -> None:
    pytest.importorskip("rerun")
    call = ["predict", DEMO, "-o", "web", "--port", "0"]
    check(trace(RUN.format(calls=[call]), folder, stop_s=15), (STOPPED, 124))


@pytest.mark.skipif(not ALL, reason="EVFACE_TRACE_ALL is not set")
def test_the_window_of_rerun(folder: Path) -> None:
    pytest.importorskip("rerun")
    check(trace(WINDOW, folder))


def test_telemetry_is_detected(tmp_path: Path) -> None:
    """The same check, of the library alone."""
    code = f"import onnxruntime, time; time.sleep({LEAST_S})"
    if tuple(map(int, importlib.metadata.version("onnxruntime").split(".")[:2])) < (1, 29):
        pytest.skip("this ONNX Runtime has no telemetry on Linux")
    assert any("onnxruntime" in file for file in trace(code, tmp_path).files)


def test_a_choice_of_the_user_is_kept() -> None:
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
