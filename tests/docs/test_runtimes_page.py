"""docs/reference/runtimes.md: its snippet runs, and its table is the one in the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from evface_runtimes import RUNTIMES

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "runtimes.md").read_text(
    encoding="utf-8"
)
SNIPPETS = re.findall(r"<!-- runs -->\n```python\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_run(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "(1, 98, 2)" in done.stdout


def test_table_names_every_runtime_and_device() -> None:
    assert SNIPPETS
    rows = {line.split("`")[1]: line for line in TEXT.splitlines() if line.startswith("| `")}
    for spec in RUNTIMES:
        for device in spec.devices:
            assert f"`{device}`" in rows[spec.name], (spec.name, device)
