"""Tables as text and CSV, and the files of a benchmark."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evface_edge.errors import ConfigError
from evface_edge.results.output_file import whole_file


def text_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with aligned columns: the first to the left, the others to the right."""
    lines = [list(heading), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return CSV, one line a row; columns in order of first appearance, missing cells empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def number(value: float | None, digits: int = 2) -> str:
    """Format a number as a cell; None as a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def make_folder(folder: Path) -> Path:
    """Create the folder of --output if it does not exist.

    Raises:
        ConfigError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("--output", str(folder), f"a folder ({error.strerror})") from None
    return folder


def write_text(path: Path, text: str) -> Path:
    """Write a file completely or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: object) -> Path:
    """Write a value as indented JSON, completely or not at all."""
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_bench(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write bench.json, bench.csv and, if it was measured, end_to_end.csv."""
    written = [
        write_json(folder / "bench.json", results),
        write_text(folder / "bench.csv", csv_text(results["network"])),
    ]
    if results["end_to_end"]:
        written.append(write_text(folder / "end_to_end.csv", csv_text(results["end_to_end"])))
    return written
