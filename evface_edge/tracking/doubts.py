"""Places that look like a face and never turn out to be one."""

from __future__ import annotations

from dataclasses import dataclass

from evface_edge.geometry import Box

#: A place is looked at again at once for so long; after that, seldom.
PATIENCE_US = 300_000
#: What has not been looked at for so long is forgotten.
MEMORY_US = 500_000
SAME_PLACE_IOU = 0.5


@dataclass
class _Doubt:
    box: Box
    since_us: int
    last_us: int


class Doubts:
    """How long each place has looked like a face without being convincing.

    A face that comes into view convinces within some hundredths of a second. What still has not
    after `PATIENCE_US` is most likely something else, and a close look at it every time would
    take most of the time that there is.
    """

    def __init__(self) -> None:
        self._doubts: list[_Doubt] = []

    def note(self, box: Box, now_us: int) -> bool:
        """A close look has not convinced; → whether it is worth another one at once."""
        self._doubts = [d for d in self._doubts if now_us - d.last_us <= MEMORY_US]
        doubt = max(self._doubts, key=lambda d: d.box.iou(box), default=None)
        if doubt is None or doubt.box.iou(box) < SAME_PLACE_IOU:
            doubt = _Doubt(box, now_us, now_us)
            self._doubts.append(doubt)
        doubt.box, doubt.last_us = box, now_us
        return now_us - doubt.since_us <= PATIENCE_US
