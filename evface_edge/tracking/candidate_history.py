"""For how long the same candidate has been returning.

A candidate that is not confirmed for long is examined less often, and one that is nearly certain
must return before it is a face.
"""

from __future__ import annotations

from dataclasses import dataclass

from evface_edge.geometry import Box

SAME_CANDIDATE_IOU = 0.5


@dataclass
class _Entry:
    box: Box
    first_us: int
    last_us: int


class CandidateHistory:
    """First and last time of each candidate box.

    Args:
        memory_us: a candidate that does not return within this time is forgotten.
    """

    def __init__(self, memory_us: int) -> None:
        self._memory_us = memory_us
        self._entries: list[_Entry] = []

    def add(self, box: Box, now_us: int) -> int:
        """Note a candidate; returns the time since it came first, µs."""
        self._entries = [e for e in self._entries if now_us - e.last_us <= self._memory_us]
        entry = max(self._entries, key=lambda e: e.box.iou(box), default=None)
        if entry is None or entry.box.iou(box) < SAME_CANDIDATE_IOU:
            entry = _Entry(box, now_us, now_us)
            self._entries.append(entry)
        entry.box, entry.last_us = box, now_us
        return now_us - entry.first_us
