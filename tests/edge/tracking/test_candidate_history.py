"""How long a candidate has been returning."""

from __future__ import annotations

from evface_edge.geometry import Box
from evface_edge.tracking.candidate_history import CandidateHistory

LAMP, HAND = Box(10, 10, 40, 50), Box(200, 80, 60, 60)
MS = 1_000
MEMORY_US = 500 * MS


def test_time_counts_from_the_first_entry() -> None:
    history = CandidateHistory(MEMORY_US)
    ages = [history.add(LAMP, t * MS) for t in (3, 13, 23, 400)]
    assert ages == [0, 10 * MS, 20 * MS, 397 * MS]


def test_each_candidate_has_its_own_time() -> None:
    history = CandidateHistory(MEMORY_US)
    history.add(LAMP, 0)
    assert history.add(HAND, 350 * MS) == 0
    assert history.add(LAMP, 350 * MS) == 350 * MS


def test_a_candidate_that_moves_slowly_stays_the_same() -> None:
    history = CandidateHistory(MEMORY_US)
    ages = [
        history.add(Box(10 + step, 10, 40, 50), step * 10 * MS)  # 100 px/s
        for step in range(60)
    ]
    assert ages[-1] == 590 * MS


def test_a_candidate_that_does_not_return_is_forgotten() -> None:
    history = CandidateHistory(MEMORY_US)
    history.add(LAMP, 0)
    assert history.add(LAMP, MEMORY_US) == MEMORY_US
    assert history.add(LAMP, 2 * MEMORY_US + 1) == 0
