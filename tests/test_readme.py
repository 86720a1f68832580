"""What the README says about installing and testing. Its snippets run in tests/docs."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_installs_and_tests_as_the_readme_says() -> None:
    commands = (ROOT / ".ci" / "run").read_text()
    develop = README.split("## Develop")[1].split("```bash\n")[1].split("```")[0].splitlines()
    install = [line.removeprefix("pip install ") for line in develop if "pip install" in line]
    assert all(f"pip install -q {line}" in commands for line in install)
    assert develop[-1].split()[0] == "scripts/check"
    assert commands.splitlines()[-1] == "scripts/check"


def test_the_check_runs_every_test() -> None:
    lines = [
        line
        for line in (ROOT / "scripts" / "check").read_text().splitlines()
        if line.startswith("pytest")
    ]
    ignored = [name for line in lines for name in re.findall(r"--ignore (\S+)", line)]
    named = [re.findall(r"(?<!--ignore )tests/\S+", line) for line in lines]
    assert [] in named  # one run takes all of `testpaths` but what it ignores
    assert ignored == [name for names in named for name in names]


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link


def test_the_wheel_holds_what_the_disk_holds(tmp_path: Path) -> None:
    """Four packages with all their files: models, the recording, recipes, markers."""
    build = pytest.importorskip("hatchling.build", reason="hatchling builds the wheel")
    code = f"import hatchling.build as b; print(b.build_wheel({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert build
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    on_disk = set()
    for folder in (".", "training", "export", "runtimes"):
        for package in (ROOT / folder).glob("evface_*"):
            for path in package.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    on_disk.add(str(path.relative_to(ROOT / folder)))
    assert packed == on_disk
    assert "evface_edge/models/evface-s-int8.onnx" in packed
    assert "evface_training/recipes/evface-s.yaml" in packed
