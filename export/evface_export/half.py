"""Float16 around INT8: what a quantised ONNX model computes in float, up to its decode.

A strongly typed network runs every operator in the types that stand in the file. With a
`DequantizeLinear` to float32, whatever is not fused into an integer kernel, and the matrix products
of the head, would run in float32. The decode does so on purpose: an expectation over coordinates
in float16 would move landmarks by a tenth of a pixel.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from evface_runtimes.onnxruntime_runtime import DISABLED_OPTIMIZERS_KEY

#: Where the decode begins: from here on, everything is float32.
_DECODE = frozenset({"Softmax"})
_SMALLEST = np.float16(2**-24)


def halve_floats(model: bytes) -> bytes:
    """A quantised ONNX model that computes in float16 between its Q/DQ pairs and up to the decode.

    Inputs and outputs keep their types. An operator that meets both float types takes float32.
    """
    loaded = onnx.load_from_string(model)
    walk = _Walk(loaded)
    nodes = [typed for node in loaded.graph.node for typed in walk.typed(node)]
    nodes += walk.outputs_in_float32(nodes)
    del loaded.graph.node[:], loaded.graph.initializer[:]
    loaded.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    loaded.graph.initializer.extend(tensor for name, tensor in walk.weights.items() if name in used)
    onnx.checker.check_model(loaded, full_check=True)
    loaded.metadata_props.add(key=DISABLED_OPTIMIZERS_KEY, value="WeightBiasQuantization")
    return bytes(loaded.SerializeToString())


class _Walk:
    """Goes through the operators in their order, and knows which tensors have become float16."""

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
        """The operator in its new types, after the casts that it needs."""
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
        """Casts behind the outputs of the model that have become float16."""
        new = {name: f"{name}_half" for name in self._outputs if name in self._half}
        for node in nodes:
            _rename(node.input, new)
            _rename(node.output, new)
        return [_to_single(inner, name) for name, inner in new.items()]

    def _become_half(self, names: list[str]) -> None:
        """Float tensors alone: the output of QuantizeLinear stays an integer."""
        self._half.update(name for name in names if name in self._single)
        self._single.difference_update(names)

    def _halved(self, name: str) -> str:
        """The name of the float16 copy of a weight."""
        new = f"{name}_half"
        if new not in self.weights:
            values = numpy_helper.to_array(self.weights[name])
            halved = values.astype(np.float16)
            # A scale must not vanish: a channel without weights has the smallest there is.
            halved[(values > 0) & (halved == 0)] = _SMALLEST
            self.weights[new] = numpy_helper.from_array(halved, new)
        return new


def _to_single(name: str, single: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [single], to=TensorProto.FLOAT)


def _rename(names: list[str], new: dict[str, str]) -> None:
    for index, name in enumerate(names):
        names[index] = new.get(name, name)
