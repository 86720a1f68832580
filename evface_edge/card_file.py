"""The model card inside an artefact, read and written without the artefact's own library.

An ONNX file is one protobuf message, `ModelProto`. Protobuf merges the repeated fields of
concatenated messages, so an entry of `metadata_props` is added by appending its bytes, and read
by walking over the top-level fields; nothing below them is parsed. Two entries are ours: the card
(`CARD_KEY`) and, last, the SHA-256 of every other byte of the file.

An OpenVINO model is an `.xml` file beside a `.bin` file: the same two texts stand in its
`rt_info`, as `evface/card` and `evface/sha256`, and the hash covers both files.

Engines and checkpoints keep theirs in other ways: `card_engine`, `card_checkpoint`.

Sources: onnx.proto3 of ONNX 1.x (`ModelProto.metadata_props` = 14, `StringStringEntryProto`),
and "Encoding" in the Protocol Buffers documentation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr, unescape

from evface_edge.card import CARD_KEY, ModelCard
from evface_edge.card_checkpoint import read_checkpoint_card
from evface_edge.card_engine import read_engine_card
from evface_edge.errors import ModelError

HASH_KEY = "evface_sha256"

_IR_VERSION, _GRAPH, _METADATA = 1, 7, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_REEXPORT = "export the checkpoint again with `evface-edge export`"
_OPENVINO_BLOCK = re.compile(
    rb'<evface><card value="([^"]*)" ?/><sha256 value="([^"]*)" ?/></evface>'
)


class _Field(NamedTuple):
    """A top-level protobuf field: bytes [start, stop) of the file, payload from `payload` on."""

    number: int
    wire_type: int
    start: int
    payload: int
    stop: int


def read_card(path: str | Path) -> ModelCard:
    """The card of an artefact, once its hash has been found right.

    Args:
        path: an `.onnx` file, the `.xml` file of an OpenVINO model, an `.engine` of TensorRT, or
            a checkpoint (`.pt`).

    Raises:
        ModelError: the file is missing, of another kind, truncated, has no card, has a card of
            another version, or was changed after its export.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ModelError(f"{path}: expected a model file ending in {', '.join(MODEL_SUFFIXES)}")
    card, found, actual = reader(path)
    if found != actual:
        raise ModelError(
            f"{path}: the file was changed after its export (its SHA-256 is {actual[:12]}…, its "
            f"card says {found[:12]}…); fetch it again, or {_REEXPORT}"
        )
    try:
        text = card.decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: the model card is not UTF-8 ({error})") from None
    return ModelCard.from_json(text, origin=str(path))


def embed_card(model: bytes, card: ModelCard) -> bytes:
    """A serialized ONNX model with `card` in it, in place of any card that was there.

    Raises:
        ModelError: `model` is not a serialized ONNX model.
    """
    bare = model
    for field, key, _ in reversed(list(_metadata(model, "the model"))):
        if key in (CARD_KEY.encode(), HASH_KEY.encode()):
            bare = bare[: field.start] + bare[field.stop :]
    bare += _entry(CARD_KEY, card.to_json())
    return bare + _entry(HASH_KEY, hashlib.sha256(bare).hexdigest())


def embed_openvino_card(xml: bytes, weights: bytes, card: ModelCard) -> bytes:
    """The `.xml` of an OpenVINO model with `card` in its `rt_info`; `weights` is its `.bin`.

    Raises:
        ModelError: `xml` has no `rt_info` of the model (a model that OpenVINO saved has one).
    """
    bare = _OPENVINO_BLOCK.sub(b"", xml)
    place = bare.rfind(b"</rt_info>")  # layers have an rt_info too; the model's comes last
    if place < 0 or bare[place:].split() != [b"</rt_info>", b"</net>"]:
        raise ModelError("the model: not an OpenVINO model (it has no rt_info)")
    text = quoteattr(card.to_json(), {'"': "&quot;"}).encode()
    digest = _openvino_hash(bare, text[1:-1], weights)
    block = b'<evface><card value=%s /><sha256 value="%s" /></evface>' % (text, digest.encode())
    return bare[:place] + block + bare[place:]


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
                f"{origin}: the {kind} do not fit the model card: the card says {expected}, the "
                f"network has {dict(found)}; {_REEXPORT}"
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None


def _read_onnx(path: Path) -> tuple[bytes, str, str]:
    """The card, the hash that the file states, and the hash that it has."""
    model = _read(path)
    fields: dict[bytes, tuple[_Field, bytes]] = {}
    for field, key, value in _metadata(model, str(path)):
        if key in (CARD_KEY.encode(), HASH_KEY.encode()):
            if key in fields:
                raise ModelError(f"{path}: two entries {key.decode()!r}, expected one; {_REEXPORT}")
            fields[key] = field, value
    if len(fields) < 2:
        raise _no_card(path)
    field, stated = fields[HASH_KEY.encode()]
    actual = hashlib.sha256(model[: field.start])
    actual.update(model[field.stop :])
    return (
        fields[CARD_KEY.encode()][1],
        stated.decode("ascii", "replace"),
        actual.hexdigest(),
    )


