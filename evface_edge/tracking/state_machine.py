"""The states of one face over time, and the table of all transitions.

Each output instant gives one event for each face. `track.py` decides which event it is.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """What is known about a face; the value explains it."""

    SEARCHING = "no face; the face detector searches for one"
    FOLLOWING = "landmarks from the newest events"
    HELD = "landmarks of an earlier instant, σ grows"
    LOST = "no landmarks; the number of the face is kept for a while"


class Event(Enum):
    """What happened to a face at one instant; the value explains it."""

    FOUND = "the face detector confirmed a face"
    ACCEPTED = "the network's landmarks were accepted"
    STILL = "too few events, or only the background moves"
    UNCERTAIN = "few events, and landmarks less certain than those held; eyes may be updated"
    DOUBTED = "many events, but no face, or not yet the same face twice"
    EXPIRED = "held for longer than allowed"
    DUPLICATE = "another face is followed in the same box"
    FORGOTTEN = "not found again in time"


#: Every allowed (state, event) → the next state.
TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.SEARCHING, Event.FOUND): State.FOLLOWING,
    (State.FOLLOWING, Event.ACCEPTED): State.FOLLOWING,
    (State.FOLLOWING, Event.STILL): State.HELD,
    (State.FOLLOWING, Event.UNCERTAIN): State.HELD,
    (State.FOLLOWING, Event.DOUBTED): State.HELD,
    (State.FOLLOWING, Event.EXPIRED): State.LOST,
    (State.FOLLOWING, Event.DUPLICATE): State.SEARCHING,
    (State.HELD, Event.ACCEPTED): State.FOLLOWING,
    (State.HELD, Event.STILL): State.HELD,
    (State.HELD, Event.UNCERTAIN): State.HELD,
    (State.HELD, Event.DOUBTED): State.HELD,
    (State.HELD, Event.EXPIRED): State.LOST,
    (State.HELD, Event.DUPLICATE): State.SEARCHING,
    (State.LOST, Event.FOUND): State.FOLLOWING,
    (State.LOST, Event.FORGOTTEN): State.SEARCHING,
}


def transition_table() -> str:
    """`TRANSITIONS` as a Markdown table of events and states, for the documentation."""
    lines = [f"| event in state | {' | '.join(state.name.lower() for state in State)} |"]
    lines.append("|---" * (len(State) + 1) + "|")
    for event in Event:
        following = (TRANSITIONS.get((state, event)) for state in State)
        cells = ("–" if state is None else state.name.lower() for state in following)
        lines.append(f"| {event.name.lower()} | {' | '.join(cells)} |")
    return "\n".join(lines)
