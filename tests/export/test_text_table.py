from __future__ import annotations

from evface_export.text_table import text_table


def test_a_table_is_markdown_with_columns_that_line_up() -> None:
    assert text_table(["name", "ms"], [["a", "1.25"], ["longer", "–"]]).splitlines() == [
        "| name   |   ms |",
        "|--------|-----:|",
        "| a      | 1.25 |",
        "| longer |    – |",
    ]
    assert text_table(["x"], []) == "| x   |\n|-----|"
