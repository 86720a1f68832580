"""Every error class: one tree, facts as attributes, and a round trip through pickle."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pickle
from pathlib import Path

import pytest

from evface_edge import errors
from evface_edge.errors import (
    CameraError,
    ConfigError,
    DeviceMismatch,
    EventFormatError,
    EvfaceError,
    ExportError,
    InputTypeError,
    ModelError,
    RuntimeUnavailable,
)

EXAMPLES = (
    EvfaceError("one", field="f", value=(1, 2), expected="two", fix="change it"),
    EventFormatError("cut short", path="a.raw", offset=12, fix="fetch it again"),
    CameraError("no camera", value="evk4"),
    ModelError("no card", path=Path("m.onnx"), fix="export it again"),
    RuntimeUnavailable("absent", fix="pip install onnxruntime"),
    DeviceMismatch("another GPU", path="m.engine", value="Orin", expected="Thor"),
    ExportError("beyond the limit", field="nme68", value=5.0, expected="4.0"),
    ConfigError("rate_hz", 0.0, "above 0", path="recipe.yaml", fix="remove it"),
    InputTypeError("events", ["a.raw"], "one path", fix="pass them one by one"),
)


def test_every_class_has_an_example() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert {type(example) for example in EXAMPLES} == classes - {errors.EventFormatWarning}
    assert all(issubclass(kind, EvfaceError | UserWarning) for kind in classes)
    assert {kind.__name__ for kind in classes} == set(errors.__all__)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_keeps_everything(error: EvfaceError, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def _fail(value: int) -> None:
    raise ConfigError("value", value, "another number")


def test_an_error_comes_back_from_a_process_pool() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        error = pool.submit(_fail, 3).exception(timeout=60)
    assert isinstance(error, ConfigError)
    assert (error.field, error.value, error.expected) == ("value", 3, "another number")


def test_the_text_has_path_offset_and_fix() -> None:
    error = EventFormatError("cut short", path="a.raw", offset=12, fix="fetch it again")
    assert str(error) == "a.raw: cut short (byte 12); fetch it again"
    assert (error.reason, error.offset, error.path) == ("cut short", 12, Path("a.raw"))


def test_a_wrong_type_is_also_a_type_error() -> None:
    error = InputTypeError("size", [1], "a SensorSize")
    assert isinstance(error, (ConfigError, TypeError))
    assert (error.field, error.value) == ("size", "list")
