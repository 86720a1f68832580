"""The operators of our float ONNX models, as functions of torch.

Source: the operator reference of ONNX, opset 20. A function raises KeyError with the name of an
attribute or input that it does not support.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Attributes = Mapping[str, Any]


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    spatial = len(attributes["kernel_shape"])
    pads = attributes.get("pads", [0] * 2 * spatial)
    if list(pads[:spatial]) != list(pads[spatial:]):
        x = F.pad(x, _torch_pads(pads))
        pads = [0] * 2 * spatial
    return F.conv2d(
        x,
        weight,
        bias,
        attributes.get("strides", [1] * spatial),
        pads[:spatial],
        attributes.get("dilations", [1] * spatial),
        attributes.get("group", 1),
    )


def _torch_pads(pads: list[int]) -> list[int]:
    """ONNX order: all starts, then all ends; torch: start and end, last dimension first."""
    half = len(pads) // 2
    return [pad for axis in reversed(range(half)) for pad in (pads[axis], pads[axis + half])]


def _pool(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def pool(attributes: Attributes, x: Tensor) -> Tensor:
        kernel = attributes["kernel_shape"]
        strides = attributes.get("strides", [1] * len(kernel))
        pads = attributes.get("pads", [0] * 2 * len(kernel))
        return function(x, kernel, strides, pads[: len(kernel)])

    return pool


def _gemm(attributes: Attributes, a: Tensor, b: Tensor, c: Any = None) -> Tensor:
    plain = all(attributes.get(name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if plain and attributes.get("transB") and not attributes.get("transA"):
        return F.linear(a, b, c)  # a linear layer, so that it is quantised
    a = a.mT if attributes.get("transA") else a
    b = b.mT if attributes.get("transB") else b
    product: Tensor = attributes.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _clip(attributes: Attributes, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    limits = [None if limit is None else float(limit) for limit in (low, high)]
    return torch.clamp(x, *limits)


def _reduce(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(attributes: Attributes, x: Tensor, axes: NDArray[np.int64]) -> Tensor:
        kept = bool(attributes.get("keepdims", 1))
        return function(x, [int(axis) for axis in axes], keepdim=kept)

    return reduce


def _reshape(attributes: Attributes, x: Tensor, shape: NDArray[np.int64]) -> Tensor:
    return x.reshape([int(size) for size in shape])


def _slice(attributes: Attributes, x: Tensor, *settings: NDArray[np.int64] | None) -> Tensor:
    starts, ends, axes, steps = (*settings, None, None)[:4]
    if starts is None or ends is None:
        raise KeyError("starts, ends")
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = index if axes is None else int(axes[index])
        step = 1 if steps is None else int(steps[index])
        if step < 1:
            raise KeyError("a negative step")
        x = x[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)]
    return x


def _squeeze(attributes: Attributes, x: Tensor, axes: NDArray[np.int64]) -> Tensor:
    return x.squeeze([int(axis) for axis in axes])


def _unsqueeze(attributes: Attributes, x: Tensor, axes: NDArray[np.int64]) -> Tensor:
    for axis in sorted(int(axis) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _gather(attributes: Attributes, x: Tensor, indices: NDArray[np.int64]) -> Tensor:
    axis = attributes.get("axis", 0)
    if indices.ndim == 0:
        return x.select(axis, int(indices))
    return x[(slice(None),) * (axis % x.ndim) + (indices.tolist(),)]


def _resize(attributes: Attributes, x: Tensor, *settings: NDArray[Any] | None) -> Tensor:
    _, scales, sizes = (*settings, None, None, None)[:3]
    mode = {b"nearest": "nearest", b"linear": "bilinear"}.get(attributes.get("mode", b"nearest"))
    coordinates = attributes.get("coordinate_transformation_mode", b"half_pixel")
    if mode is None or coordinates not in (b"half_pixel", b"pytorch_half_pixel", b"asymmetric"):
        raise KeyError(f"mode {attributes.get('mode')}, {coordinates}")
    aligned = None if mode == "nearest" else False
    if sizes is not None:
        return F.interpolate(x, [int(n) for n in sizes[-2:]], mode=mode, align_corners=aligned)
    if scales is None:
        raise KeyError("scales")
    factors = [float(scale) for scale in scales[-2:]]
    return F.interpolate(x, scale_factor=factors, mode=mode, align_corners=aligned)


def _space_to_depth(attributes: Attributes, x: Tensor) -> Tensor:
    # In ONNX, the place within a block comes before the channel, in torch after it.
    block = attributes["blocksize"]
    moved = F.pixel_unshuffle(x, block)
    height, width = moved.shape[2:]
    channels = x.shape[1]
    moved = moved.reshape(-1, channels, block * block, height, width)
    return moved.transpose(1, 2).reshape(-1, channels * block * block, height, width)


def _depth_to_space(attributes: Attributes, x: Tensor) -> Tensor:
    block = attributes["blocksize"]
    if attributes.get("mode", b"DCR") == b"DCR":  # the place within a block before the channel
        channels, height, width = x.shape[1:]
        x = x.reshape(-1, block * block, channels // (block * block), height, width)
        x = x.transpose(1, 2).reshape(-1, channels, height, width)
    return F.pixel_shuffle(x, block)


#: Operator → its function of (attributes, inputs …).
OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": lambda _, a, b: a + b,
    "AveragePool": _pool(F.avg_pool2d),
    "Clip": _clip,
    "Concat": lambda attributes, *tensors: torch.cat(tensors, attributes["axis"]),
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Div": lambda _, a, b: a / b,
    "Exp": lambda _, x: torch.exp(x),
    "Flatten": lambda attributes, x: torch.flatten(x, attributes.get("axis", 1)),
    "Gemm": _gemm,
    "Gather": _gather,
    "Identity": lambda _, x: x,
    "Log": lambda _, x: torch.log(x),
    "MatMul": lambda _, a, b: a @ b,
    "MaxPool": _pool(F.max_pool2d),
    "Mul": lambda _, a, b: a * b,
    "Pow": lambda _, x, exponent: x ** float(exponent),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Relu": lambda _, x: F.relu(x),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda _, x: torch.sigmoid(x),
    "Slice": _slice,
    "Softmax": lambda attributes, x: torch.softmax(x, attributes.get("axis", -1)),
    "SpaceToDepth": _space_to_depth,
    "Sqrt": lambda _, x: torch.sqrt(x),
    "Squeeze": _squeeze,
    "Sub": lambda _, a, b: a - b,
    "Transpose": lambda attributes, x: x.permute(attributes["perm"]),
    "Unsqueeze": _unsqueeze,
}
#: Operators whose inputs after the first are settings, not tensors.
TAKES_CONSTANTS = [
    OPERATORS[name]
    for name in (
        "Clip",
        "Gather",
        "Pow",
        "ReduceMean",
        "ReduceSum",
        "Reshape",
        "Resize",
        "Slice",
        "Squeeze",
        "Unsqueeze",
    )
]
