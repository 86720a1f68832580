"""Limits of an event stream, which `validation.py` applies. See docs/reference/formats.md."""

from __future__ import annotations

#: Events in a packet, at most.
MAX_PACKET_EVENTS = 65536

#: Timestamps may step back by this much, and are then clamped to the previous timestamp.
MAX_STEP_BACK_US = 1_000

#: A longer step forward means damage, or two recordings in one file.
MAX_STEP_FORWARD_US = 3_600_000_000

#: 2^62 µs, so that the difference of two timestamps fits into 64 bits.
MAX_TIME_US = 2**62
