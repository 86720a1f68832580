"""The tensors of an ONNX model on their way to LiteRT: order of axes, types, and fusion.

LiteRT keeps channels last. A tensor here is stored in any order of its axes, and that order is
remembered: a transposition in the ONNX model only changes what is remembered, and data are moved
where an operator needs another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from evface_export.tflite_file import Scales, TfliteFile

_UNSIGNED_OFFSET = 128
#: `ActivationFunctionType` of the schema.
_NO_ACTIVATION = 0
#: Limits of a clip → its code.
_FUSED: dict[tuple[float | None, float | None], int] = {(0.0, None): 1, (0.0, 6.0): 3}
#: They move values, and change none.
_MOVES = frozenset(
    (
        *("DepthToSpace", "Flatten", "Identity", "Pad", "Reshape"),
        *("Resize", "Squeeze", "Transpose", "Unsqueeze"),
    )
)


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A computed tensor.

    Attributes:
        shape: of the ONNX tensor, for a batch of one.
        order: its axes in the order in which they are stored.
        scales: of INT8; None for float32.
    """

    index: int
    shape: tuple[int, ...]
    order: tuple[int, ...]
    scales: Scales | None = None

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in self.order)

    def transposed(self, axes: Sequence[int]) -> StoredTensor:
        """The same data, remembered with other axes."""
        shape = tuple(self.shape[axis] for axis in axes)
        return replace(self, shape=shape, order=tuple(list(axes).index(a) for a in self.order))


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant of the model; of INT8 with scales."""

    values: NDArray[Any]
    scales: Scales | None = None

    @property
    def floats(self) -> NDArray[Any]:
        if self.scales is None:
            return self.values
        shape = [1] * self.values.ndim
        if self.scales.scale.size > 1:
            shape[self.scales.axis] = -1
        values = self.values.astype(np.float32) - np.float32(self.scales.zero_point)
        return values * self.scales.scale.reshape(shape)

    @property
    def is_symmetric_int8(self) -> bool:
        """Whether LiteRT can multiply by it: output channels first."""
        return (
            self.scales is not None
            and self.values.dtype == np.int8
            and self.scales.zero_point == 0
            and self.scales.axis == 0
        )

    def transposed(self, axes: Sequence[int]) -> Constant:
        scales = self.scales
        if scales is not None:
            scales = replace(scales, axis=list(axes).index(scales.axis))
        return Constant(self.values.transpose(axes), scales)


class Layer(NamedTuple):
    """Input, constants and result of an operator with weights."""

    x: StoredTensor
    weight: int
    bias: int
    scales: Scales | None
    activation: int
    result: str


class GraphValues:
    """The tensors of a graph by name, and the file that they are written to."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._file = TfliteFile()
        self._shapes = {
            value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.output, *graph.value_info)
        }
        self._uses = Counter(name for node in graph.node for name in node.input)
        self._uses.update(value.name for value in graph.output)
        self._users = {name: node for node in graph.node for name in node.input}
        self._values: dict[str, StoredTensor | Constant] = {
            tensor.name: Constant(numpy_helper.to_array(tensor)) for tensor in graph.initializer
        }
        self._moved: dict[tuple[object, ...], StoredTensor] = {}
        self._dequantized: dict[int, StoredTensor] = {}
        self._inputs: dict[str, int] = {}
        for value in graph.input:
            shape = self._shapes[value.name]
            index = self._file.add_tensor(shape, name=value.name)
            self._inputs[value.name] = index
            self._values[value.name] = StoredTensor(index, shape, canonical(shape))

    def _tensor(self, name: str) -> StoredTensor:
        value = self._values[name]
        if isinstance(value, Constant):
            raise ValueError(f"{name} is constant")
        return value

    def _floats(self, name: str) -> StoredTensor:
        """A tensor in float32."""
        x = self._tensor(name)
        if x.scales is None:
            return x
        if x.index not in self._dequantized:
            result = self._new(x.shape, x.order)
            self._file.add_operator("DEQUANTIZE", [x.index], [result.index])
            self._dequantized[x.index] = result
        return replace(x, index=self._dequantized[x.index].index, scales=None)

    def _weights(self, name: str) -> Constant:
        value = self._values[name]
        if isinstance(value, StoredTensor):
            raise ValueError(f"{name} is not constant")
        return value

    def _numbers(self, name: str) -> list[int]:
        return [int(number) for number in self._weights(name).values.ravel()]

    def _new(
        self, shape: Sequence[int], order: Sequence[int], scales: Scales | None = None
    ) -> StoredTensor:
        stored = [shape[axis] for axis in order]
        index = self._file.add_tensor(stored, np.float32 if scales is None else np.int8, scales)
        return StoredTensor(index, tuple(shape), tuple(order), scales)

    def _ints(self, values: Any) -> int:
        return self._file.add_constant(np.array(values, np.int32))

    def _emit(
        self, operator: str, x: StoredTensor, *more: int, shape: Sequence[int] = (), **options: Any
    ) -> StoredTensor:
        """The result of an operator on `x` that keeps its order of axes and its type."""
        result = self._new(shape or x.shape, x.order, x.scales)
        self._file.add_operator(operator, [x.index, *more], [result.index], **options)
        return result

    def _ordered(self, x: StoredTensor, order: Sequence[int] = ()) -> StoredTensor:
        """The tensor with its axes stored in `order`, by default that of ONNX."""
        order = tuple(order) or canonical(x.shape)
        if order == x.order:
            return x
        key = (x.index, x.shape, x.order, order)
        if key not in self._moved:
            result = self._new(x.shape, order, x.scales)
            places = self._ints([x.order.index(axis) for axis in order])
            self._file.add_operator("TRANSPOSE", [x.index, places], [result.index])
            self._moved[key] = result
        return self._moved[key]

    def _last(self, x: StoredTensor, axis: int) -> StoredTensor:
        """The tensor with `axis` stored last."""
        axis %= len(x.shape)
        if x.order[-1] == axis:
            return x
        return self._ordered(x, [other for other in canonical(x.shape) if other != axis] + [axis])

    # Fusion with what follows.

    def _only_user(self, name: str) -> onnx.NodeProto | None:
        return self._users[name] if self._uses[name] == 1 and name in self._users else None

    def _activation(self, name: str) -> tuple[int, str]:
        """The activation that alone uses a tensor, and the name of its result."""
        user = self._only_user(name)
        if user is not None and user.op_type in ("Clip", "Relu"):
            code = _FUSED.get(self._limits(user))
            if code is not None:
                return code, user.output[0]
        return _NO_ACTIVATION, name

    def _limits(self, node: onnx.NodeProto) -> tuple[float | None, float | None]:
        if node.op_type == "Relu":
            return 0.0, None
        names = (*node.input[1:], "", "")[:2]
        low, high = (self._weights(name).values.item() if name else None for name in names)
        return low, high

    def _quantized_to(self, name: str) -> Scales | None:
        """The scales of the quantiser that alone uses a tensor, maybe after it was moved."""
        user = self._only_user(name)
        if user is None:
            return None
        if user.op_type == "QuantizeLinear":
            return self._scales(user)
        return self._quantized_to(user.output[0]) if user.op_type in _MOVES else None

    def _scales(self, node: onnx.NodeProto) -> Scales:
        """Of a quantiser of an activation."""
        scale = self._weights(node.input[1]).values
        zero = self._weights(node.input[2]).values if len(node.input) > 2 else np.uint8(0)
        if scale.size != 1 or zero.dtype not in (np.uint8, np.int8):
            raise ValueError("an activation needs one scale and 8 bits")
        offset = _UNSIGNED_OFFSET if zero.dtype == np.uint8 else 0
        return Scales(scale.reshape(1).astype(np.float32), int(zero.item()) - offset)

    def _layer(self, source: str, weights: Constant, bias: Any, name: str) -> Layer:
        """The parts of an operator with weights, in INT8 if its input, weights and result are.

        Args:
            weights: in the layout of LiteRT, output channels first.
            bias: (channels,), or None.
            name: of the result, before its activation.
        """
        activation, result = self._activation(name)
        x, bias = self._tensor(source), np.zeros(len(weights.values)) if bias is None else bias
        scales = None
        if x.scales is not None and weights.is_symmetric_int8:
            scales = self._quantized_to(result)
        if scales is None or x.scales is None or weights.scales is None:
            if x.scales is not None and weights.is_symmetric_int8:
                # The result stays in float: LiteRT quantises the input itself, row by row.
                weight = self._file.add_constant(weights.values, weights.scales)
            else:
                weight = self._file.add_constant(weights.floats.astype(np.float32))
            constant = self._file.add_constant(bias.astype(np.float32))
            return Layer(self._floats(source), weight, constant, None, activation, result)
        step = x.scales.scale * weights.scales.scale
        rounded = np.rint(bias / step).astype(np.int32)
        constant = self._file.add_constant(rounded, Scales(step))
        weight = self._file.add_constant(weights.values, weights.scales)
        return Layer(x, weight, constant, scales, activation, result)

    def _run(
        self,
        operator: str,
        layer: Layer,
        shape: Sequence[int],
        order: Sequence[int],
        **options: Any,
    ) -> StoredTensor:
        result = self._new(shape, order, layer.scales)
        self._file.add_operator(
            operator,
            [layer.x.index, layer.weight, layer.bias],
            [result.index],
            fusedActivationFunction=layer.activation,
            **options,
        )
        self._values[layer.result] = result
        return result


def canonical(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(range(len(shape)))


def order_after_reshape(x: StoredTensor, shape: Sequence[int]) -> list[int] | None:
    """The order of the new axes if no data have to move, else None."""
    groups = {before[0]: (before, after) for before, after in _groups(x.shape, shape)}
    order: list[int] = []
    position = 0
    while position < len(x.order):
        before, after = groups.get(x.order[position], ([], []))
        if not before or list(x.order[position : position + len(before)]) != before:
            return None
        order += after
        position += len(before)
    return order


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Runs of axes before and after a reshape that hold the same values."""
    groups = []
    i = j = 0
    while i < len(before) and j < len(after):
        a, b, first_i, first_j = before[i], after[j], i, j
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                a, i = a * before[i], i + 1
            else:
                b, j = b * after[j], j + 1
        groups.append((list(range(first_i, i)), list(range(first_j, j))))
    groups[-1][0].extend(range(i, len(before)))
    groups[-1][1].extend(range(j, len(after)))
    return groups
