"""Every example runs as a user starts it, on the bundled recording."""

from __future__ import annotations

import configparser
import functools
import importlib.util
import inspect
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from evface_edge import DEMO_RECORDING, Predictor

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
UNIT = FOLDER / "jetson_live.service"


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / name), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, **environment},
    )


@functools.cache
def run_plainly(name: str) -> subprocess.CompletedProcess[str]:
    return run(name, PYTHONWARNINGS="error")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path: Path) -> None:
    done = run_plainly(path.name)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_mouth_aspect_ratios() -> None:
    lines = run_plainly("mouth_aspect_ratio.py").stdout.splitlines()
    values = [float(line.split()[3]) for line in lines[1:] if "following" in line]
    assert len(values) > 20
    assert 0 <= min(values) < max(values) < 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two recordings, one of them damaged."""
    shutil.copy(DEMO_RECORDING, tmp_path / "good.npz")
    (tmp_path / "damaged.npz").write_bytes(DEMO_RECORDING.read_bytes()[:1000])
    return tmp_path


def check_batch(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 1, done.stderr
    with Predictor("evface-s") as predictor:
        faces = predictor.run(DEMO_RECORDING)
    lines = done.stdout.splitlines()
    assert f"good.npz: {len(faces)} faces" in lines
    assert any(line.startswith("damaged.npz: ") and "faces" not in line for line in lines)
    assert lines[-1] == "1 of 2 recordings done"
    assert (folder / "tables" / "good.csv").read_text() == faces.to_csv()


def test_a_damaged_recording_does_not_stop_the_batch(folder: Path) -> None:
    check_batch(run("batch_folder.py", str(folder), str(folder / "tables")), folder)


def test_a_batch_on_ray(folder: Path) -> None:
    """A local Ray cluster with one worker."""
    pytest.importorskip("ray", reason="ray is not installed (extra ray)")
    arguments = [str(folder), str(folder / "tables"), "--ray", "local", "--workers", "1"]
    for _ in range(3):
        done = run("batch_folder.py", *arguments)
        if "timed out during startup" not in done.stderr:
            check_batch(done, folder)
            return
    # Ray gives its processes 15 s to start, which cannot be changed.
    pytest.skip("Ray did not start in time on this machine")


def test_a_missing_cluster(folder: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed (extra ray)")
    arguments = [str(folder), str(folder / "tables"), "--ray", "auto"]
    done = run("batch_folder.py", *arguments, RAY_TMPDIR=str(folder), COLUMNS="300")
    assert done.returncode == 2
    assert "--ray auto: " in done.stderr


def test_notifications_of_systemd(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(5)
        done = run("jetson_live.py", "--no-web", NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert done.returncode == 0, done.stderr
        states = []
        while not states or states[-1] != "STOPPING=1":
            states.append(channel.recv(100).decode())
    assert states[0] == "READY=1"
    assert set(states[1:-1]) == {"WATCHDOG=1"}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_unit_uses_existing_options() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    program, script, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "python"
    assert Path(script).name == "jetson_live.py"
    parameters = inspect.signature(load("jetson_live").main).parameters
    known = {f"--{name.replace('_', '-')}" for name in parameters}
    assert set(arguments[::2]) <= known
    assert unit["Service"]["Type"] == "notify"  # READY=1 and WATCHDOG=1 are sent


def test_the_unit_is_valid(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze")
    # The unit has the paths and the user of a device.
    text = UNIT.read_text().replace("/opt/evface/venv/bin/python", sys.executable)
    text = text.replace("User=evface\n", "User=root\n").replace("=/opt/evface\n", f"={tmp_path}\n")
    path = tmp_path / "evface-live.service"
    path.write_text(text)
    done = subprocess.run(
        [program, "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert not [line for line in done.stderr.splitlines() if "evface-live" in line]
