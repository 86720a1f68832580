"""Tables as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def text_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns; the first to the left, the others to the right."""
    lines = [list(heading), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same for Markdown."""
    lines = [list(heading), ["---", *["---:"] * (len(heading) - 1)], *(list(row) for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines
    )


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a row; columns in the order in which they first appear, missing cells empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def figure(value: float | None, digits: int = 2) -> str:
    """A number as a cell; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"
