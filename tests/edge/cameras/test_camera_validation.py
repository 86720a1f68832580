"""Validation of the timestamps and coordinates of cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evface_edge.events import check_events
from evface_edge.events.cameras.driver import Batch
from evface_edge.events.cameras.validation import BatchValidator
from evface_edge.geometry import SensorSize

SIZE = SensorSize(64, 48)
HOUR_US = 3_600_000_000


def batch(t: Any, x: Any = 1, y: Any = 2, p: Any = 1) -> Batch:
    columns = np.broadcast_arrays(np.asarray(t), x, y, p)
    return Batch(*(np.array(column) for column in columns))


def test_valid_events_are_unchanged() -> None:
    validator = BatchValidator(SIZE)
    events = validator.validate(batch([10, 10, 12], [0, 63, 5], [0, 47, 6], [True, False, True]), 0)
    assert events.tolist() == [(10, 0, 0, 1), (10, 63, 47, 0), (12, 5, 6, 1)]
    assert (validator.damaged, validator.times_clamped, validator.clock_resets) == ({}, 0, 0)


def test_events_outside_the_sensor_are_left_out() -> None:
    validator = BatchValidator(SIZE)
    x = np.array([0, 64, 5, -1], np.int16)
    y = np.array([48, 0, 6, 3], np.int16)
    assert validator.validate(batch([1, 2, 3, 4], x, y), 0)["t"].tolist() == [3]
    assert validator.damaged == {"outside": 3}


def test_a_small_step_back_is_clamped() -> None:
    validator = BatchValidator(SIZE)
    assert validator.validate(batch([5000, 4500, 4600, 5001]), 0)["t"].tolist() == [
        5000,
        5000,
        5000,
        5001,
    ]
    assert validator.validate(batch([4999, 5100]), 0)["t"].tolist() == [5001, 5100]
    assert (validator.times_clamped, validator.clock_resets) == (3, 0)


def test_a_clock_reset_between_batches() -> None:
    validator = BatchValidator(SIZE)
    validator.validate(batch([10_000_000, 10_000_100]), 0)
    # 250 ms by our clock after the last batch, it counts from 0 again.
    assert validator.validate(batch([3, 8, 1000]), 250_000)["t"].tolist() == [
        10_250_100,
        10_250_105,
        10_251_097,
    ]
    assert validator.validate(batch([1001]), 1)["t"].tolist() == [10_251_098]
    assert validator.clock_resets == 1


def test_a_clock_reset_within_a_batch() -> None:
    validator = BatchValidator(SIZE)
    validator.validate(batch([5_000_000]), 0)
    # The larger part of the batch counts.
    assert validator.validate(batch([5_000_100, 3, 4, 5]), 1000)["t"].tolist() == [
        5_001_000,
        5_001_001,
        5_001_002,
    ]
    assert (validator.damaged, validator.clock_resets) == ({"time": 1}, 1)


def test_a_late_packet_is_left_out_and_changes_no_later_time() -> None:
    validator = BatchValidator(SIZE)
    found = []
    for start_ms in (0, 10, 20, 15, 30, 40, 35, 50):
        events = validator.validate(batch(start_ms * 1000 + np.arange(10) * 100), 10_000)
        found += events["t"].tolist()
    assert found == [ms * 1000 + k * 100 for ms in (0, 10, 20, 30, 40, 50) for k in range(10)]
    assert (validator.damaged, validator.clock_resets) == ({"late": 20}, 0)


def test_a_step_back_after_a_reconnection_is_a_reset() -> None:
    validator = BatchValidator(SIZE)
    validator.validate(batch([900_000]), 0)
    validator.expect_reset()
    assert validator.validate(batch([5, 6]), 1000)["t"].tolist() == [901_000, 901_001]
    assert validator.validate(batch([4]), 10)["t"].tolist() == [901_001]
    assert (validator.damaged, validator.clock_resets) == ({}, 1)


def test_one_wrong_time_in_a_batch_changes_no_other() -> None:
    validator = BatchValidator(SIZE)
    t = np.arange(100) * 50
    wrong = t.copy()
    wrong[30], wrong[60] = 20_000_000, -7_000_000
    found = validator.validate(batch(wrong), 5000)
    assert found["t"].tolist() == np.delete(t, [30, 60]).tolist()
    assert validator.damaged == {"time": 1, "late": 1}


def test_long_steps_forward() -> None:
    validator = BatchValidator(SIZE)
    validator.validate(batch([100]), 0)
    still = validator.validate(batch([100 + 5 * HOUR_US]), 5 * HOUR_US)  # five silent hours
    assert still["t"].tolist() == [100 + 5 * HOUR_US]
    leap = validator.validate(batch([100 + 10 * HOUR_US]), 2000)
    assert leap["t"].tolist() == [100 + 5 * HOUR_US + 2000]
    assert validator.clock_resets == 1


def test_a_batch_of_two_clocks_keeps_one() -> None:
    validator = BatchValidator(SIZE)
    wild = np.arange(200) % 2 * 10 * HOUR_US
    events = validator.validate(batch(wild), 0)
    assert events["t"].tolist() == [0] * 100
    assert sum(validator.damaged.values()) == 100
    after = validator.validate(batch(np.arange(5) + 20 * HOUR_US), 0)
    assert len(after) == 5
    assert after["t"][0] >= events["t"][-1]


@pytest.mark.parametrize("dtype", [np.uint64, np.int64])
def test_impossible_timestamps(dtype: type[np.integer[Any]]) -> None:
    validator = BatchValidator(SIZE)
    limits = np.iinfo(dtype)
    for t in ([limits.max, limits.max], [limits.min, 5], [limits.max]):
        events = validator.validate(batch(np.array(t, dtype)), 0)
        assert abs(events["t"]).max() <= 2**62 + 10
        assert (np.diff(events["t"]) >= 0).all()


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5000),
                st.integers(-2, 66),
                st.integers(-2, 50),
                st.integers(0, 1),
            ),
            min_size=1,
            max_size=20,
        ),
        max_size=5,
    )
)
@example(
    [
        [(-203, 0, 0, 0), (-(2**62), 0, 0, 0)],
        [(0, 0, 0, 0), (2**62 + 202, 0, 0, 0)],
        [(0, 0, 0, 0)] * 6 + [(303, 0, 0, 0)],
    ]
)
def test_any_batches_give_valid_events(batches: list[list[tuple[int, int, int, int]]]) -> None:
    validator = BatchValidator(SIZE)
    last = None
    total = 0
    for rows in batches:
        t, x, y, p = (np.array(column) for column in zip(*rows, strict=True))
        events = check_events(validator.validate(Batch(t, x, y, p), 100), SIZE)
        total += len(rows)
        if len(events):
            assert last is None or events["t"][0] >= last
            last = int(events["t"][-1])
        total -= len(events)
        assert sum(validator.damaged.values()) == total
