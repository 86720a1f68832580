"""Model cards in model files: read and written without the libraries of the formats.

| file | place of the card | integrity |
|---|---|---|
| `.onnx` | the last two entries of `metadata_props` | SHA-256 of all other bytes |
| LiteRT `.tflite` | metadata `evface_card`, `evface_sha256` | SHA-256 with zeros in its place |
| OpenVINO `.xml` | `rt_info`: `evface/card`, `evface/sha256` | SHA-256 of `.xml` and `.bin` |
| TensorRT `.engine` | a file beside it, `<engine>.json` | SHA-256 of that file and of the engine |
| checkpoint `.pt` | the text "card" in the archive of `torch.save` | checksums of the archive |

An ONNX file is one protobuf message, `ModelProto`. Protobuf merges the repeated fields of
concatenated messages, so an entry of `metadata_props` is added by appending its bytes (onnx.proto3,
`ModelProto.metadata_props` = 14; "Encoding" in the Protocol Buffers documentation).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr, unescape

from evface_edge.card import ModelCard
from evface_edge.errors import ModelError
from evface_edge.litert_metadata import read_metadata
from evface_runtimes.tensorrt_engine import ENTRY as ENGINE_KEY
from evface_runtimes.tensorrt_engine import sidecar_path

CARD_KEY = "evface_card"
HASH_KEY = "evface_sha256"

_EXPORT_AGAIN = "export the checkpoint again with `evface-edge export`"
_BUILD_AGAIN = "build the engine again with `evface-edge build-engine`"
_FETCH_AGAIN = f"fetch it again, or {_EXPORT_AGAIN}"
_OPENVINO_BLOCK = re.compile(
    rb'<evface><card value="([^"]*)" ?/><sha256 value="([^"]*)" ?/></evface>'
)


class _Stored(NamedTuple):
    """A card as it is in a file, the hash that the file states, and the hash that it has."""

    card: bytes
    stated: str = ""
    actual: str = ""


def read_card(path: str | Path) -> ModelCard:
    """The card of a model file, after its hash was verified.

    Args:
        path: an `.onnx` or `.tflite` file, the `.xml` file of an OpenVINO model, a TensorRT
            `.engine` or `.plan`, or a checkpoint (`.pt`).

    Raises:
        ModelError: the file is missing, of another kind, damaged, or was changed after its
            export; or it has no card, or one of another version.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        suffixes = ", ".join(_READERS)
        raise ModelError(
            f"expected a model file ending in {suffixes}", path=path, expected=suffixes
        )
    stored = reader(path)
    if stored.stated != stored.actual:
        raise ModelError(
            f"changed after its export: its SHA-256 is {stored.actual[:12]}…, expected "
            f"{stored.stated[:12]}…",
            path=path,
            field="sha256",
            value=stored.actual,
            expected=stored.stated,
            fix=_FETCH_AGAIN,
        )
    return ModelCard.from_json(stored.card, origin=path)


