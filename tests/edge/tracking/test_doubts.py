"""How long a place is worth a close look every time."""

from __future__ import annotations

from evface_edge.geometry import Box
from evface_edge.tracking.doubts import MEMORY_US, PATIENCE_US, Doubts

LAMP, HAND = Box(10, 10, 40, 50), Box(200, 80, 60, 60)
MS = 1_000


def test_patience_ends_and_stays_ended() -> None:
    doubts = Doubts()
    patient = [doubts.note(LAMP, now_us) for now_us in range(0, 600 * MS, 10 * MS)]
    still = PATIENCE_US // (10 * MS) + 1
    assert patient == [True] * still + [False] * (len(patient) - still)


def test_each_place_has_its_own_time() -> None:
    doubts = Doubts()
    for now_us in range(0, 350 * MS, 10 * MS):
        doubts.note(LAMP, now_us)
    assert doubts.note(HAND, 350 * MS)
    assert not doubts.note(LAMP, 350 * MS)


def test_a_place_that_moves_slowly_is_the_same() -> None:
    doubts = Doubts()
    drifting = [
        doubts.note(Box(10 + step, 10, 40, 50), step * 10 * MS)  # 100 px/s
        for step in range(60)
    ]
    assert not drifting[-1]


def test_it_is_forgotten() -> None:
    doubts = Doubts()
    for now_us in range(0, 350 * MS, 10 * MS):
        doubts.note(LAMP, now_us)
    assert doubts.note(LAMP, 340 * MS + MEMORY_US + 1)
