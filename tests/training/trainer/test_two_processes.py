"""Two processes with half a batch each take the same steps as one with the whole batch."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = str(Path(__file__).with_name("two_processes.py"))


def start_two(folder: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node", "2", SCRIPT, str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    start_two(tmp_path)
    runpy.run_path(SCRIPT)["learn"](tmp_path)
    torch.set_num_threads(1)  # as for all tests
    first, second, alone = (
        torch.load(tmp_path / name, weights_only=True) for name in ("2_0.pt", "2_1.pt", "1_0.pt")
    )
    for name, expected in alone.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
        torch.testing.assert_close(first[name], expected, rtol=1e-5, atol=1e-6)
