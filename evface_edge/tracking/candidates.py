"""Candidates: square boxes that may hold a face."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from evface_edge.geometry import Box
from evface_edge.tracking.event_buffer import EventBuffer


class Candidate(NamedTuple):
    """A square where a face may be, and its probability, 0 to 1."""

    score: float
    box: Box


class CandidateSource(Protocol):
    """Something that proposes candidates for one sensor."""

    def candidates(self, buffer: EventBuffer, now_us: int, count: int) -> list[Candidate]:
        """At most `count` candidates in the newest events, best first."""
