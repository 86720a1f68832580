"""`synthetic:avatar` through the entry point of the SDK."""

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


def test_an_avatar_is_a_source_of_events() -> None:
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
    with pytest.raises(ConfigError) as error:
        next(iter(source))
    assert error.value.field == "source"


def test_the_size_overrides_the_options() -> None:
    assert opened(SHORT, size=SensorSize(40, 30)).size == SensorSize(40, 30)
    assert opened("synthetic:avatar?camera=evk4").camera == "evk4"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("synthetic:cat", "source"),
        ("synthetic:avatar?camera=mine", "synthetic:avatar camera"),
        ("synthetic:avatar?colour=red", "synthetic:avatar?colour=red: colour"),
        ("synthetic:avatar?seconds=soon", "synthetic:avatar?seconds=soon: seconds"),
        ("synthetic:avatar?speed=warp", "synthetic:avatar speed"),
    ],
)
def test_wrong_sources_are_rejected(text: str, field: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_events(text)
    assert error.value.field == field
