"""Whether an INT8 model can overflow the 16-bit sums of processors without VNNI.

On x86 without VNNI, ONNX Runtime and OpenVINO multiply u8 activations by s8 weights with
`vpmaddubsw`, which adds two neighbouring products and saturates the sum at 16 bits (Intel's
Intrinsics Guide, `_mm256_maddubs_epi16`). Activations reach 255, so two weights of a channel that
are neighbours must not add up to more than 128. Which weights are neighbours depends on the
memory layout of a kernel; the bound here takes the two largest weights of each channel, and thus
holds for all layouts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from evface_edge.errors import ExportError

MAX_ACTIVATION = 255
#: The largest sum of two products that 16 bits hold.
MAX_PAIR_SUM = 2**15 - 1
#: Operators that move the values of their first input, and change none.
_SHAPE_ONLY = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class PairSum:
    """The largest sum of two products that a layer can compute.

    Attributes:
        layer: its name in the network, or that of its node where no bias carries it.
        channel: the output channel with that sum.
        value: magnitude of the sum; it must not be above `MAX_PAIR_SUM`.
    """

    layer: str
    channel: int
    value: int


def pair_sums(model: bytes) -> list[PairSum]:
    """The worst case of each layer of a Q/DQ model with u8 activations and s8 weights.

    Layers whose activations are s8 (TensorRT) are left out: TensorRT adds in 32 bits.
    """
    graph = _Graph(onnx.load_from_string(model).graph)
    sums = []
    for node in graph.nodes:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weight = graph.int8_weight(node.input[1])
        if weight is None or graph.quantised_type(node.input[0]) != np.uint8:
            continue
        per_channel = _largest_pairs(_by_channel(node, weight))
        channel = int(per_channel.argmax())
        sums.append(PairSum(_layer(node), channel, MAX_ACTIVATION * int(per_channel[channel])))
    return sums


def check_saturation(model: bytes) -> None:
    """Raises ExportError if a layer of the model can saturate on a processor without VNNI."""
    worst = max(pair_sums(model), key=lambda pair: pair.value, default=None)
    if worst is not None and worst.value > MAX_PAIR_SUM:
        raise ExportError(
            f"{worst.layer}, channel {worst.channel}: two products add up to {worst.value}, above "
            f"{MAX_PAIR_SUM}, which saturates on processors without VNNI",
            field=worst.layer,
            value=worst.value,
            expected=f"at most {MAX_PAIR_SUM}",
            fix="quantise the weights to 7 bits (-64 to 64)",
        )


class _Graph:
    """The nodes of a graph, and where each tensor comes from."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = graph.node
        self._constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self._producers = {name: node for node in graph.node for name in node.output}

    def quantised_type(self, tensor: str) -> np.dtype[Any] | None:
        """The integer type that a tensor was dequantised from; None for a float tensor."""
        node = self._producers.get(tensor)
        if node is None:
            return None
        if node.op_type in _SHAPE_ONLY:
            return self.quantised_type(node.input[0])
        if node.op_type != "DequantizeLinear":
            return None
        if len(node.input) < 3 or not node.input[2]:
            return np.dtype(np.uint8)  # the default of QuantizeLinear
        return self._constants[node.input[2]].dtype

    def int8_weight(self, tensor: str) -> NDArray[np.int8] | None:
        """A dequantised s8 constant, with its axes in the order in which a layer gets them."""
        node = self._producers.get(tensor)
        if node is None:
            return None
        if node.op_type == "Transpose":
            values = self.int8_weight(node.input[0])
            axes = onnx.helper.get_node_attr_value(node, "perm")
            return None if values is None else values.transpose(axes)
        constant = self._constants.get(node.input[0])
        if node.op_type != "DequantizeLinear" or constant is None or constant.dtype != np.int8:
            return None
        return constant


def _layer(node: onnx.NodeProto) -> str:
    """Such as "backbone.1.second": the exporter keeps that name for biases alone."""
    bias = node.input[2] if len(node.input) > 2 else node.name
    return bias.removesuffix("_bias").removesuffix(".bias").removesuffix(".weight")


def _by_channel(node: onnx.NodeProto, weight: NDArray[np.int8]) -> NDArray[np.int64]:
    """The weights of a layer as (output channels, products that are added up)."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    if node.op_type != "Conv" and not transposed:
        weight = np.moveaxis(weight, -1, 0)
    return weight.reshape(len(weight), -1).astype(np.int64)


def _largest_pairs(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest magnitude of a sum of one or two weights of each row."""
    ordered = np.sort(np.pad(weights, ((0, 0), (0, 2))), axis=1)  # the zeros: one weight alone
    sums: NDArray[np.int64] = np.maximum(ordered[:, -2:].sum(1), -ordered[:, :2].sum(1))
    return sums
