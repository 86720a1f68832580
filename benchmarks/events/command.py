"""Speed and memory of reading, and speed of representations, compared with other libraries.

    python -m benchmarks events                       everything, about 20 minutes
    python -m benchmarks events --only readers --subject EVT2 --repeats 3
    python -m benchmarks events --json events.json

Libraries that are not installed are left out: pip install 'evface-edge[peers]'.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.events import memory, readers, report, representations

PARTS = ("readers", "representations", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks events",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="run this part; repeatable")
    parser.add_argument("--repeats", type=int, default=5, help="measurements per candidate")
    parser.add_argument("--events", type=int, default=20_000_000, help="events per recording")
    parser.add_argument("--subject", action="append", default=[], help="format to read, e.g. EVT2")
    parser.add_argument("--folder", type=Path, help="folder for recordings; default: temporary")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    given = parser.parse_args()
    if given.repeats < 1 or given.events < 1000:
        parser.error("--repeats must be 1 or more, --events 1000 or more")
    parts = given.only or PARTS
    rows: list[report.Row] = []
    checks: list[report.Check] = []
    if "readers" in parts:
        found = readers.rows(given.repeats, given.events, tuple(given.subject), given.folder)
        chosen = [
            each
            for each in readers.REQUIREMENTS
            if not given.subject or each.subject in given.subject
        ]
        rows += found
        checks += report.check(found, chosen)
    if "representations" in parts:
        found = representations.rows(given.repeats)
        rows += found
        checks += report.check(found, representations.REQUIREMENTS)
    if "memory" in parts:
        checks += memory.checks(folder=given.folder)
    report.log(report.as_text(rows, checks))
    if given.json:
        given.json.write_text(report.as_json(rows, checks), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
