"""Progress of an export: one line for each stage, with its time and result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str], None]


class Stages:
    """Times the stages of a target, and reports each at its end."""

    def __init__(self, names: tuple[str, ...], report: Report) -> None:
        self._names, self._report, self._done = names, report, 0

    @contextmanager
    def next(self) -> Iterator[Callable[[str], None]]:
        """The next stage; yields a function that adds a note to its line."""
        notes: list[str] = []
        start = time.perf_counter()
        yield notes.append
        seconds = time.perf_counter() - start
        name = self._names[self._done]
        self._done += 1
        line = f"[{self._done}/{len(self._names)}] {name}, {seconds:.1f} s"
        self._report(": ".join([line, *notes]))


def kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f} kB"
