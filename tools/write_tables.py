"""Write the tables of the docs from the numbers in docs/data.

    python tools/write_tables.py            # rewrite the tables in place
    python tools/write_tables.py --check    # exit code 1 if a table differs from its numbers

A page holds a marker, and after it the table that this tool writes:

    <!-- table latency_network.csv | model, runtime: on, p50_ms: p50 ms | threads=1 -->

that is: the file, the columns with their titles, and which rows (column=value or value; several
conditions are separated by ";"). No page has more than twelve rows.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"
MAX_ROWS = 12
MARKER = re.compile(r"<!-- table (?P<spec>[^>]*?) -->\n(?P<table>(?:\|[^\n]*\n)*)")

Row = dict[str, str]


def main(arguments: list[str]) -> int:
    """Rewrite or check all pages; return the exit code."""
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = with_tables(before)
        if after != before:
            stale.append(page)
            if "--check" not in arguments:
                page.write_text(after, encoding="utf-8")
    for page in stale:
        sys.stdout.write(f"{page.relative_to(DOCS)}\n")
    return int(bool(stale) and "--check" in arguments)


def with_tables(text: str) -> str:
    """The text of a page with each table made anew.

    Raises:
        SystemExit: a column that the file lacks, no row, or more than twelve rows on the page.
    """
    written: list[str] = []

    def replace(marker: re.Match[str]) -> str:
        written.extend(lines := table(marker["spec"]))
        return "\n".join([f"<!-- table {marker['spec']} -->", *lines, ""])

    result = MARKER.sub(replace, text)
    rows = len(written) - 2 * len(MARKER.findall(text))
    if rows > MAX_ROWS:
        raise SystemExit(f"{rows} rows on a page, at most {MAX_ROWS} expected:\n{text[:80]}")
    return result


def table(spec: str) -> list[str]:
    """The lines of the table that a marker describes."""
    name, columns, *conditions = (part.strip() for part in spec.split("|"))
    titles = dict(_column(part) for part in columns.split(","))
    rows = load(DOCS / "data" / name)
    for condition in (part for text in conditions for part in text.split(";")):
        column, _, values = condition.strip().partition("=")
        allowed = [value.strip() for value in values.split(" or ")]
        rows = [row for row in rows if row[column] in allowed]
    missing = set(titles) - set(rows[0]) if rows else set()
    if missing or not 0 < len(rows) <= MAX_ROWS:
        raise SystemExit(
            f"{name}: {len(rows)} rows, 1 to {MAX_ROWS} expected; no columns {missing}"
        )
    numeric = [all(_is_number(row[column]) for row in rows) for column in titles]
    lines = [
        "| " + " | ".join(titles.values()) + " |",
        "|" + "".join("---:|" if right else "---|" for right in numeric),
    ]
    lines += ["| " + " | ".join(row[column] or "–" for column in titles) + " |" for row in rows]
    return lines


def load(path: Path) -> list[Row]:
    """The rows of a CSV file, or of one of our JSON reports."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    report = json.loads(path.read_text(encoding="utf-8"))
    return list(_ablation(report) if "costs" in report else _evaluation(report))


def _evaluation(report: Mapping[str, Any]) -> Iterable[Row]:
    """Rows of a report of `evface-edge evaluate -o`, with the columns "group" and "name"."""
    for group, cases in {"set": report["sets"], **report["bins"]}.items():
        for name, metrics in cases.items():
            shown = {key: "" if v is None else f"{v:.2f}" for key, v in metrics.items()}
            shown["faces"] = f"{metrics['faces']:.0f}"
            yield {"group": group, "name": name, **shown}


def _ablation(report: Mapping[str, Any]) -> Iterable[Row]:
    """Rows of results.json of `evface-edge ablate`: the mean over seeds ± the farthest of them."""
    moments = ("sharp", "dark", "blurred")
    for name, seeds in report["rows"].items():
        row = {"name": name, "seeds": str(len(seeds))}
        for moment in moments:
            values = np.array([found[moment] for found in seeds.values()])
            farthest = np.abs(values - values.mean()).max()
            row[moment] = f"{values.mean():.1f} ± {farthest:.1f}"
        cost = report["costs"].get(name, {})
        row["parameters_m"] = f"{cost['parameters'] / 1e6:.2f}" if cost else ""
        yield row


def _column(part: str) -> tuple[str, str]:
    name, _, title = part.strip().partition(":")
    return name, title.strip() or name


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[\d.,]+\s*%?|", text) is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
