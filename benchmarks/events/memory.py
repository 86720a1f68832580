"""Peak memory of reading a large recording, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.events import recordings
from benchmarks.events.report import Check, log

LIMIT_MB = 300

# Not ru_maxrss: a process inherits that of its parent.
_READ = """
import json, re, sys
from pathlib import Path
from evface_edge.events import open_events
count = 0
with open_events(sys.argv[1]) as source:
    for packet in source:
        count += len(packet)
peak_kib = int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps([count, peak_kib * 1024 / 1e6]))
"""


def checks(size_bytes: int = 1_000_000_000, folder: Path | None = None) -> list[Check]:
    """Checks the peak memory in MB for EVT2 and EVT3, with files of `size_bytes`."""
    checks = []
    for name, target, event_bytes in (("EVT2", "a.raw?format=evt2", 4.2), ("EVT3", "a.raw", 3.3)):
        with tempfile.TemporaryDirectory(prefix="bench-events-", dir=folder) as place:
            path = recordings.write(f"{place}/{target}", int(size_bytes / event_bytes))
            size = path.stat().st_size
            log(f"{name}: {size / 1e6:.0f} MB written")
            run = subprocess.run(
                [sys.executable, "-c", _READ, os.fspath(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            count, peak_mb = json.loads(run.stdout)
        what = f"{name}: peak memory, {count / 1e6:.0f} M events in {size / 1e9:.2f} GB"
        required = f"below {LIMIT_MB} MB"
        checks.append(Check(what, peak_mb, required, peak_mb < LIMIT_MB))
    return checks
