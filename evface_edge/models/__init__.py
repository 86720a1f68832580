"""The bundled models, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from evface_edge.errors import ModelError
from evface_runtimes.files import SUFFIXES
from evface_runtimes.table import RUNTIMES

__all__ = ["bundled_names", "find_model"]

FOLDER = Path(__file__).parent
#: The precision of a name without one.
DEFAULT_PRECISION = "int8"
#: The same for training and export.
FLOAT_PRECISION = "fp32"


def bundled_names() -> list[str]:
    """The names of all bundled models, such as "evface-s-int8"."""
    return sorted(path.stem for path in FOLDER.glob("*.onnx"))


def files_of(model: str | Path) -> list[Path]:
    """The files of a bundled model, the `.onnx` first: the same network, each for other runtimes.

    Empty for a model that is not bundled.
    """
    for name in (str(model), f"{model}-{DEFAULT_PRECISION}"):
        if name in bundled_names():
            ends = [suffix for suffixes in SUFFIXES.values() for suffix in suffixes]
            return [path for end in ends if (path := FOLDER / f"{name}{end}").is_file()]
    return []


def find_model(model: str | Path, *, runtime: str | None = None) -> Path:
    """The path of a model.

    Args:
        model: a bundled name, with or without its precision, or a path.
        runtime: of a bundled model with several files, the one for this runtime; by default the
            `.onnx`.

    Raises:
        ModelError: neither a bundled name nor a file, or a bundled model without a file for the
            runtime.
    """
    text = str(model)
    files = files_of(text)
    if files:
        return _for_runtime(text, files, runtime)
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


def _for_runtime(model: str, files: list[Path], runtime: str | None) -> Path:
    spec = next((spec for spec in RUNTIMES if spec.name == runtime), None)
    if spec is None:  # none, or a name that `load` refuses
        return files[0]
    ends = [end for kind in spec.kinds for end in SUFFIXES[kind]]
    for path in files:
        if path.suffix in ends:
            return path
    found = ", ".join(path.suffix for path in files)
    raise ModelError(
        f"{model} has no file for {runtime} in this package: {found}, expected {ends[0]}",
        field="runtime",
        value=runtime,
        expected=ends[0],
        fix="export one with `evface-edge export`, or name another runtime",
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
