"""Benchmark of events: how fast they are read and turned into representations.

    python -m benchmarks events                       everything, some 20 minutes
    python -m benchmarks events --only readers --subject EVT2 --repeats 3
    EVLIB_PYTHON=/tmp/evlib/bin/python python -m benchmarks events --markdown table.md

Peers that are not installed are left out: pip install 'evface-edge[peers]'; evlib goes into an
environment of its own, named by EVLIB_PYTHON.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path

from benchmarks.events import table

TITLE = """# Events: how fast

Made by `python -m benchmarks events` ({parts}): every candidate in turn, in one run.

"""
PARTS = ("readers", "representations", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench_events",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    parser.add_argument("--repeats", type=int, default=5, help="of each candidate")
    parser.add_argument("--events", type=int, default=20_000_000, help="of the recordings")
    parser.add_argument("--subject", action="append", default=[], help="of readers, such as EVT2")
    parser.add_argument("--folder", type=Path, help="for the recordings; by default temporary")
    parser.add_argument("--json", type=Path, help="a file to write")
    parser.add_argument("--markdown", type=Path, help="a file to write")
    given = parser.parse_args()
    if given.repeats < 1 or given.events < 1000:
        parser.error("--repeats must be 1 or more, --events 1000 or more")
    rows: list[table.Row] = []
    bars: list[table.Bar] = []
    limits: list[table.Limit] = []
    for part in given.only or PARTS:
        if part == "memory":
            limits += importlib.import_module("benchmarks.events.memory").limits(
                folder=given.folder
            )
        elif part == "readers":
            module = importlib.import_module("benchmarks.events.readers")
            chosen = tuple(given.subject)
            rows += module.rows(given.repeats, given.events, chosen, given.folder)
            bars += [bar for bar in module.BARS if not chosen or bar.subject in chosen]
        elif importlib.util.find_spec(part) is not None:
            module = importlib.import_module(part)
            rows += module.rows(given.repeats)
            bars += getattr(module, "BARS", ())
    result = table.Result(rows, table.judge(rows, bars), limits, table.machine())
    table.log(table.markdown(result))
    if given.json:
        given.json.write_text(table.as_json(result), encoding="utf-8")
    if given.markdown:
        title = TITLE.format(parts=", ".join(given.only or PARTS))
        given.markdown.write_text(title + table.markdown(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
