"""The table of transitions, row by row, and what every path through it must have."""

from __future__ import annotations

import itertools

import pytest

from evface_edge.tracking.state_machine import TRANSITIONS, Event, State, transition_table

SEARCHING, FOLLOWING, HELD, LOST = State.SEARCHING, State.FOLLOWING, State.HELD, State.LOST

#: The whole table once more, by event; a pair that is absent is not allowed.
EXPECTED = {
    Event.FOUND: {SEARCHING: FOLLOWING, LOST: FOLLOWING},
    Event.ACCEPTED: {FOLLOWING: FOLLOWING, HELD: FOLLOWING},
    Event.STILL: {FOLLOWING: HELD, HELD: HELD},
    Event.UNCERTAIN: {FOLLOWING: HELD, HELD: HELD},
    Event.DOUBTED: {FOLLOWING: HELD, HELD: HELD},
    Event.EXPIRED: {FOLLOWING: LOST, HELD: LOST},
    Event.DUPLICATE: {FOLLOWING: SEARCHING, HELD: SEARCHING},
    Event.FORGOTTEN: {LOST: SEARCHING},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair(state: State, event: Event) -> None:
    assert TRANSITIONS.get((state, event)) is EXPECTED[event].get(state)


def test_every_state_is_reached_and_left() -> None:
    for state in State:
        assert any(start is not state and end is state for (start, _), end in TRANSITIONS.items())
        assert any(start is state and end is not state for (start, _), end in TRANSITIONS.items())


def test_landmarks_end_and_begin_only_where_they_may() -> None:
    """No state with landmarks is reached from one without them except by a detection."""
    shown = {FOLLOWING, HELD}
    assert {
        event for (start, event), end in TRANSITIONS.items() if start not in shown and end in shown
    } == {Event.FOUND}
    assert {
        event for (start, event), end in TRANSITIONS.items() if start in shown and end not in shown
    } == {Event.EXPIRED, Event.DUPLICATE}


def test_the_printed_table_has_every_transition() -> None:
    header, _, *rows = transition_table().splitlines()
    states = [State[name.strip().upper()] for name in header.strip("|").split("|")[1:]]
    printed = {}
    for row in rows:
        event, *cells = (cell.strip().upper() for cell in row.strip("|").split("|"))
        for state, cell in zip(states, cells, strict=True):
            if cell != "–":
                printed[state, Event[event]] = State[cell]
    assert printed == TRANSITIONS
