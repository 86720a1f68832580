"""Copies of events equal those of NumPy, and share no memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evface_edge.events.array import EVENT_DTYPE, EventArray, copied, joined, make_events

Cut = Callable[[EventArray], EventArray]


def drawn(seed: int, count: int) -> EventArray:
    rng = np.random.default_rng(seed)
    columns = (rng.integers(0, limit, count) for limit in (2**63, 2**15, 2**15, 2))
    return make_events(*columns)


@pytest.mark.parametrize(
    "cut",
    [lambda e: e, lambda e: e[10:50], lambda e: e[::3], lambda e: e[::-1], lambda e: e[:0]],
    ids=["whole", "slice", "every third", "backwards", "none"],
)
def test_a_copy_is_equal_and_independent(cut: Cut) -> None:
    events = drawn(0, 100)
    events.flags.writeable = False
    part = cut(events)
    copy = copied(part)
    assert copy.dtype == EVENT_DTYPE
    np.testing.assert_array_equal(copy, part)
    assert not np.shares_memory(copy, events)
    copy["x"] = 0  # and may be written to


def test_joined_concatenates() -> None:
    parts = [drawn(1, 40)[5:], drawn(2, 0), drawn(3, 30)[::2]]
    whole = joined(parts)
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole.dtype == EVENT_DTYPE
    assert not any(np.shares_memory(whole, part) for part in parts)
    alone = joined(parts[:1])
    np.testing.assert_array_equal(alone, parts[0])
    assert not np.shares_memory(alone, parts[0])
    assert joined([]).dtype == EVENT_DTYPE
    assert len(joined([])) == 0
