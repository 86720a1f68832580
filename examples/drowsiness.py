"""How sleepy a driver is: PERCLOS and blinks, from events.

    python examples/drowsiness.py [RECORDING]
    python examples/drowsiness.py --camera camera:prophesee

PERCLOS is the fraction of a minute in which the eyes are at least 80 % closed (Wierwille et al.,
"Research on Vehicle-Based Driver Status/Performance Monitoring", 1994); 15 % and more is drowsy.
Prints a line a second, and every blink when it is over. PERCLOS of real drivers has not been
measured with it: docs/how-to/head-pose-and-blinks.md says what blinks were measured on.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated

import numpy as np
import typer

from evface_edge import Predictor, open_events
from evface_edge.cli.demo import RECORDING
from evface_edge.results.aspect_ratios import find_blinks

WINDOW_US = 60_000_000
#: Of an open eye: below this fraction it counts as 80 % closed.
CLOSED_FRACTION = 0.2
DROWSY_PERCLOS = 0.15


class EyeLog:
    """Openness of one driver's eyes over the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque()
        self._told_us = -1

    def add(self, t_us: int, openness: float) -> None:
        self._samples.append((t_us, openness))
        while self._samples[0][0] < t_us - WINDOW_US:
            self._samples.popleft()

    def perclos(self) -> float:
        """Share of the samples with closed eyes, against this person's open eyes."""
        values = np.array([value for _, value in self._samples])
        opened = np.quantile(values, 0.9)
        return float((values < CLOSED_FRACTION * opened).mean())

    def new_blinks(self) -> list[str]:
        """A line for each blink that ended since the last call."""
        times = np.array([t for t, _ in self._samples])
        blinks = find_blinks(times, np.array([value for _, value in self._samples]))
        fresh = [blink for blink in blinks if blink.onset_us > self._told_us]
        if fresh:
            self._told_us = fresh[-1].onset_us
        return [
            f"{b.onset_us / 1e6:7.2f} s  blink of {b.duration_us / 1000:.0f} ms, {b.depth:.0%} deep"
            for b in fresh
        ]


def main(
    recording: Annotated[str, typer.Argument(help="A recording.")] = str(RECORDING),
    camera: Annotated[str | None, typer.Option(help="A camera instead, by its URI.")] = None,
    model: str = "evface-s",
) -> None:
    log, shown_s = EyeLog(), -1
    with open_events(camera or recording) as source, Predictor(model, rate_hz=100) as predictor:
        typer.echo(predictor.describe())
        for t_us, faces in predictor.stream(source):
            if faces:
                log.add(t_us, sum(faces[0].eye_aspect_ratio) / 2)
            if t_us // 1_000_000 == shown_s:
                continue
            shown_s = t_us // 1_000_000
            if not faces:
                typer.echo(f"{t_us / 1e6:7.2f} s  no face")
                continue
            for line in log.new_blinks():
                typer.echo(line)
            perclos = log.perclos()
            state = "DROWSY" if perclos >= DROWSY_PERCLOS else "awake"
            typer.echo(f"{t_us / 1e6:7.2f} s  PERCLOS {perclos:4.0%}  {state}")


if __name__ == "__main__":
    typer.run(main)
