"""Synthetic recordings: an edge that sweeps over the sensor in bursts, and noise."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from evface_edge.events import EventArray, EventWriter, make_events
from evface_edge.geometry import SensorSize

SIZE = SensorSize(1280, 720)
_PART = 1 << 20


def sweep(count: int, seed: int = 1) -> Iterator[EventArray]:
    """Yields `count` events in packets of up to 2^20.

    Events of one readout of a row share their timestamp, as in a Prophesee sensor. There are few
    events between bursts of 4 ms. 5 % of the events are noise.
    """
    rng = np.random.default_rng(seed)
    now_us = 0
    for start in range(0, count, _PART):
        n = min(_PART, count - start)
        new_row = rng.random(n) < 0.35
        burst = (np.arange(n) // 40_000) % 3 > 0
        wait = np.where(burst, rng.integers(0, 2, n), rng.integers(0, 40, n))
        t = now_us + np.cumsum(np.where(new_row, wait, 0))
        now_us = int(t[-1])
        rows = rng.integers(0, SIZE.height, n)
        first = np.maximum.accumulate(np.where(new_row, np.arange(n), 0))
        y = rows[first]
        edge = (t // 400 + y // 6) % (SIZE.width + 100) - 50
        x = edge + np.rint(rng.normal(0, 4, n)).astype(np.int64)
        p = x >= edge
        noise = rng.random(n) < 0.05
        x[noise] = rng.integers(0, SIZE.width, int(noise.sum()))
        yield make_events(t, np.clip(x, 0, SIZE.width - 1), y, p)


def write(target: str, count: int) -> Path:
    """Writes a sweep; returns the path without options."""
    with EventWriter(target, SIZE) as writer:
        for events in sweep(count):
            writer.write(events)
        return writer.path


def write_text(path: Path, count: int) -> Path:
    """Writes CSV with column names, but without the comment that few libraries can read."""
    write(str(path), count)
    with path.open("rb") as file, path.with_suffix(".part").open("wb") as out:
        file.readline()
        shutil.copyfileobj(file, out, 1 << 20)
    return path.with_suffix(".part").rename(path)


def write_evt21(path: Path, count: int) -> Path:
    """Writes EVT2.1 as a sensor does: neighbours with equal timestamp and polarity in one word."""
    lines = ["% evt 2.1", f"% format EVT21;height={SIZE.height};width={SIZE.width}", "% end", ""]
    high = np.int64(-1)
    with path.open("wb") as file:
        file.write("\n".join(lines).encode())
        for events in sweep(count):
            order = np.lexsort((events["x"] // 32, events["p"], events["y"], events["t"]))
            words = np.empty(2 * len(events) + 1, np.uint64)
            length, high = _pack(events[order], high, words)
            file.write(words[:length].tobytes())
    return path


@njit
def _pack(events: Any, high: Any, words: Any) -> tuple[int, int]:
    count, i = 0, 0
    while i < len(events):
        first = events[i]
        t, base = np.int64(first.t), np.int64(first.x) // 32
        if t >> 6 != high:
            high = t >> 6
            words[count] = np.uint64(0x8 << 60) | np.uint64(high << 32)
            count += 1
        mask = np.int64(0)
        while (
            i < len(events)
            and events[i].t == t
            and events[i].y == first.y
            and events[i].p == first.p
            and np.int64(events[i].x) // 32 == base
            and not mask >> (np.int64(events[i].x) % 32) & 1
        ):
            mask |= np.int64(1) << (np.int64(events[i].x) % 32)
            i += 1
        upper = np.int64(first.p) << 28 | (t & 63) << 22 | base * 32 << 11 | np.int64(first.y)
        words[count] = np.uint64(upper) << np.uint64(32) | np.uint64(mask)
        count += 1
    return count, high
