"""The models that came along, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from evface_edge.errors import ModelError

__all__ = ["bundled_names", "find_model"]

FOLDER = Path(__file__).parent
#: A name without a precision means this one.
DEFAULT_PRECISION = "int8"
#: What is exported, and trained on, means this one.
FLOAT_PRECISION = "fp32"


def bundled_names() -> list[str]:
    """Such as "evface-s-int8"."""
    return sorted(path.stem for path in FOLDER.glob("*.onnx"))


def find_model(model: str | Path) -> Path:
    """A bundled name, with or without its precision, or a path → the path.

    Raises:
        ModelError: neither a bundled name nor a file.
    """
    text = str(model)
    for name in (text, f"{text}-{DEFAULT_PRECISION}"):
        if name in bundled_names():
            return FOLDER / f"{name}.onnx"
    path = Path(model)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise ModelError(f"{path}: no such model file")
    near = difflib.get_close_matches(text, bundled_names(), 1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ModelError(
        f"{text}: neither a file nor a bundled model ({', '.join(bundled_names()) or 'none'}){hint}"
    )


def find_float_model(model: str | Path) -> Path:
    """The same, for what needs float32 weights: a name without a precision means those.

    Raises:
        ModelError: neither a bundled name nor a file.
    """
    path = Path(model)
    if path.is_file():
        return path
    if f"{model}-{FLOAT_PRECISION}" in bundled_names():
        return find_model(f"{model}-{FLOAT_PRECISION}")
    if path.suffix in (".pt", ".ckpt"):
        raise ModelError(f"{path}: no such checkpoint")
    return find_model(model)
