from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import evface_edge

HEAVY = ("PIL", "av", "cv2", "numba", "onnxruntime", "torch")


def heavy_modules_after(statement: str) -> list[str]:
    """What of `HEAVY` a fresh interpreter has imported after `statement`."""
    code = f"{statement}\nimport sys\nprint(*[n for n in {HEAVY!r} if n in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_import_is_light() -> None:
    assert heavy_modules_after("import evface_edge") == []


def test_the_test_above_can_fail() -> None:
    assert "PIL" in heavy_modules_after("import evface_edge, PIL")


def test_names_and_types_are_light_too() -> None:
    names = "EVENT_DTYPE, SensorSize, Box, EventSource, Predictions, FaceLandmarks, EvfaceError"
    assert heavy_modules_after(f"from evface_edge import {names}") == []


@pytest.mark.parametrize("name", evface_edge.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(evface_edge, name) is not None
    assert name in dir(evface_edge)


def test_all_is_what_type_checkers_see() -> None:
    tree = ast.parse(Path(evface_edge.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert set(seen) == set(evface_edge.__all__)
    assert len(evface_edge.__all__) == len(set(evface_edge.__all__))
    # Type checkers and the interpreter take each name from the same module.
    assert seen == {n: f"evface_edge.{home}" for n, home in evface_edge._HOMES.items()}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Predicator'"):
        _ = evface_edge.Predicator  # type: ignore[attr-defined]


def test_errors_are_one_tree() -> None:
    for name in evface_edge.__all__:
        value = getattr(evface_edge, name)
        if isinstance(value, type) and issubclass(value, Exception) and name != "EvfaceError":
            is_warning = issubclass(value, Warning)
            assert is_warning or issubclass(value, evface_edge.EvfaceError)
