"""Float16 for the float operators of a quantised ONNX model, up to its decode.

A strongly typed network runs every operator in the types of the file. With `DequantizeLinear` to
float32, everything that is not fused into an integer kernel would run in float32, such as the
matrix products of the head. The decode stays in float32 on purpose: an expectation over
coordinates in float16 would move landmarks by a tenth of a pixel.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from evface_runtimes.onnxruntime_runtime import DISABLED_OPTIMIZERS_KEY

#: The first operator of the decode; from here on, everything is float32.
_DECODE = frozenset({"Softmax"})
_SMALLEST = np.float16(2**-24)


def halve_floats(model: bytes) -> bytes:
    """A quantised ONNX model with float16 between its Q/DQ pairs, up to the decode.

    Inputs and outputs keep their types. An operator with inputs of both float types uses float32.
    """
    loaded = onnx.load_from_string(model)
    types = _Types(loaded)
    nodes = [typed for node in loaded.graph.node for typed in types.typed(node)]
    nodes += types.outputs_in_float32(nodes)
    del loaded.graph.node[:], loaded.graph.initializer[:]
    loaded.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    loaded.graph.initializer.extend(
        tensor for name, tensor in types.weights.items() if name in used
    )
    onnx.checker.check_model(loaded, full_check=True)
    loaded.metadata_props.add(key=DISABLED_OPTIMIZERS_KEY, value="WeightBiasQuantization")
    return bytes(loaded.SerializeToString())


class _Types:
    """The types of tensors, while the operators are converted in order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._outputs = [value.name for value in model.graph.output]
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self._single = {
            value.name
            for value in (*inferred.input, *inferred.value_info, *inferred.output)
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        } - self.weights.keys()
        self._half: set[str] = set()
        self._cast: set[str] = set()

    def typed(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The casts that the operator needs, and the operator in its new types."""
        if node.op_type == "DequantizeLinear":
            node.input[1] = self._halved(node.input[1])
            self._become_half(node.output)
            return [node]
        half = [name for name in node.input if name in self._half]
        if not half:
            return [node]
        if node.op_type in _DECODE or any(name in self._single for name in node.input):
            _rename(node.input, {name: f"{name}_single" for name in half})
            casts = [name for name in half if name not in self._cast]
            self._cast.update(casts)
            return [*(_to_single(name, f"{name}_single") for name in casts), node]
        _rename(
            node.input,
            {
                name: self._halved(name)
                for name in node.input
                if name in self.weights and self.weights[name].data_type == TensorProto.FLOAT
            },
        )
        self._become_half(node.output)
        return [node]

    def outputs_in_float32(self, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Casts for the outputs of the model that have become float16."""
        new = {name: f"{name}_half" for name in self._outputs if name in self._half}
        for node in nodes:
            _rename(node.input, new)
            _rename(node.output, new)
        return [_to_single(inner, name) for name, inner in new.items()]

    def _become_half(self, names: list[str]) -> None:
        """Of float tensors; the output of QuantizeLinear stays an integer."""
        self._half.update(name for name in names if name in self._single)
        self._single.difference_update(names)

    def _halved(self, name: str) -> str:
        """The name of the float16 copy of a weight."""
        new = f"{name}_half"
        if new not in self.weights:
            values = numpy_helper.to_array(self.weights[name])
            halved = values.astype(np.float16)
            # A scale must not become 0; that of a channel of zeros is tiny.
            halved[(values > 0) & (halved == 0)] = _SMALLEST
            self.weights[new] = numpy_helper.from_array(halved, new)
        return new


def _to_single(name: str, single: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [single], to=TensorProto.FLOAT)


def _rename(names: list[str], new: dict[str, str]) -> None:
    for index, name in enumerate(names):
        names[index] = new.get(name, name)
