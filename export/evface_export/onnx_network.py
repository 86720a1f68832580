"""Rebuild the torch network of one of our float32 ONNX models, so that it can be exported again.

These models are plain feed-forward graphs with BatchNorm folded. The network gives the same
numbers, and can be quantised, trained and traced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, fx, nn

from evface_edge.errors import ModelError
from evface_export.onnx_operators import OPERATORS, TAKES_CONSTANTS

_EXPORT_OURS = "export the checkpoint, or a model that `export -t onnx-fp32` wrote"


class PlainNetwork(nn.Module):
    """Input (N, C, H, W) → `backbone` → one feature map → `head` → the model's outputs."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.head(self.backbone(x))
        return outputs


def from_onnx(model: bytes, *, path: Path | None = None) -> PlainNetwork:
    """The network of a float model; the backbone ends where `last_common_tensor` says.

    Args:
        path: the file of the model, for errors.

    Raises:
        ModelError: not an ONNX model, more than one input, an unknown operator, or no feature map
            between backbone and head.
    """
    try:
        graph = onnx.load_from_string(model).graph
    except Exception as error:  # a class of protobuf, which depends on the version
        raise ModelError(f"not an ONNX model ({error})", path=path) from error
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            f"{len(inputs)} inputs, expected one",
            path=path,
            field="inputs",
            value=tuple(inputs),
            expected="one",
            fix=_EXPORT_OURS,
        )
    outputs = [value.name for value in graph.output]
    features = last_common_tensor(graph)
    if features == inputs[0]:
        raise ModelError(
            "there is no feature map that all outputs come from",
            path=path,
            field="backbone",
            fix=_EXPORT_OURS,
        )
    before = ancestors(graph, features)
    nodes = _with_linear_layers(graph.node, constants)
    backbone = _build(
        [node for node in nodes if before.issuperset(node.output)],
        inputs[0],
        [features],
        constants,
        path,
    )
    head = _build(
        [node for node in nodes if not before.issuperset(node.output)],
        features,
        outputs,
        constants,
        path,
    )
    return PlainNetwork(_Part(backbone), _Part(head)).eval()


class _Part(nn.Module):
    """Wraps a graph: torch.export records the names of modules, but not of `fx.GraphModule`."""

    def __init__(self, rebuilt: fx.GraphModule) -> None:
        super().__init__()
        self.rebuilt = rebuilt

    def forward(self, x: Tensor) -> Any:
        return self.rebuilt(x)


def last_common_tensor(graph: onnx.GraphProto) -> str:
    """The last tensor on every path from the input to any output.

    In a network with a backbone and a head, that is the output of the backbone.
    """
    constants = {tensor.name for tensor in graph.initializer}
    passed: dict[str, dict[str, None]] = {  # tensor → what dominates it, in order
        value.name: {value.name: None} for value in graph.input if value.name not in constants
    }
    for node in graph.node:
        sources = [passed[name] for name in node.input if name in passed]
        if sources:
            common = _common(sources)
            for name in node.output:
                passed[name] = common | {name: None}
    return list(_common([passed[value.name] for value in graph.output]))[-1]


def ancestors(graph: onnx.GraphProto, tensor: str) -> set[str]:
    """The outputs of all nodes that `tensor` depends on, itself included."""
    found = {tensor}
    for node in reversed(graph.node):
        if found.intersection(node.output):
            found.update(node.input)
    return found & {name for node in graph.node for name in node.output}


def _common(sets: list[dict[str, None]]) -> dict[str, None]:
    first, *others = sets
    return {name: None for name in first if all(name in other for other in others)}


def _with_linear_layers(
    nodes: Iterable[onnx.NodeProto], constants: dict[str, NDArray[Any]]
) -> list[onnx.NodeProto]:
    """The nodes, with each MatMul and the Add of its bias replaced by one Gemm.

    Its weights, which the exporter transposed and renamed, get their old name in `constants`.
    """
    joined = list(nodes)
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in joined:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for product in [node for node in joined if node.op_type == "MatMul"]:
        adds = users.get(product.output[0], [])
        weight = constants.get(product.input[1])
        if weight is None or weight.ndim != 2 or [node.op_type for node in adds] != ["Add"]:
            continue
        biases = [name for name in adds[0].input if name.endswith(".bias")]
        if len(biases) == 1 and constants[biases[0]].shape == weight.shape[1:]:
            name = f"{biases[0].removesuffix('.bias')}.weight"
            constants[name] = np.ascontiguousarray(weight.T)
            joined[joined.index(adds[0])] = onnx.helper.make_node(
                "Gemm", [product.input[0], name, biases[0]], adds[0].output, transB=1
            )
            joined.remove(product)
    return joined


def _build(
    nodes: Iterable[onnx.NodeProto],
    entry: str,
    results: list[str],
    constants: Mapping[str, NDArray[Any]],
    path: Path | None,
) -> fx.GraphModule:
    """The nodes as a module with one input, and one output or a tuple."""
    root, graph = nn.Module(), fx.Graph()
    tracer = fx.proxy.GraphAppendingTracer(graph)
    values: dict[str, Any] = {entry: fx.Proxy(graph.placeholder("x"), tracer)}

    def tensor(name: str) -> Any:
        """A value of the graph, or a constant that has become a parameter."""
        if name not in values:
            target = _register(root, name, torch.from_numpy(constants[name].copy()))
            values[name] = fx.Proxy(graph.create_node("get_attr", target), tracer)
        return values[name]

    for node in nodes:
        operator = OPERATORS.get(node.op_type)
        if operator is None:
            raise ModelError(
                f"the operator {node.op_type} is in none of our float32 models",
                path=path,
                field="operator",
                value=node.op_type,
                fix=_EXPORT_OURS,
            )
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        first, *rest = node.input  # an optional input that is left out is called ""
        try:
            if operator in TAKES_CONSTANTS:
                arguments = [tensor(first), *(constants[n] if n else None for n in rest)]
            else:
                arguments = [tensor(name) if name else None for name in node.input]
            values[node.output[0]] = operator(attributes, *arguments)
        except KeyError as error:
            raise ModelError(
                f"{node.op_type} {node.name} is in none of our float32 models ({error.args[0]})",
                path=path,
                field="operator",
                value=node.op_type,
                fix=_EXPORT_OURS,
            ) from None
    outputs = tuple(values[name].node for name in results)
    graph.output(outputs[0] if len(outputs) == 1 else outputs)
    return fx.GraphModule(root, graph)


def _register(root: nn.Module, name: str, value: Tensor) -> str:
    """Store `value` in `root` under its ONNX name, and return its path."""
    *folders, leaf = name.removeprefix("backbone.").removeprefix("head.").split(".")
    module = root
    for folder in folders:
        if not hasattr(module, folder):
            module.add_module(folder, nn.Module())
        module = getattr(module, folder)
    if value.is_floating_point():
        module.register_parameter(leaf, nn.Parameter(value))
    else:
        module.register_buffer(leaf, value)
    return ".".join([*folders, leaf])
