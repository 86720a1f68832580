"""What docs/reference/representations.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evface_edge.representation import REPRESENTATIONS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "representations.md").read_text(
    encoding="utf-8"
)
SNIPPETS = re.findall(r"<!-- runs -->\n```python\n(.*?)```", DOCUMENT, re.S)


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_run(code: str) -> None:
    exec(compile(code, "docs/reference/representations.md", "exec"), {})


def test_there_is_a_snippet() -> None:
    assert SNIPPETS


def test_every_representation_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \(`(\w+)`\)", DOCUMENT, re.M)
    assert {name: kind for kind, name in rows} == {
        name: kind.__name__ for name, kind in REPRESENTATIONS.items()
    }
