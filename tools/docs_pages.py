"""The pages of the docs, and the code in them: for the tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])

_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.S
)


def name(page: Path) -> str:
    """The path of a page inside the repository."""
    return str(page.relative_to(ROOT))


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """(line, code) of every Python block that is to run."""
    text = page.read_text(encoding="utf-8")
    return [
        (text[: found.start("code")].count("\n"), found["code"])
        for found in _BLOCK.finditer(text)
        if found["language"] == "python" and found["reason"] is None
    ]


def shell_lines(page: Path) -> list[str]:
    """Every command line of the shell blocks, with continued lines joined."""
    blocks = [found["code"] for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
              if found["language"] == "bash"]  # fmt: skip
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]
