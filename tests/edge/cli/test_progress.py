from __future__ import annotations

import pytest

from evface_edge.cli.progress import count_progress


def test_lines_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with count_progress("normal", 40) as advance:
        for _ in range(8):
            advance()
        advance(32)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["normal: 4 of 40", "normal: 8 of 40", "normal: 40 of 40"]
