"""Every example runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path: Path) -> None:
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_mouth_is_read_from_landmarks() -> None:
    command = [sys.executable, str(EXAMPLES[0].with_name("mouth_openness.py"))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    values = [float(line.split()[3]) for line in lines[1:] if "following" in line]
    assert len(values) > 20
    assert 0 <= min(values) < max(values) < 2
