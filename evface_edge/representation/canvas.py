"""The whole sensor, window after window, in one tensor that is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EVENT_DTYPE, EventArray, check_events, copied
from evface_edge.geometry import SensorSize
from evface_edge.representation.base import Representation, has_events

#: Pixels of the sensor for each event of a window: with fewer, clearing all of them is quicker.
_PIXELS_PER_EVENT = 16


class Canvas:
    """What a representation says of each window, drawn into the same memory.

    Clearing the tensor of a large sensor takes longer than putting a short window into it: four
    fifths of a count of 20,000 events on 1280×720. Where a representation leaves pixels without
    events at 0, a canvas clears no more than those that the window before had touched.

    `Representation.canvas` makes one. Not to be shared between threads.
    """

    def __init__(self, representation: Representation, size: SensorSize) -> None:
        self._representation, self._size = representation, size
        self._cells = np.zeros((representation.channels, size.height, size.width), np.float32)
        self._shown = self._cells.view()
        self._shown.flags.writeable = False
        pixels = size.width * size.height
        self._most_kept = pixels // _PIXELS_PER_EVENT if representation.sparse else 0
        #: All events that the cells show; None where that is not known.
        self._drawn: EventArray | None = np.empty(0, EVENT_DTYPE)

    def __call__(self, events: EventArray, *, t_us: int | None = None) -> NDArray[np.float32]:
        """(C, size.height, size.width), equal to `representation(events, size, t_us=t_us)`.

        Read-only, and only until the next call: copy what is to last.

        Raises:
            EventFormatError, ConfigError: as the representation does. The tensor of the window
                before is gone then; the next call is right again.
        """
        from evface_edge.representation.kernels import clear_pixels

        before, self._drawn = self._drawn, None
        if before is not None:
            clear_pixels(before, self._cells)
        if not has_events(events, self._size, t_us):
            if before is None:
                self._cells[:] = 0
        elif not self._representation._fill(events, self._cells, t_us, clear=before is None):
            check_events(events, self._size)  # says what is wrong with them
        self._representation._finish(self._cells)
        if len(events) <= self._most_kept:
            self._drawn = copied(events)  # the caller may write over its own
        return self._shown
