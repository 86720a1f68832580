"""What to do about damage: the same policy for recordings and live sources.

| policy | at an event that cannot be true |
|---|---|
| `strict` | EventFormatError; the default for recordings |
| `salvage` | the events before it are delivered, then EventFormatWarning ends the reading |
| `skip` | it is left out and counted by kind, and reading goes on; the default for live sources |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from evface_edge.errors import ConfigError

Damage: TypeAlias = Literal["strict", "salvage", "skip"]
POLICIES: tuple[Damage, ...] = ("strict", "salvage", "skip")

#: Kinds of damage that `skip` leaves out, as in `Counters.damaged`, and what they are in words.
KINDS = {
    "outside": "events outside the sensor",
    "late": "late events",
    "time": "events with impossible times",
    "polarity": "events with impossible polarity",
    "line": "lines that are no event",
    "chunk": "damaged chunks",
}


def check_damage(value: str) -> Damage:
    """The policy of that name; ConfigError if there is none."""
    if value not in POLICIES:
        raise ConfigError("damage", value, " or ".join(POLICIES))
    return value


def describe_damage(damaged: Mapping[str, int]) -> str:
    """Counts by kind, in words: "3 late events, 1 damaged chunks"; empty without damage."""
    kinds = [(kind, words) for kind, words in KINDS.items() if kind in damaged]
    return ", ".join(f"{damaged[kind]:,} {words}" for kind, words in kinds)
