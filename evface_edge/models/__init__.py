"""The bundled models, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from evface_edge.errors import ModelError

__all__ = ["bundled_names", "find_model"]

FOLDER = Path(__file__).parent
#: The precision of a name without one.
DEFAULT_PRECISION = "int8"
#: The same for training and export.
FLOAT_PRECISION = "fp32"


def bundled_names() -> list[str]:
    """The names of all bundled models, such as "evface-s-int8"."""
    return sorted(path.stem for path in FOLDER.glob("*.onnx"))


def is_bundled(name: str) -> bool:
    """Whether a bundled model has this name, with or without its precision."""
    return any(full in bundled_names() for full in _full_names(name))


def _full_names(name: str) -> tuple[str, str]:
    return name, f"{name}-{DEFAULT_PRECISION}"


def find_model(model: str | Path) -> Path:
    """The path of a model.

    Args:
        model: a bundled name, with or without its precision, or a path.

    Raises:
        ModelError: neither a bundled name nor a file.
    """
    text = str(model)
    for name in _full_names(text):
        if name in bundled_names():
            return FOLDER / f"{name}.onnx"
    path = Path(model)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise ModelError("no such model file", path=path)
    names = ", ".join(bundled_names())
    near = difflib.get_close_matches(text, bundled_names(), 1, cutoff=0.4)
    raise ModelError(
        f"{text}: neither a file nor a bundled model ({names})",
        field="model",
        value=text,
        expected=names,
        fix=f"did you mean {near[0]!r}?" if near else None,
    )


def find_float_model(model: str | Path) -> Path:
    """The path of a float32 model: as `find_model`, but a name without a precision means float32.

    Raises:
        ModelError: neither a bundled name nor a file.
    """
    path = Path(model)
    if path.is_file():
        return path
    if f"{model}-{FLOAT_PRECISION}" in bundled_names():
        return find_model(f"{model}-{FLOAT_PRECISION}")
    if path.suffix in (".pt", ".ckpt"):
        raise ModelError("no such checkpoint", path=path)
    return find_model(model)
