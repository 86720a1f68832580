"""What is held to be possible; docs/reference/formats.md explains each."""

from __future__ import annotations

#: A step back in time of up to this is clamped to the last time; a longer one is damage.
MAX_BACKWARD_US = 1_000

#: No event for longer than this: damage, or two recordings in one file.
MAX_GAP_US = 3_600_000_000

#: 2^62 µs, so that differences of two times cannot overflow.
MAX_TIME_US = 2**62
