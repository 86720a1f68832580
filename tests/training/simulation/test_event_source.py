"""`synthetic:avatar` through the entry point that the SDK looks up."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
import pytest

from evface_edge import SensorSize, open_events
from evface_edge.errors import ConfigError
from evface_edge.events import EVENT_DTYPE, check_events
from evface_training.simulation.event_source import SyntheticEvents

SHORT = "synthetic:avatar?seconds=0.012&width=64&height=48&speed=fast"

pytestmark = pytest.mark.skipif(
    not importlib.metadata.entry_points(group="evface_edge.sources", name="synthetic"),
    reason="the installed package is older than this entry point: pip install -e .",
)


def opened(text: str, **settings: Any) -> SyntheticEvents:
    source = open_events(text, **settings)
    assert isinstance(source, SyntheticEvents)
    return source


def test_a_head_is_a_source_of_events() -> None:
    with opened(SHORT) as source:
        assert source.size == SensorSize(64, 48)
        assert not source.live
        packets = list(source)
        first = next(iter(source))
    events = np.concatenate(packets)
    assert events.dtype == EVENT_DTYPE
    check_events(events, source.size)
    assert len(events) == sum(map(len, packets)) > 20
    assert events["t"][-1] <= 20_000
    np.testing.assert_array_equal(first, packets[0])
    assert source.counters.events == len(first)
    with pytest.raises(ConfigError, match="not closed"):
        next(iter(source))


def test_the_size_given_goes_before_the_options() -> None:
    assert opened(SHORT, size=SensorSize(40, 30)).size == SensorSize(40, 30)
    assert opened("synthetic:avatar?camera=evk4").camera == "evk4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("synthetic:cat", "expected synthetic:avatar"),
        ("synthetic:avatar?camera=mine", "one of ideal, davis346"),
        ("synthetic:avatar?colour=red", "colour"),
        ("synthetic:avatar?seconds=soon", "seconds"),
        ("synthetic:avatar?speed=warp", "slow, normal, fast"),
    ],
)
def test_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_events(text)
