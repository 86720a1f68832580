"""Print how drowsy a driver is, and each blink.

    python examples/drowsiness.py [RECORDING]
    python examples/drowsiness.py --camera camera:prophesee

PERCLOS is the fraction of a minute in which the eyes are at least 80 % closed (Wierwille et al.,
"Research on Vehicle-Based Driver Status/Performance Monitoring", 1994); 15 % and more is drowsy.
Prints one line a second. Not measured on real drivers;
docs/how-to/head-pose-and-blinks.md has the measurements of blinks.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated

import numpy as np
import typer

from evface_edge import DEMO_RECORDING, Predictor, open_events
from evface_edge.results import find_blinks

WINDOW_US = 60_000_000
#: An eye is 80 % closed below this fraction of its open value.
CLOSED_FRACTION = 0.2
DROWSY_PERCLOS = 0.15


class EyeLog:
    """The eye aspect ratio (EAR) of one driver over the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque()
        self._last_onset_us = -1

    def add(self, t_us: int, ratio: float) -> None:
        self._samples.append((t_us, ratio))
        while self._samples[0][0] < t_us - WINDOW_US:
            self._samples.popleft()

    def perclos(self) -> float:
        """The fraction of samples with closed eyes; the open value is this person's own."""
        ratios = np.array([ratio for _, ratio in self._samples])
        return float((ratios < CLOSED_FRACTION * np.quantile(ratios, 0.9)).mean())

    def new_blinks(self) -> list[str]:
        """A line for each blink that has ended since the last call."""
        times = np.array([t_us for t_us, _ in self._samples])
        blinks = find_blinks(times, np.array([ratio for _, ratio in self._samples]))
        new = [blink for blink in blinks if blink.onset_us > self._last_onset_us]
        if new:
            self._last_onset_us = new[-1].onset_us
        return [
            f"{b.onset_us / 1e6:7.2f} s  blink of {b.duration_us / 1000:.0f} ms, {b.depth:.0%} deep"
            for b in new
        ]


def main(
    recording: Annotated[str, typer.Argument(help="Recording to read.")] = str(DEMO_RECORDING),
    camera: Annotated[str | None, typer.Option(help="Use the camera with this URI.")] = None,
    model: Annotated[str, typer.Option(help="Use this bundled model or model file.")] = "evface-s",
) -> None:
    log, printed_s = EyeLog(), -1
    with open_events(camera or recording) as source, Predictor(model, rate_hz=100) as predictor:
        typer.echo(predictor.describe())
        for t_us, faces in predictor.stream(source):
            if faces:
                log.add(t_us, sum(faces[0].eye_aspect_ratio) / 2)
            if t_us // 1_000_000 == printed_s:
                continue
            printed_s = t_us // 1_000_000
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