def _no_card(path: Path) -> ModelError:
    return ModelError(
        f"{path}: no model card inside, so this is not a model of evface-edge; {_REEXPORT}"
    )


def _read_openvino(path: Path) -> tuple[bytes, str, str]:
    xml = _read(path)
    if b"<net " not in xml[:4096]:
        raise ModelError(f"{path}: not an OpenVINO model (no <net> element at its beginning)")
    if not xml.rstrip().endswith(b"</net>"):
        raise ModelError(f"{path}: truncated: the <net> element is not closed; fetch it again")
    blocks = list(_OPENVINO_BLOCK.finditer(xml))
    if len(blocks) != 1:
        raise _no_card(path)
    text, stated = blocks[0].groups()
    bare = xml[: blocks[0].start()] + xml[blocks[0].end() :]
    actual = _openvino_hash(bare, text, _read(path.with_suffix(".bin")))
    card = unescape(text.decode("utf-8", "replace"), {"&quot;": '"'}).encode()
    return card, stated.decode("ascii", "replace"), actual


def _openvino_hash(bare: bytes, card: bytes, weights: bytes) -> str:
    # Hashes of equal length, joined: no byte can move from one part into another unseen.
    parts = (hashlib.sha256(part).digest() for part in (bare, card, weights))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _read_checkpoint(path: Path) -> tuple[bytes, str, str]:
    return read_checkpoint_card(path), "", ""  # the archive has checksums of its own


_READERS = {
    ".onnx": _read_onnx,
    ".xml": _read_openvino,
    ".engine": read_engine_card,
    ".plan": read_engine_card,
    ".pt": _read_checkpoint,
}
MODEL_SUFFIXES = tuple(_READERS)


def _entry(key: str, value: str) -> bytes:
    """An entry of `metadata_props`, as a field of ModelProto."""
    content = _field(1, key.encode()) + _field(2, value.encode())
    return _field(_METADATA, content)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _metadata(model: bytes, origin: str) -> Iterator[tuple[_Field, bytes, bytes]]:
    """Each entry of `metadata_props`: its place, key and value.

    Raises:
        ModelError: not a serialized ModelProto, or a part of one.
    """
    numbers: set[tuple[int, int]] = set()
    for field in _fields(model, 0, len(model), origin):
        if not numbers and (field.number, field.wire_type) != (_IR_VERSION, _VARINT):
            raise _not_onnx(origin)  # every writer puts the IR version first
        numbers.add((field.number, field.wire_type))
        if (field.number, field.wire_type) == (_METADATA, _BYTES):
            entry = {
                part.number: model[part.payload : part.stop]
                for part in _fields(model, field.payload, field.stop, origin)
            }
            yield field, entry.get(1, b""), entry.get(2, b"")
    if not numbers:
        raise _not_onnx(origin)
    if (_GRAPH, _BYTES) not in numbers:
        raise ModelError(f"{origin}: truncated, or not a model: no graph inside; fetch it again")


def _not_onnx(origin: str) -> ModelError:
    return ModelError(f"{origin}: not an ONNX file (it does not begin with an IR version)")


def _fields(data: bytes, start: int, stop: int, origin: str) -> Iterator[_Field]:
    """The protobuf fields of data[start:stop), without looking into them."""
    while start < stop:
        tag, payload = _read_varint(data, start, stop, origin)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, end = _read_varint(data, payload, stop, origin)
        elif wire_type == _BYTES:
            length, payload = _read_varint(data, payload, stop, origin)
            end = payload + length
        elif wire_type in (_FIXED32, _FIXED64):
            end = payload + (4 if wire_type == _FIXED32 else 8)
        else:
            raise ModelError(
                f"{origin}: not an ONNX file, or a damaged one: protobuf wire type {wire_type} at "
                f"byte {start}; fetch it again"
            )
        if end > stop:
            raise ModelError(
                f"{origin}: truncated, or not an ONNX file: the field at byte {start} ends at "
                f"byte {end}, the data at byte {stop}; fetch it again"
            )
        yield _Field(number, wire_type, start, payload, end)
        start = end


def _read_varint(data: bytes, start: int, stop: int, origin: str) -> tuple[int, int]:
    """The integer at `start`, and the byte after it."""
    value = 0
    for index in range(start, min(stop, start + 10)):
        value |= (data[index] & 0x7F) << 7 * (index - start)
        if data[index] < 0x80:
            return value, index + 1
    raise ModelError(
        f"{origin}: truncated, or not an ONNX file: no end to the number at byte {start}; "
        "fetch it again"
    )
