"""For how long a place has been noted."""

from __future__ import annotations

from evface_edge.geometry import Box
from evface_edge.tracking.places import Places

LAMP, HAND = Box(10, 10, 40, 50), Box(200, 80, 60, 60)
MS = 1_000
MEMORY_US = 500 * MS


def test_time_runs_from_the_first_note() -> None:
    places = Places(MEMORY_US)
    assert [places.note(LAMP, t * MS) for t in (3, 13, 23, 400)] == [0, 10 * MS, 20 * MS, 397 * MS]


def test_each_place_has_its_own_time() -> None:
    places = Places(MEMORY_US)
    places.note(LAMP, 0)
    assert places.note(HAND, 350 * MS) == 0
    assert places.note(LAMP, 350 * MS) == 350 * MS


def test_a_place_that_moves_slowly_is_the_same() -> None:
    places = Places(MEMORY_US)
    drifted = [
        places.note(Box(10 + step, 10, 40, 50), step * 10 * MS)  # 100 px/s
        for step in range(60)
    ]
    assert drifted[-1] == 590 * MS


def test_what_is_not_noted_for_a_while_is_forgotten() -> None:
    places = Places(MEMORY_US)
    places.note(LAMP, 0)
    assert places.note(LAMP, MEMORY_US) == MEMORY_US
    assert places.note(LAMP, 2 * MEMORY_US + 1) == 0
