"""The benchmark script for a Jetson, with stand-ins for its programs."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "jetson_benchmark.sh"
PROGRAMS = {
    "evface-edge": """
echo "evface-edge $*" >> "$CALLS"
case "$1 $2" in
  "build-engine "*) [ "${2##*/}" != bad-trt-int8.onnx ] || exit 1; touch "${2%.onnx}.engine" ;;
  "compare "*) exit 1 ;;
esac
""",
    "tegrastats": """
echo "RAM 1/2MB VDD_IN 4321mW/4300mW" > "$4"
exec sleep 60
""",
    "nvpmodel": "echo NV Power Mode: MAXN",
    "jetson_clocks": "echo clocks",
}


def run(tmp_path: Path, models: list[str], **settings: str) -> tuple[str, list[str], Path]:
    """→ (output, calls of evface-edge, results)."""
    programs, folder, results = (tmp_path / name for name in ("bin", "models", "results"))
    programs.mkdir()
    folder.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text("#!/usr/bin/env bash\n" + text)
        (programs / name).chmod(0o755)
    for model in models:
        (folder / model).touch()
    calls = tmp_path / "calls.txt"
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(calls),
        **settings,
    }
    command = ["bash", str(SCRIPT), str(folder), str(results)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    return done.stdout, calls.read_text().splitlines(), results


def test_the_whole_matrix(tmp_path: Path) -> None:
    models = ["a-trt-int8.onnx", "bad-trt-int8.onnx", "a.onnx"]
    out, calls, results = run(tmp_path, models, SECONDS_EACH="0.5", ROUNDS="2")
    folder = tmp_path / "models"
    networks = f"{folder}/a-trt-int8.engine {folder}/a.onnx"
    assert calls == [
        f"evface-edge build-engine {folder}/a-trt-int8.onnx",
        f"evface-edge build-engine {folder}/bad-trt-int8.onnx",
        f"evface-edge bench {networks} --seconds 0.5 --rounds 2 --repeat-check -o {results}",
        f"evface-edge compare {networks} --seconds 0.5 -o {results}",
        f"evface-edge demo -o {results}/demo",
    ]
    # The step `machine` may fail here, for want of /etc/nv_tegra_release.
    steps = dict(line.split(": exit ") for line in (results / "steps.txt").read_text().splitlines())
    assert steps["build-bad-trt-int8"] == steps["compare"] == "1"
    assert steps["build-a-trt-int8"] == steps["bench"] == steps["demo"] == "0"
    assert "2 steps failed" in out
    with tarfile.open(f"{results}.tar.gz") as archive:
        names = archive.getnames()
    for name in ("machine.log", "tegrastats.log", "steps.txt", "bench.log", "compare.log"):
        assert f"results/{name}" in names
    assert "VDD_IN" in (results / "tegrastats.log").read_text()
    assert "MAXN" in (results / "machine.log").read_text()


def test_without_models_it_uses_the_bundled_ones(tmp_path: Path) -> None:
    _, calls, _ = run(tmp_path, [])
    assert calls[0].startswith("evface-edge bench evface-s-fp32 evface-s-int8 --seconds 10")
