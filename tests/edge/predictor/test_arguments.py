"""Arguments of Predictor: what is converted, and what is refused."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evface_edge.card import ModelCard
from evface_edge.card_file import read_card
from evface_edge.errors import (
    ConfigError,
    EventFormatError,
    EvfaceError,
    InputTypeError,
    ModelError,
    RuntimeUnavailable,
)
from evface_edge.events import open_events, read_events, write_events
from evface_edge.events.array import EVENT_DTYPE, EventArray, as_events, make_events
from evface_edge.geometry import Box, SensorSize, to_box, to_size
from evface_edge.models import find_model
from evface_edge.predictor import Predictor
from evface_runtimes import MockRuntime

SIZE = SensorSize(160, 120)
Ring = Callable[..., EventArray]
MakePredictor = Callable[..., Predictor]


class Frame:
    """What pandas and polars have in common."""

    def __init__(self, **columns: Any) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


# Settings.


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("faces", value) for value in (0, 9)),
        *(("rate_hz", value) for value in (0.0, -5.0, 2000.0, float("inf"))),
    ],
)
def test_a_setting_out_of_range(make_predictor: MakePredictor, field: str, value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        make_predictor(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("faces", "2"), ("faces", 2.0), ("faces", True), ("rate_hz", "a"), ("rate_hz", True)],
)
def test_a_setting_of_a_wrong_type(make_predictor: MakePredictor, field: str, value: Any) -> None:
    with pytest.raises(InputTypeError) as caught:
        make_predictor(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, type(value).__name__)


def test_a_model_of_a_wrong_type() -> None:
    with pytest.raises(InputTypeError) as caught:
        Predictor(5)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.value) == ("model", "int")


@pytest.mark.parametrize("model", ["evface-x", "no/such/model.onnx"])
def test_a_missing_model(model: str) -> None:
    with pytest.raises(ModelError) as caught:
        Predictor(model)
    assert model in str(caught.value)


def test_a_card_that_does_not_fit(make_predictor: MakePredictor, card: ModelCard) -> None:
    voxels = {"name": "voxel_grid", "bins": 5, "width": 16, "height": 16}
    with pytest.raises(ModelError) as caught:
        make_predictor(dataclasses.replace(card, representation=voxels))
    assert (caught.value.path, caught.value.field) == (Path(card.name), "inputs")


# The runtime object.


def _shapes(card: ModelCard) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    inputs, outputs = (
        {spec.name: spec.shape for spec in specs} for specs in (card.inputs, card.outputs)
    )
    return inputs, outputs


def test_a_runtime_object_stays_open(card: ModelCard, ring: Ring) -> None:
    inputs, outputs = _shapes(card)
    runtime = MockRuntime(inputs, outputs)
    box = Box(40, 30, 60, 60)
    for _ in range(2):
        with Predictor(card, runtime=runtime) as predictor:
            assert predictor.describe() == "test-face 1 (fp32) on mock, cpu"
            assert len(predictor.run(ring(0, 20_000, (70, 60)), size=SIZE, box=box))
    assert {name: array.shape[1:] for name, array in runtime.calls[0].items()} == {
        name: shape[1:] for name, shape in inputs.items()
    }


def test_a_runtime_object_takes_the_card_of_a_file() -> None:
    inputs, outputs = _shapes(read_card(find_model("evface-s")))
    with Predictor("evface-s", runtime=MockRuntime(inputs, outputs)) as predictor:
        assert predictor.card.name == "evface-s"
    with pytest.raises(ModelError) as caught:
        Predictor("evface-s", runtime=MockRuntime(inputs, outputs | {"presence": (-1, 2)}))
    assert (caught.value.path, caught.value.field) == (find_model("evface-s"), "outputs")


@pytest.mark.parametrize("settings", [{"device": "cpu"}, {"threads": 2}])
def test_a_runtime_object_has_its_own_settings(
    make_predictor: MakePredictor, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_predictor(**settings)
    assert caught.value.field == "device, threads"


@pytest.mark.parametrize("runtime", [None, "onnxruntime"])
def test_a_card_needs_a_runtime_object(card: ModelCard, runtime: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        Predictor(card, runtime=runtime)
    assert (caught.value.field, caught.value.value) == ("runtime", runtime)


# Its life.


def test_warmup(predictor: Predictor) -> None:
    predictor.warmup()


def test_nothing_runs_after_close(ring: Ring) -> None:
    with Predictor("evface-s") as predictor:
        pass
    with pytest.raises(RuntimeUnavailable):
        predictor.run(ring(0, 100_000, (70, 60)), size=SIZE, box=Box(40, 30, 60, 60))


def test_a_closed_predictor(predictor: Predictor, ring: Ring) -> None:
    events = ring(0, 100_000, (70, 60))
    begun = predictor.stream(events, size=SIZE)
    next(begun)
    predictor.close()
    for use in (lambda: next(begun), lambda: predictor.stream(events, size=SIZE)):
        with pytest.raises(RuntimeUnavailable) as caught:
            use()
        assert (caught.value.field, caught.value.fix) == ("closed", "create a new one")


def test_another_thread_is_refused(predictor: Predictor, ring: Ring) -> None:
    caught: list[ConfigError] = []

    def use() -> None:
        try:
            predictor.run(ring(0, 50_000, (70, 60)), size=SIZE)
        except ConfigError as error:
            caught.append(error)

    thread = threading.Thread(target=use, name="other")
    thread.start()
    thread.join()
    assert [(error.field, error.value) for error in caught] == [("thread", "other")]


# Events.


@pytest.mark.parametrize("at_us", [[50_000, 50_000], [50_000, 40_000]])
def test_instants_that_do_not_increase(predictor: Predictor, at_us: list[int], ring: Ring) -> None:
    with pytest.raises(ConfigError) as caught:
        predictor.run(ring(0, 100_000, (70, 60)), size=SIZE, at_us=at_us)
    assert (caught.value.field, caught.value.value) == ("at_us", at_us[1])


@pytest.mark.parametrize(
    "at_us", [3, ["a"], ["7"], [float("nan")], [1.5], [50_000, None], np.array(3)]
)
def test_instants_of_a_wrong_type(predictor: Predictor, at_us: Any, ring: Ring) -> None:
    with pytest.raises(InputTypeError) as caught:
        predictor.run(ring(0, 100_000, (70, 60)), size=SIZE, at_us=at_us)
    assert caught.value.field == "at_us"


@pytest.mark.parametrize(
    ("events", "field", "value"),
    [
        (make_events([5, 4], [0, 0], [0, 0], [1, 1]), "t", 4),
        (make_events([5], [160], [0], [1]), "x, y", (160, 0)),
        (np.array([(5, 0, 0, 2)], EVENT_DTYPE), "p", 2),
    ],
    ids=["order", "outside", "polarity"],
)
def test_events_that_are_not_valid(
    predictor: Predictor, events: EventArray, field: str, value: object
) -> None:
    with pytest.raises(EventFormatError) as caught:
        predictor.run(events, size=SIZE)
    assert (caught.value.field, caught.value.value) == (field, value)


def test_events_in_memory_need_a_size(predictor: Predictor) -> None:
    with pytest.raises(ConfigError) as caught:
        predictor.run(make_events([5], [0], [0], [1]))
    assert (caught.value.field, caught.value.value) == ("size", None)


def test_a_sensor_of_one_pixel(predictor: Predictor) -> None:
    events = make_events(np.arange(1000) * 100, [0] * 1000, [0] * 1000, [1] * 1000)
    with pytest.raises(ConfigError) as caught:
        predictor.run(events, size=(1, 1))
    assert (caught.value.field, caught.value.value) == ("size", "1×1")


def _tensor() -> Any:
    return pytest.importorskip("torch").zeros((3, 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ["a.raw", "b.raw"],
        lambda: (Path("a.raw"),),
        lambda: [1, 2, 3],
        lambda: None,
        lambda: 7,
        lambda: b"a.raw",
        lambda: np.zeros((3, 4)),
        lambda: np.zeros(3, [("t", "i8"), ("x", "u2")]),
        lambda: np.zeros(3, [("t", "f8"), ("x", "u2"), ("y", "u2"), ("p", "u1")]),
        lambda: {"t": [1], "x": [1], "y": [1], "p": [1]},
        lambda: Frame(t=[0.5], x=[1], y=[1], p=[1]),
        lambda: Frame(time=[0], x=[1], y=[1], p=[1]),
        lambda: Frame(t=["now"], x=[1], y=[1], p=[1]),
        _tensor,
    ],
)
def test_events_of_an_unsupported_type(predictor: Predictor, make: Callable[[], Any]) -> None:
    value = make()
    with pytest.raises(InputTypeError) as caught:
        predictor.run(value, size=SIZE)
    assert isinstance(caught.value, (TypeError, EvfaceError))
    assert str(caught.value.field).startswith("events")
    assert caught.value.expected


def test_data_frames_are_converted(predictor: Predictor, ring: Ring) -> None:
    events = ring(0, 100_000, (70, 60))
    columns = {name: events[name].astype("i8") for name in "pytx"}
    records = np.empty(
        len(events), [("x", "i8"), ("t", "u8"), ("extra", "f4"), ("y", "i4"), ("p", "?")]
    )
    for name in "txyp":
        records[name] = events[name]
    expected = predictor.run(events, size=SIZE)
    for value in (Frame(**columns), records):
        found = predictor.run(value, size=(160, 120))
        assert [face.t_us for face in found] == [face.t_us for face in expected]
        np.testing.assert_array_equal(found[-1].landmarks, expected[-1].landmarks)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_data_frames_of_libraries(library: str, ring: Ring) -> None:
    module = pytest.importorskip(library)
    events = ring(0, 10_000, (70, 60))
    columns = {name: events[name].astype("i8") for name in "txyp"}
    table = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    np.testing.assert_array_equal(as_events(table), events)


# make_events.


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 65535),
            st.integers(0, 65535),
            st.integers(0, 1),
        )
    ),
    st.sampled_from([list, np.array, tuple]),
)
def test_columns_of_any_kind(rows: list[tuple[int, int, int, int]], kind: Any) -> None:
    columns = [kind(list(column)) for column in zip(*rows, strict=True)] or [kind([])] * 4
    events = make_events(*columns)
    assert events.dtype == EVENT_DTYPE
    assert events.tolist() == rows


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("t", value) for value in (0.25, float("nan"), 2.0**70)),
        *((name, value) for name in "xy" for value in (-1, 65536, 0.5)),
        *(("p", value) for value in (-1, 2, 256, 0.5)),
    ],
)
def test_a_number_that_does_not_fit(name: str, value: float) -> None:
    columns = {"t": [5, 6], "x": [1, 1], "y": [2, 2], "p": [0, 1], name: [1, value]}
    with pytest.raises(EventFormatError) as caught:
        make_events(**columns)
    assert caught.value.field == name
    assert caught.value.value == value or value != value
    assert "1" in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("x", -1, "0 to 65535"),
        ("y", 65536, "0 to 65535"),
        ("x", 0.5, "round"),
        ("p", -1, "(p > 0)"),
        ("p", 2, "0 or 1"),
    ],
)
def test_what_to_do_about_a_number(name: str, value: float, words: str) -> None:
    columns = {"t": [5], "x": [1], "y": [2], "p": [0], name: [value]}
    with pytest.raises(EventFormatError) as caught:
        make_events(**columns)
    assert words in (caught.value.fix or "")


@pytest.mark.parametrize("kind", ["u1", "i8", "f4", "?"])
def test_polarities_of_any_type(kind: str) -> None:
    events = make_events([1, 2], [0, 0], [0, 0], np.array([0, 1], kind))
    assert events["p"].tolist() == [0, 1]
    if kind != "?":
        with pytest.raises(EventFormatError) as caught:
            make_events([1, 2], [0, 0], [0, 0], np.array([0, 2], kind))
        assert (caught.value.field, caught.value.value) == ("p", 2)


@pytest.mark.parametrize("values", [["a"], [[1]], [[1], [1, 2]], [None], 5, None])
def test_a_column_that_is_not_one_of_numbers(values: Any) -> None:
    with pytest.raises(InputTypeError) as caught:
        make_events([1], values, [1], [1])
    assert caught.value.field == "x"


def test_columns_of_different_lengths() -> None:
    with pytest.raises(EventFormatError) as caught:
        make_events([1, 2], [1], [1], [1])
    assert caught.value.value == {"t": 2, "x": 1, "y": 1, "p": 1}


def test_tensors_are_columns() -> None:
    torch = pytest.importorskip("torch")
    events = make_events(*(torch.arange(2) for _ in range(4)))
    assert events.tolist() == [(k, k, k, k) for k in range(2)]
    with pytest.raises(InputTypeError):
        make_events(torch.zeros(3, requires_grad=True), [0] * 3, [0] * 3, [0] * 3)


# Sizes and boxes.


@given(st.integers(1, 65536), st.integers(1, 65536))
def test_sizes_are_converted(width: int, height: int) -> None:
    size = SensorSize(width, height)
    for value in (size, (width, height), [width, height], np.array([width, height])):
        assert to_size(value) == size


@pytest.mark.parametrize(
    "value", [5, "346x260", (346,), (346, 260, 2), (346.0, 260.0), (True, 260), {346, 260}]
)
def test_sizes_of_an_unsupported_type(value: Any) -> None:
    with pytest.raises(InputTypeError) as caught:
        to_size(value)
    assert caught.value.field == "size"


NUMBERS = st.floats(0.5, 1e4)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_boxes_are_converted(x: float, y: float, width: float, height: float) -> None:
    box = Box(x, y, width, height)
    for value in (
        box,
        (x, y, width, height),
        [x, y, width, height],
        np.array([x, y, width, height]),
    ):
        assert to_box(value) == box


@pytest.mark.parametrize("value", [5, (1, 2, 3), ("1", "2", "3", "4"), np.zeros((2, 2)), None])
def test_boxes_of_an_unsupported_type(value: Any) -> None:
    with pytest.raises(InputTypeError) as caught:
        to_box(value)
    assert caught.value.field == "box"


def test_a_wrong_length_is_shown() -> None:
    for convert, value in ((to_box, (10, 10, 1)), (to_size, (346, 260, 2))):
        with pytest.raises(InputTypeError) as caught:
            convert(value)
        assert caught.value.value == value
        assert str(value) in str(caught.value)
    with pytest.raises(InputTypeError) as caught:
        to_box(np.zeros(1000))
    assert caught.value.value == "numpy.ndarray"


@pytest.mark.parametrize(
    "box", [(160, 0, 50, 50), (-60, 10, 59, 50), (10, 500, 50, 50), (10, -60, 50, 59)]
)
def test_a_box_beside_the_sensor(predictor: Predictor, ring: Ring, box: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        predictor.run(ring(0, 10_000, (70, 60)), size=SIZE, box=box)
    assert (caught.value.field, caught.value.value) == ("box", box)


def test_a_box_that_overlaps_the_sensor(predictor: Predictor, ring: Ring) -> None:
    events = ring(0, 10_000, (70, 60))
    assert len(predictor.run(events, size=SIZE, box=(-20, -20, 100, 100))) == 1


def test_boxes_and_sizes_are_validated(predictor: Predictor, ring: Ring) -> None:
    events = ring(0, 10_000, (70, 60))
    with pytest.raises(ConfigError):
        predictor.stream(events, size=SIZE, box=(1, 1, 0, 5))
    with pytest.raises(ConfigError):
        predictor.run(events, size=(0, 120))
    tuples = predictor.run(events, size=(160, 120), box=(40, 30, 60, 60))
    objects = predictor.run(events, size=SIZE, box=Box(40, 30, 60, 60))
    np.testing.assert_array_equal(tuples[-1].landmarks, objects[-1].landmarks)


# Recordings.


def test_recordings_take_sizes_as_tuples(tmp_path: Path, ring: Ring) -> None:
    events, path = ring(0, 10_000, (70, 60)), tmp_path / "ring.npz"
    write_events(path, events, (160, 120))
    for size in (None, (160, 120), SIZE):
        found, found_size = read_events(path, size=size)
        assert found_size == SIZE
        np.testing.assert_array_equal(found, events)


@pytest.mark.parametrize("source", [["a.raw"], None, 5, np.zeros(3)])
def test_recordings_of_an_unsupported_type(source: Any) -> None:
    with pytest.raises(InputTypeError) as caught:
        open_events(source)
    assert caught.value.field == "source"