def check_tensors(
    card: ModelCard,
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
    *,
    origin: str | Path,
) -> None:
    """Check that the tensors of a loaded network are those of its card.

    Raises:
        ModelError: a tensor is missing, not in the card, or of another shape.
    """
    for kind, specs, found in (("inputs", card.inputs, inputs), ("outputs", card.outputs, outputs)):
        expected = {spec.name: tuple(spec.shape) for spec in specs}
        if expected != dict(found):
            raise ModelError(
                f"the network has {kind} {dict(found)}, but its card has {expected}",
                path=origin,
                field=kind,
                value=dict(found),
                expected=str(expected),
                fix=_EXPORT_AGAIN,
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError("no such file", path=path) from None
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", path=path) from None


def _no_card(path: Path) -> ModelError:
    return ModelError(
        "no model card inside: truncated, or not a model of evface-edge",
        path=path,
        field=CARD_KEY,
        fix=_FETCH_AGAIN,
    )


# ONNX.

_ONNX_START = b"\x08"  # the IR version, field 1; every writer puts it first


def embed_card(model: bytes, card: ModelCard) -> bytes:
    """A serialized ONNX model with `card`, in place of a card that was embedded before.

    Raises:
        ModelError: `model` is not a serialized ONNX model.
    """
    if not model.startswith(_ONNX_START):
        raise ModelError("not a serialized ONNX model", field="model", value=model[:8])
    bare, _ = _split_onnx(model) or (model, None)
    bare += _entry(CARD_KEY, card.to_json().encode())
    return bare + _entry(HASH_KEY, hashlib.sha256(bare).hexdigest().encode())


def _read_onnx(path: Path) -> _Stored:
    model = _read(path)
    if not model.startswith(_ONNX_START):
        raise ModelError("not an ONNX file", path=path, value=model[:8], fix=_FETCH_AGAIN)
    parts = _split_onnx(model)
    if parts is None:
        raise _no_card(path)
    return parts[1]


def _split_onnx(model: bytes) -> tuple[bytes, _Stored] | None:
    """The model without card and hash, and these; None if they are not at its end."""
    hash_entry = model[-len(_entry(HASH_KEY, bytes(64))) :]
    hashed = model[: -len(hash_entry)]
    key = _field(1, CARD_KEY.encode())
    start = hashed.rfind(key) + len(key) + 1  # after the tag of the value: its length, then it
    while start < len(hashed) and hashed[start] >= 0x80:
        start += 1
    card = hashed[start + 1 :]
    if hash_entry != _entry(HASH_KEY, hash_entry[-64:]) or not hashed.endswith(
        _entry(CARD_KEY, card)
    ):
        return None
    stated = hash_entry[-64:].decode("ascii", "replace")
    stored = _Stored(card, stated, hashlib.sha256(hashed).hexdigest())
    return hashed.removesuffix(_entry(CARD_KEY, card)), stored


def _entry(key: str, value: bytes) -> bytes:
    """An entry of `metadata_props`, as a field of ModelProto."""
    return _field(14, _field(1, key.encode()) + _field(2, value))


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes: tag, length, content."""
    length, groups = len(content), bytearray()
    while length > 0x7F:
        groups.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *groups, length]) + content


# LiteRT.

#: In place of the hash, while the file is hashed.
NO_HASH = bytes(64)


def litert_hash(content: bytes, place: slice) -> bytes:
    """The hash of a LiteRT file that belongs at `place`, where it has 64 bytes."""
    hashed = content[: place.start] + NO_HASH + content[place.stop :]
    return hashlib.sha256(hashed).hexdigest().encode()


def _read_litert(path: Path) -> _Stored:
    content = _read(path)
    try:
        entries = read_metadata(content)
    except ValueError as error:
        raise ModelError(str(error), path=path, value=content[:8], fix=_FETCH_AGAIN) from None
    card, place = entries.get(CARD_KEY), entries.get(HASH_KEY)
    if card is None or place is None or place.stop - place.start != len(NO_HASH):
        raise _no_card(path)
    stated, actual = content[place], litert_hash(content, place)
    return _Stored(content[card], stated.decode("ascii", "replace"), actual.decode())


# OpenVINO.


def embed_openvino_card(xml: bytes, weights: bytes, card: ModelCard) -> bytes:
    """The `.xml` of an OpenVINO model with `card` in its `rt_info`; `weights` is its `.bin`.

    Raises:
        ModelError: `xml` is not a model as OpenVINO saves it.
    """
    bare = _OPENVINO_BLOCK.sub(b"", xml)
    place = bare.rfind(b"</rt_info>")  # layers have an rt_info too; that of the model is the last
    if place < 0 or bare[place:].split() != [b"</rt_info>", b"</net>"]:
        raise ModelError("not an OpenVINO model (no rt_info at its end)", field="xml")
    text = quoteattr(card.to_json(), {'"': "&quot;"}).encode()
    digest = _openvino_hash(bare, text[1:-1], weights)
    block = b'<evface><card value=%s /><sha256 value="%s" /></evface>' % (text, digest.encode())
    return bare[:place] + block + bare[place:]


def _read_openvino(path: Path) -> _Stored:
    xml = _read(path)
    blocks = list(_OPENVINO_BLOCK.finditer(xml))
    if len(blocks) != 1:
        raise _no_card(path)
    text, stated = blocks[0].groups()
    bare = xml[: blocks[0].start()] + xml[blocks[0].end() :]
    actual = _openvino_hash(bare, text, _read(path.with_suffix(".bin")))
    card = unescape(text.decode("utf-8", "replace"), {"&quot;": '"'}).encode()
    return _Stored(card, stated.decode("ascii", "replace"), actual)


def _openvino_hash(bare: bytes, card: bytes, weights: bytes) -> str:
    # Of hashes of equal length, so that moving bytes from one part to another changes it.
    parts = (hashlib.sha256(part).digest() for part in (bare, card, weights))
    return hashlib.sha256(b"".join(parts)).hexdigest()


# TensorRT.


def sidecar_text(engine: Mapping[str, Any], card: ModelCard) -> str:
    """The text of `<engine>.json`.

    Args:
        engine: the fields of `evface_runtimes.tensorrt_engine.EngineFacts`.
    """
    entries = {ENGINE_KEY: dict(engine), CARD_KEY: json.loads(card.to_json())}
    return json.dumps(entries | {HASH_KEY: _sidecar_hash(entries)}, indent=1)


def _read_engine(path: Path) -> _Stored:
    engine = _read(path)
    sidecar = sidecar_path(path)
    if not sidecar.exists():
        raise ModelError(
            f"no model card beside it ({sidecar.name})",
            path=path,
            field=CARD_KEY,
            fix=f"copy both files, or {_BUILD_AGAIN}",
        )
    try:
        entries = json.loads(_read(sidecar))
        card, stated = entries[CARD_KEY], str(entries[ENGINE_KEY]["engine_sha256"])
        hashed = _sidecar_hash({key: entries[key] for key in (ENGINE_KEY, CARD_KEY)})
        is_changed = entries[HASH_KEY] != hashed
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"damaged, or not of evface-edge ({error})", path=sidecar, fix=_BUILD_AGAIN
        ) from None
    if is_changed:
        raise ModelError(
            "changed after the engine was built", path=sidecar, field="sha256", fix=_BUILD_AGAIN
        )
    return _Stored(json.dumps(card).encode(), stated, hashlib.sha256(engine).hexdigest())


def _sidecar_hash(entries: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


# Checkpoints.


def _read_checkpoint(path: Path) -> _Stored:
    """Reads the opcodes of the pickle in the archive; nothing of it is run."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if archive.testzip() is not None or len(names) != 1:
                raise zipfile.BadZipFile("damaged, or not written by torch.save")
            opcodes = pickletools.genops(archive.read(names[0]))
            texts = [text for _, text, _ in opcodes if isinstance(text, str)]
    except FileNotFoundError:
        raise ModelError("no such file", path=path) from None
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"not a checkpoint, or damaged ({error})", path=path) from None
    for key, text in itertools.pairwise(texts):
        if key == "card" and text.startswith("{"):
            return _Stored(text.encode())
    raise _no_card(path)


_READERS: dict[str, Callable[[Path], _Stored]] = {
    ".onnx": _read_onnx,
    ".tflite": _read_litert,
    ".xml": _read_openvino,
    ".engine": _read_engine,
    ".plan": _read_engine,
    ".pt": _read_checkpoint,
}
MODEL_SUFFIXES = tuple(_READERS)
