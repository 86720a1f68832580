"""Holds the live sources to their promise, for as long as it takes, with a consumer that stalls.

    python -m benchmarks soak_live --source replay --seconds 600
    python -m benchmarks soak_live --source network --seconds 600

`replay` plays a generated recording as a camera, in a loop, at `--rate` events a second. `network`
reads what dv-processing's own writer sends over loopback as fast as it can (extra: inivation).
Every event carries its number in x, y and p, so the consumer knows what it did not get.

Prints memory, rate, latency and backlog over time. The exit code is 1 when memory grows, when what
was sent is not exactly what came plus what was counted as dropped, when events come twice or out
of order, or when newer events were dropped before older ones (the latest must win).
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.soak_live.live_paths import Soak, soak_network, soak_replay


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak_live", description=__doc__.partition("\n")[0])
    parser.add_argument("--source", choices=("replay", "network"), default="replay")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10e6, help="events a second of the replay")
    parser.add_argument("--ring-events", type=int, default=2_000_000)
    parser.add_argument("--port", type=int, default=7791)
    parser.add_argument("--every", type=float, default=10, help="seconds between two lines")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    soak = Soak(arguments.seconds, arguments.queue_events, arguments.seed, arguments.every, say)
    if arguments.source == "replay":
        report = soak_replay(soak, arguments.rate)
    else:
        report = soak_network(soak, arguments.port)
    say(report.summary())
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
