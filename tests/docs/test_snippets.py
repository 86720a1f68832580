"""Every Python block of the docs runs; the blocks of a page run one after the other.

That they import only what is public is checked in tests/edge/test_public.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.docs_pages import PAGES, ROOT, name, python_blocks

WITH_CODE = [page for page in PAGES if python_blocks(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for line, code in python_blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_the_first_snippet_prints_a_face(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, code = python_blocks(ROOT / "docs" / "tutorial" / "index.md")[0]
    exec(compile(code, "tutorial", "exec"), {})
    assert "FaceLandmarks" in capsys.readouterr().out
