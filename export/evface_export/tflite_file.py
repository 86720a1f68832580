"""Writes a LiteRT model: tensors, operators and metadata as one flatbuffer.

Source: schema.fbs of LiteRT, through the classes that its package generates from it; the version of
each operator is the lowest that has the data types used here (`op_version.cc`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from evface_edge.card import ModelCard
from evface_edge.card_file import CARD_KEY, HASH_KEY, NO_HASH, litert_hash
from evface_edge.errors import ModelError
from evface_edge.litert_metadata import FILE_ID, read_metadata

_ALIGNMENT = 16  # `force_align` of the schema, which the generated classes leave out
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
#: Operator → its lowest version for float32, and for INT8 tensors.
_VERSIONS = {
    "ADD": (1, 2),
    "CONV_2D": (1, 3),
    "DEQUANTIZE": (1, 2),
    "FULLY_CONNECTED": (5, 12),  # 5: keeps the number of axes; 12: a scale for each channel
    "PAD": (1, 2),
    "RESHAPE": (1, 1),
    "RESIZE_NEAREST_NEIGHBOR": (1, 2),
    "SLICE": (1, 2),
    "TRANSPOSE": (1, 2),
}


@dataclass(frozen=True, eq=False)
class Scales:
    """How the integers of a tensor stand for numbers: scale · (integer - zero point).

    Attributes:
        scale: one for each index along `axis`, or a single one.
    """

    scale: NDArray[np.float32]
    zero_point: int = 0
    axis: int = 0

    def equals(self, other: Scales | None) -> bool:
        return (
            other is not None
            and self.zero_point == other.zero_point
            and np.array_equal(self.scale, other.scale)
        )


class TfliteFile:
    """A model that grows by tensors and operators; the order of operators is that of execution."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[tuple[str, int], int] = {}
        self._buffers: list[Any] = [schema.BufferT()]  # the first one is empty by definition
        self._constants: dict[tuple[Any, ...], int] = {}

    def add_tensor(
        self,
        shape: Sequence[int],
        dtype: type[np.generic] = np.float32,
        scales: Scales | None = None,
        *,
        name: str = "",
    ) -> int:
        """A tensor that is computed; its index."""
        tensor = schema.TensorT()
        tensor.name = name or f"t{len(self._tensors)}"
        tensor.shape = [int(size) for size in shape]
        tensor.type = _TYPES[np.dtype(dtype)]
        tensor.hasRank = True
        if scales is not None:
            tensor.quantization = _quantization(scales)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def add_constant(self, values: NDArray[Any], scales: Scales | None = None) -> int:
        """A tensor of fixed values; equal ones are stored once."""
        content = np.ascontiguousarray(values).tobytes()
        key = (content, values.shape, values.dtype.str)
        if scales is None and key in self._constants:
            return self._constants[key]
        index = self.add_tensor(values.shape, values.dtype.type, scales)
        self._tensors[index].buffer = len(self._buffers)
        self._buffers.append(_Buffer(content))
        if scales is None:
            self._constants[key] = index
        return index

    def rename(self, index: int, name: str) -> None:
        """Name a tensor."""
        self._tensors[index].name = name

    def add_operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any
    ) -> None:
        """An operator.

        Args:
            name: such as "CONV_2D".
            options: fields of its options table, by name.
        """
        integer = any(self._tensors[index].type == schema.TensorType.INT8 for index in inputs)
        version = _VERSIONS.get(name, (1, 1))[integer]
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault((name, version), len(self._codes))
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        kind = _OPTIONS.get(name)
        if kind is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            for field, value in options.items():
                setattr(operator.builtinOptions, field, value)
        self._operators.append(operator)

    def finish(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The bytes of the file.

        Args:
            inputs, outputs: name → tensor.
        """
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs = [_tensor_map(*pair) for pair in inputs.items()]
        signature.outputs = [_tensor_map(*pair) for pair in outputs.items()]
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes = [_operator_code(*key) for key in self._codes]
        model.subgraphs, model.buffers = [graph], self._buffers
        model.signatureDefs = [signature]
        model.metadata = []
        return pack(model)


def read(content: bytes) -> Any:
    """The schema's object for a file, which `pack` writes again."""
    model = schema.ModelT.InitFromPackedBuf(content)
    model.buffers = [
        _Buffer(b"" if buffer.data is None else bytes(buffer.data)) for buffer in model.buffers
    ]
    return model


def embed_litert_card(content: bytes, card: ModelCard) -> bytes:
    """A LiteRT model with `card`, in place of a card that was embedded before.

    Raises:
        ModelError: `content` is not a LiteRT model.
    """
    if content[4:8] != FILE_ID:
        raise ModelError("not a LiteRT model", field="model", value=content[:8])
    model = read(content)
    with_card = with_metadata(model, {CARD_KEY: card.to_json().encode(), HASH_KEY: NO_HASH})
    place = read_metadata(with_card)[HASH_KEY]
    digest = litert_hash(with_card, place)
    return with_card[: place.start] + digest + with_card[place.stop :]


def with_metadata(model: Any, entries: Mapping[str, bytes]) -> bytes:
    """A model with these entries of metadata, in place of earlier ones of the same names."""
    metadata = {_text(entry.name): entry for entry in model.metadata or []}
    for name, value in entries.items():
        if name in metadata:
            model.buffers[metadata[name].buffer] = _Buffer(value)
            continue
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(_Buffer(value))
        model.metadata = [*(model.metadata or []), entry]
    return pack(model)


def pack(model: Any) -> bytes:
    """The bytes of a `ModelT`."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), FILE_ID)
    return bytes(builder.Output())


class _Buffer:
    """In place of `BufferT`: aligned as the schema says."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def Pack(self, builder: Any) -> int:  # the name of the generated classes
        if self.data:
            builder.StartVector(1, len(self.data), _ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            data = builder.EndVector()
        schema.BufferStart(builder)
        if self.data:
            schema.BufferAddData(builder, data)
        end: int = schema.BufferEnd(builder)
        return end


def _quantization(scales: Scales) -> Any:
    quantization = schema.QuantizationParametersT()
    quantization.scale = scales.scale.ravel().astype(np.float32)
    quantization.zeroPoint = np.full(scales.scale.size, scales.zero_point, np.int64)
    quantization.quantizedDimension = scales.axis
    return quantization


def _operator_code(name: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    return code


def _tensor_map(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


#: Operator → table of its options; the others have none that matter.
_OPTIONS = {
    "ADD": "AddOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DIV": "DivOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
}
