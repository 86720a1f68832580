"""Places on the sensor at which the same has been seen for a while."""

from __future__ import annotations

from dataclasses import dataclass

from evface_edge.geometry import Box

SAME_PLACE_IOU = 0.5


@dataclass
class _Place:
    box: Box
    since_us: int
    last_us: int


class Places:
    """For how long each place has been noted.

    Args:
        memory_us: a place that has not been noted for so long is forgotten.
    """

    def __init__(self, memory_us: int) -> None:
        self._memory_us = memory_us
        self._places: list[_Place] = []

    def note(self, box: Box, now_us: int) -> int:
        """→ microseconds since this place was noted first."""
        self._places = [p for p in self._places if now_us - p.last_us <= self._memory_us]
        place = max(self._places, key=lambda p: p.box.iou(box), default=None)
        if place is None or place.box.iou(box) < SAME_PLACE_IOU:
            place = _Place(box, now_us, now_us)
            self._places.append(place)
        place.box, place.last_us = box, now_us
        return now_us - place.since_us
