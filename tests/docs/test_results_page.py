"""What docs/how-to/results.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evface_edge.cli.outputs import PREDICT_SUFFIXES
from evface_edge.results.table import FACE_COLUMNS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "how-to" / "results.md").read_text()
SNIPPETS = re.findall(r"<!-- runs -->\n```python\n(.*?)```", DOCUMENT, re.S)


#: What each snippet says.
SAID = (r"\(98, 2\) \(68, 2\) ", r"(14\d{5}|1500000) \(692, 546\) \(98, 3\)")


@pytest.mark.parametrize(("code", "said"), list(zip(SNIPPETS, SAID, strict=True)))
def test_snippets_run(code: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "docs/how-to/results.md", "exec"), {})
    assert re.match(said, capsys.readouterr().out)


def test_all_outputs_and_columns_are_explained() -> None:
    assert SNIPPETS
    for name in (*PREDICT_SUFFIXES, *FACE_COLUMNS):
        assert f"`{name}`" in DOCUMENT
