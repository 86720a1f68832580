"""A benchmark on disk: JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evface_edge.bench.table import csv_text
from evface_edge.errors import ConfigError
from evface_edge.results.output_file import whole_file


def check_folder(folder: Path) -> Path:
    """Made where it is missing.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("--output", str(folder), f"a folder ({error.strerror})") from None
    return folder


def write_text(path: Path, text: str) -> Path:
    """Whole, or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def write_bench(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """bench.json, bench.csv and, where it was measured, end_to_end.csv."""
    written = [
        write_text(folder / "bench.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n"),
        write_text(folder / "bench.csv", csv_text(found["network"])),
    ]
    if found["end_to_end"]:
        written.append(write_text(folder / "end_to_end.csv", csv_text(found["end_to_end"])))
    return written
