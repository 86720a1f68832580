"""Which kind of network a file holds: read from its first bytes, not from its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from evface_runtimes.errors import ModelError

#: kind → the suffixes that such files usually have.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "openvino": (".xml",),
    "engine": (".engine", ".plan"),
    "checkpoint": (".pt",),
}
#: A serialized engine begins so: of TensorRT, and of TensorRT-RTX.
_ENGINE_MAGIC = (b"ftrt", b"ptrt", b"vtrt")
_ONNX_IR_VERSION = b"\x08"  # field 1, a number; every writer puts it first


def recognise(path: Path) -> str:
    """A key of `SUFFIXES`.

    Raises:
        ModelError: no such file, an empty one, one of no kind known here, or one whose name ends
            like another kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise ModelError(f"{path}: an empty file; fetch or export it again")
    named = next((kind for kind, ends in SUFFIXES.items() if path.suffix.lower() in ends), None)
    found = _kind(path, head)
    if found is None and named == "engine":
        # Nobody documents how an engine begins: its name is enough, and TensorRT will say.
        found = named
    if found is None:
        kinds = ", ".join(f"{ends[0]} ({kind})" for kind, ends in SUFFIXES.items())
        raise ModelError(
            f"{path}: not a network of a known kind (it begins with {head[:8].hex(' ')}); "
            f"expected {kinds}"
        )
    if named not in (None, found):
        raise ModelError(
            f"{path}: holds {found!r} although its name ends in {path.suffix}; rename it to "
            f"{path.stem}{SUFFIXES[found][0]}, or fetch it again"
        )
    return found


def _kind(path: Path, head: bytes) -> str | None:
    if head.startswith(_ENGINE_MAGIC):
        return "engine"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"<?xml", b"<net")):
        return "openvino"
    if head.startswith(b"PK\x03\x04"):
        return "checkpoint" if _holds_torch(path) else None
    if head.startswith(_ONNX_IR_VERSION) and len(head) > 1 and 0 < head[1] < 64:
        return "onnx"
    return None


def _holds_torch(path: Path) -> bool:
    """Whether `torch.save` wrote this zip archive; a damaged one is taken for one, to say so."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return path.suffix.lower() in SUFFIXES["checkpoint"]
