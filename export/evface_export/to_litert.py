"""From one of our ONNX models, float or with Q/DQ, to a LiteRT model.

Weights, scales and zero points are those of the ONNX model, so that all runtimes compute the same
INT8 network. LiteRT's integers are signed: u8 activations and their zero points move by 128, which
changes no value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx.helper import get_node_attr_value

from evface_edge.errors import ExportError
from evface_export.litert_values import (
    Constant,
    GraphValues,
    StoredTensor,
    canonical,
    order_after_reshape,
)
from evface_export.tflite_file import Scales

_CHANNELS_LAST = (0, 2, 3, 1)
_SAME, _VALID = 0, 1  # `Padding` of the schema
#: ONNX → LiteRT, for operators of one float input without settings.
_UNARY = {"Exp": "EXP", "Log": "LOG", "Relu": "RELU", "Sigmoid": "LOGISTIC", "Sqrt": "SQRT"}
_BINARY = {"Add": "ADD", "Div": "DIV", "Mul": "MUL", "Sub": "SUB"}


def to_litert(model: bytes) -> bytes:
    """A LiteRT model for a batch of one.

    Raises:
        ExportError: an operator, or a setting of one, that is not supported.
    """
    graph = onnx.shape_inference.infer_shapes(_batch_of_one(model), data_prop=True).graph
    conversion = _Conversion(graph)
    for node in graph.node:
        try:
            conversion.convert(node)
        except (KeyError, ValueError, IndexError) as error:
            raise ExportError(
                f"{node.op_type} {node.output[0]} cannot be converted to LiteRT ({error})",
                field=node.op_type,
                value=node.output[0],
                fix="export to an onnx target",
            ) from error
    return conversion.finish()


def _batch_of_one(model: bytes) -> onnx.ModelProto:
    loaded = onnx.load_from_string(model)
    del loaded.graph.value_info[:]
    for value in (*loaded.graph.input, *loaded.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return loaded


class _Conversion(GraphValues):
    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__(graph)
        self._handlers: dict[str, Callable[[onnx.NodeProto], StoredTensor | Constant]] = {
            "Clip": self._clip,
            "Concat": self._concat,
            "Conv": self._conv,
            "DepthToSpace": self._depth_to_space,
            "DequantizeLinear": self._dequantize,
            "Gather": self._gather,
            "Gemm": self._gemm,
            "Identity": lambda node: self._values[node.input[0]],
            "MatMul": self._matmul,
            "Pad": self._pad,
            "Pow": self._pow,
            "QuantizeLinear": self._quantize,
            "Resize": self._resize,
            "Slice": self._slice,
            "Softmax": self._softmax,
            "Transpose": self._transpose,
            **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), self._reshape),
            **dict.fromkeys(("ReduceMean", "ReduceSum"), self._reduce),
            **dict.fromkeys(_UNARY, self._unary),
            **dict.fromkeys(_BINARY, self._binary),
        }

    def convert(self, node: onnx.NodeProto) -> None:
        name = node.output[0]
        if name not in self._values:  # else it was fused into the operator before it
            self._values[name] = self._handlers[node.op_type](node)

    def finish(self) -> bytes:
        outputs = {}
        for value in self._graph.output:
            outputs[value.name] = self._ordered(self._floats(value.name)).index
            self._file.rename(outputs[value.name], value.name)
        return self._file.finish(self._inputs, outputs)

    # Operators with weights.

    def _conv(self, node: onnx.NodeProto) -> StoredTensor:
        weights = self._weights(node.input[1]).transposed((0, 2, 3, 1))
        bias = self._weights(node.input[2]).floats if len(node.input) > 2 else None
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if settings.get("group", 1) != 1 or any(
            size != 1 for size in settings.get("dilations", [])
        ):
            raise ValueError("groups and dilations are not supported")
        layer = self._layer(node.input[0], weights, bias, node.output[0])
        x = self._ordered(layer.x, _CHANNELS_LAST)
        strides, pads = settings.get("strides", [1, 1]), settings.get("pads", [0, 0, 0, 0])
        kernel = weights.values.shape[1:3]
        keeps_size = strides == [1, 1] and all(
            pads[axis] == pads[axis + 2] == (kernel[axis] - 1) / 2 for axis in (0, 1)
        )
        if not keeps_size:
            x = self._padded(x, [0, 0, *pads[:2]], [0, 0, *pads[2:]])
        return self._run(
            "CONV_2D",
            layer._replace(x=x),
            self._shapes[node.output[0]],
            _CHANNELS_LAST,
            padding=_SAME if keeps_size else _VALID,
            strideH=strides[0],
            strideW=strides[1],
        )

    def _gemm(self, node: onnx.NodeProto) -> StoredTensor:
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if settings.get("transA") or {settings.get(name, 1.0) for name in ("alpha", "beta")} != {
            1.0
        }:
            raise ValueError("transA, alpha and beta are not supported")
        weights = self._weights(node.input[1])
        if not settings.get("transB"):
            weights = weights.transposed((1, 0))
        bias = self._weights(node.input[2]).floats if len(node.input) > 2 else None
        return self._fully_connected(node.input[0], weights, bias, node.output[0])

    def _matmul(self, node: onnx.NodeProto) -> StoredTensor:
        weights = self._weights(node.input[1]).transposed((1, 0))
        user, name = self._only_user(node.output[0]), node.output[0]
        if user is not None and user.op_type == "Add":
            other = next(other for other in user.input if other != name)
            constant = self._values.get(other)
            if isinstance(constant, Constant) and constant.values.ndim == 1:
                return self._fully_connected(
                    node.input[0], weights, constant.floats, user.output[0]
                )
        return self._fully_connected(node.input[0], weights, None, name)

    def _fully_connected(
        self, source: str, weights: Constant, bias: Any, name: str
    ) -> StoredTensor:
        layer = self._layer(source, weights, bias, name)
        x = self._last(layer.x, -1)
        shape = (*x.shape[:-1], len(weights.values))
        return self._run("FULLY_CONNECTED", layer._replace(x=x), shape, x.order, keepNumDims=True)

    # Quantisation.

    def _quantize(self, node: onnx.NodeProto) -> StoredTensor:
        x, scales = self._tensor(node.input[0]), self._scales(node)
        if scales.equals(x.scales):
            return x
        result = self._new(x.shape, x.order, scales)
        self._file.add_operator("QUANTIZE", [x.index], [result.index])
        return result

    def _dequantize(self, node: onnx.NodeProto) -> StoredTensor | Constant:
        value = self._values[node.input[0]]
        if isinstance(value, StoredTensor):
            return value  # an operator in float dequantises it
        scale = self._weights(node.input[1]).values.ravel().astype(np.float32)
        zeros = self._weights(node.input[2]).values if len(node.input) > 2 else np.zeros(1)
        if np.unique(zeros).size != 1:
            raise ValueError("one zero point for all channels is supported")
        axis = _attribute(node, "axis", 1) % max(value.values.ndim, 1)
        return Constant(value.values, Scales(scale, int(zeros.flat[0]), axis))

    # Elementwise operators.

    def _unary(self, node: onnx.NodeProto) -> StoredTensor:
        return self._emit(_UNARY[node.op_type], self._floats(node.input[0]))

    def _clip(self, node: onnx.NodeProto) -> StoredTensor:
        x = self._floats(node.input[0])
        limits = self._limits(node)
        if limits == (0.0, 6.0):
            return self._emit("RELU6", x)
        for operator, limit in zip(("MAXIMUM", "MINIMUM"), limits, strict=True):
            if limit is not None:
                x = self._emit(operator, x, self._file.add_constant(np.array(limit, np.float32)))
        return x

    def _pow(self, node: onnx.NodeProto) -> StoredTensor:
        x, exponent = self._floats(node.input[0]), self._weights(node.input[1]).values
        if exponent.size != 1 or exponent.item() != 2:
            raise ValueError("squares are supported")
        return self._emit("MUL", x, x.index)

    def _binary(self, node: onnx.NodeProto) -> StoredTensor:
        operator = _BINARY[node.op_type]
        constants = [isinstance(self._values[name], Constant) for name in node.input]
        if not any(constants):
            return self._of_two(operator, node)
        if all(constants):
            raise ValueError("both inputs are constant")
        x = self._floats(node.input[constants.index(False)])
        values = self._weights(node.input[constants.index(True)]).floats.astype(np.float32)
        if values.ndim > len(x.shape):
            raise ValueError("a constant with more axes than the other input")
        if values.ndim:
            padding = (1,) * (len(x.shape) - values.ndim)
            values = values.reshape(padding + values.shape).transpose(x.order)
        shape = np.broadcast_shapes(x.shape, self._shapes[node.output[0]])
        pair = [x.index, self._file.add_constant(values)]
        result = self._new(shape, x.order)
        self._file.add_operator(operator, pair[::-1] if constants[0] else pair, [result.index])
        return result

    def _of_two(self, operator: str, node: onnx.NodeProto) -> StoredTensor:
        """Two computed tensors; a sum in INT8 where inputs and result are quantised."""
        activation, last = self._activation(node.output[0])
        a, b = (self._tensor(name) for name in node.input)
        scales = None
        if operator == "ADD" and a.scales is not None and b.scales is not None:
            scales = self._quantized_to(last)
        if scales is None:
            a, b = (self._floats(name) for name in node.input)
        if len(a.shape) != len(b.shape):
            raise ValueError("inputs with different numbers of axes")
        b = self._ordered(b, a.order)
        result = self._new(np.broadcast_shapes(a.shape, b.shape), a.order, scales)
        self._file.add_operator(
            operator, [a.index, b.index], [result.index], fusedActivationFunction=activation
        )
        self._values[last] = result
        return result

    # Reductions and choices.

    def _softmax(self, node: onnx.NodeProto) -> StoredTensor:
        x = self._last(self._floats(node.input[0]), _attribute(node, "axis", -1))
        return self._emit("SOFTMAX", x, beta=1.0)

    def _reduce(self, node: onnx.NodeProto) -> StoredTensor:
        x = self._floats(node.input[0])
        axes = [axis % len(x.shape) for axis in self._numbers(node.input[1])]
        kept = bool(_attribute(node, "keepdims", 1))
        shape = self._shapes[node.output[0]]
        left = [axis for axis in x.order if kept or axis not in axes]
        order = [sorted(left).index(axis) for axis in left]
        result = self._new(shape, order)
        places = self._ints([x.order.index(axis) for axis in axes])
        operator = {"ReduceMean": "MEAN", "ReduceSum": "SUM"}[node.op_type]
        self._file.add_operator(operator, [x.index, places], [result.index], keepDims=kept)
        return result

    def _slice(self, node: onnx.NodeProto) -> StoredTensor:
        x = self._tensor(node.input[0])
        starts, ends, axes = (self._numbers(name) for name in node.input[1:4])
        if len(node.input) > 4 and set(self._numbers(node.input[4])) != {1}:
            raise ValueError("steps are not supported")
        chosen = {
            axis % len(x.shape): slice(start, end).indices(x.shape[axis])[:2]
            for start, end, axis in zip(starts, ends, axes, strict=True)
        }
        return self._sliced(x, chosen)

    def _gather(self, node: onnx.NodeProto) -> StoredTensor:
        x, index = self._tensor(node.input[0]), self._weights(node.input[1]).values
        if index.ndim:
            raise ValueError("a single index is supported")
        axis = _attribute(node, "axis", 0) % len(x.shape)
        first = int(index) % x.shape[axis]
        return self._reshaped(
            self._sliced(x, {axis: (first, first + 1)}), self._shapes[node.output[0]]
        )

    def _sliced(self, x: StoredTensor, chosen: dict[int, tuple[int, int]]) -> StoredTensor:
        """A part of a tensor: axis → first index, and the one after the last."""
        bounds = [chosen.get(axis, (0, size)) for axis, size in enumerate(x.shape)]
        first = [bounds[axis][0] for axis in x.order]
        sizes = [bounds[axis][1] - bounds[axis][0] for axis in x.order]
        shape = [end - begin for begin, end in bounds]
        return self._emit("SLICE", x, self._ints(first), self._ints(sizes), shape=shape)

    def _concat(self, node: onnx.NodeProto) -> StoredTensor:
        first, *others = (self._floats(name) for name in node.input)
        axis = _attribute(node, "axis", 0) % len(first.shape)
        more = [self._ordered(x, first.order).index for x in others]
        shape = self._shapes[node.output[0]]
        place = first.order.index(axis)
        return self._emit("CONCATENATION", first, *more, shape=shape, axis=place)

    # Operators that move values.

    def _transpose(self, node: onnx.NodeProto) -> StoredTensor | Constant:
        axes = _attribute(node, "perm")
        value = self._values[node.input[0]]
        return value.transposed(axes)

    def _reshape(self, node: onnx.NodeProto) -> StoredTensor:
        return self._reshaped(self._tensor(node.input[0]), self._shapes[node.output[0]])

    def _reshaped(self, x: StoredTensor, shape: Sequence[int]) -> StoredTensor:
        order = order_after_reshape(x, shape)
        if order is None:
            x, order = self._ordered(x), list(canonical(shape))
        stored = [shape[axis] for axis in order]
        if stored == list(x.stored_shape):
            return replace(x, shape=tuple(shape), order=tuple(order))
        result = self._new(shape, order, x.scales)
        self._file.add_operator(
            "RESHAPE", [x.index, self._ints(stored)], [result.index], newShape=stored
        )
        return result

    def _depth_to_space(self, node: onnx.NodeProto) -> StoredTensor:
        x, block = self._tensor(node.input[0]), _attribute(node, "blocksize")
        batch, channels, height, width = x.shape
        split = [block, block, channels // block**2]
        axes = (0, 3, 4, 1, 5, 2)
        if _attribute(node, "mode", b"DCR") == b"CRD":
            split, axes = split[::-1], (0, 1, 4, 2, 5, 3)
        x = self._reshaped(x, (batch, *split, height, width)).transposed(axes)
        return self._reshaped(x, self._shapes[node.output[0]])

    def _pad(self, node: onnx.NodeProto) -> StoredTensor:
        pads = self._numbers(node.input[1])
        value = self._weights(node.input[2]).values if len(node.input) > 2 else np.float32(0)
        if _attribute(node, "mode", b"constant") != b"constant" or value.item() != 0:
            raise ValueError("padding with zeros is supported")
        x, half = self._tensor(node.input[0]), len(pads) // 2
        return self._padded(x, pads[:half], pads[half:])

    def _padded(self, x: StoredTensor, before: Sequence[int], after: Sequence[int]) -> StoredTensor:
        if not any((*before, *after)):
            return x
        shape = np.add(np.add(x.shape, before), after).tolist()
        pairs = [(before[axis], after[axis]) for axis in x.order]
        return self._emit("PAD", x, self._ints(pairs), shape=shape)

    def _resize(self, node: onnx.NodeProto) -> StoredTensor:
        x, shape = self._tensor(node.input[0]), self._shapes[node.output[0]]
        whole = all(size % before == 0 for size, before in zip(shape, x.shape, strict=True))
        if _attribute(node, "mode", b"nearest") != b"nearest" or not whole:
            raise ValueError("nearest neighbours at a whole factor are supported")
        x = self._ordered(x, _CHANNELS_LAST)
        return self._emit("RESIZE_NEAREST_NEIGHBOR", x, self._ints(shape[2:]), shape=shape)


def _attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    return (
        get_node_attr_value(node, name) if any(a.name == name for a in node.attribute) else default
    )
