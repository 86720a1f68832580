"""Every Python block of the docs runs; the blocks of a page run one after the other."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from evface_edge import PUBLIC_MODULES
from tools.docs_pages import PAGES, ROOT, name, python_blocks

WITH_CODE = [page for page in PAGES if python_blocks(page)]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


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


def imported(code: str) -> set[tuple[str, str]]:
    """(module, name) of everything of ours that a program imports; name "" is the module."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
    return {pair for pair in found if pair[0].partition(".")[0].startswith("evface_")}


def private(code: str) -> set[tuple[str, str]]:
    """What it imports that is not public."""
    return {
        (module, wanted)
        for module, wanted in imported(code)
        if module not in PUBLIC_MODULES
        or (
            (wanted and wanted not in import_module(module).__all__)
            and f"{module}.{wanted}" not in PUBLIC_MODULES
        )
    }


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_snippets_import_only_what_is_public(page: Path) -> None:
    assert private("\n".join(code for _, code in python_blocks(page))) == set()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_import_only_what_is_public(path: Path) -> None:
    assert private(path.read_text(encoding="utf-8")) == set()


def test_a_private_import_is_found() -> None:
    assert private("from evface_edge.cli.assembly import assemble") == {
        ("evface_edge.cli.assembly", "assemble")
    }
