"""The kind of a network file, from its first bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from evface_runtimes.errors import ModelError

#: Kind of a file → its usual suffixes.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "openvino": (".xml",),
    "litert": (".tflite",),
    "engine": (".engine", ".plan"),
    "checkpoint": (".pt",),
}
#: First bytes of an engine of TensorRT or TensorRT-RTX.
_ENGINE_MAGIC = (b"ftrt", b"ptrt", b"vtrt")
_LITERT_ID = slice(4, 8), b"TFL3"  # the identifier of a flatbuffer
_ONNX_IR_VERSION = b"\x08"  # protobuf field 1, a number; every writer puts it first


def recognise(path: Path) -> str:
    """The kind of a file, a key of `SUFFIXES`.

    Raises:
        ModelError: the file is missing, empty, of no known kind, or has the suffix of another
            kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except FileNotFoundError:
        raise ModelError("no such file", path=path) from None
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", path=path) from None
    if not head:
        raise ModelError("an empty file", path=path, fix="fetch or export it again")
    named = next((kind for kind, ends in SUFFIXES.items() if path.suffix.lower() in ends), None)
    found = _kind(path, head)
    if found is None and named == "engine":
        # The first bytes of an engine are not documented; TensorRT refuses it if it is none.
        found = named
    if found is None:
        kinds = ", ".join(f"{ends[0]} ({kind})" for kind, ends in SUFFIXES.items())
        raise ModelError(
            f"not a network of a known kind (first bytes {head[:8].hex(' ')}), expected {kinds}",
            path=path,
            field="kind",
            value=head[:8],
            expected=kinds,
        )
    if named not in (None, found):
        raise ModelError(
            f"contents of kind {found!r}, but the suffix of {named!r}",
            path=path,
            field="kind",
            value=found,
            expected=named,
            fix=f"rename it to {path.stem}{SUFFIXES[found][0]}, or fetch it again",
        )
    return found


def _kind(path: Path, head: bytes) -> str | None:
    if head.startswith(_ENGINE_MAGIC):
        return "engine"
    place, identifier = _LITERT_ID
    if head[place] == identifier:
        return "litert"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"<?xml", b"<net")):
        return "openvino"
    if head.startswith(b"PK\x03\x04"):
        return "checkpoint" if _holds_torch(path) else None
    if head.startswith(_ONNX_IR_VERSION) and len(head) > 1 and 0 < head[1] < 64:
        return "onnx"
    return None


def _holds_torch(path: Path) -> bool:
    """Whether `torch.save` wrote this archive; a damaged `.pt` counts, for a better error."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return path.suffix.lower() in SUFFIXES["checkpoint"]
