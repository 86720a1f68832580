"""A student from one of our float32 ONNX models, to fine-tune a bundled model without a checkpoint.

An export folds each BatchNorm into the convolution before it. Here it is restored: its statistics
are measured on some clips, and its scale and shift are set to undo them. The student has the same
outputs as the model.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evface_edge.errors import ModelError, RuntimeUnavailable
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig


def student_from_onnx(path: Path, config: StudentConfig, clips: Tensor) -> Student:
    """The student in an ONNX model, in training mode.

    Args:
        config: of the exported student.
        clips: (N, in_channels, side, side) inputs to measure the statistics with; some dozens.

    Raises:
        ModelError: not a student of this size.
        RuntimeUnavailable: the package onnx is not installed.
    """
    student = Student(config).eval()
    weights, folded, gain = _read(path)
    norms = _norms(student, clips[:1])
    own = dict(student.named_parameters())
    expected = {name for name in own if name.rpartition(".")[0] not in norms.values()}
    common = expected & weights.keys()
    for problem, names in (
        ("missing", expected - weights.keys()),
        ("unexpected", weights.keys() - expected),
        ("of another shape", {n for n in common if own[n].shape != weights[n].shape}),
        ("without a folded BatchNorm", norms.keys() - folded.keys()),
    ):
        if names:
            some = ", ".join(sorted(names)[:3])
            raise ModelError(
                f"does not fit the recipe's student: weights {problem}: {some}",
                path=path,
                field=problem,
                value=sorted(names),
            )
    with torch.no_grad():
        for name in expected:
            own[name].copy_(weights[name])
        student.head.sigma_gain.fill_(gain)
        _unfold(student, {norms[name]: shift for name, shift in folded.items()}, clips)
    return student.train()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    """Weights by name; folded biases by the name of their convolution; the gain of σ."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise RuntimeUnavailable(
            "reading weights from ONNX needs onnx",
            path=path,
            fix="pip install 'evface-edge[export]'",
        ) from error
    graph = onnx.load(str(path)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    weights = {
        name: torch.from_numpy(value.copy())
        for name, value in constants.items()
        if name.endswith((".weight", ".bias"))
    }
    folded, gain = {}, 1.0
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and not node.input[2].endswith(".bias"):
            name = node.input[1].removesuffix(".weight")
            folded[name] = torch.from_numpy(constants[node.input[2]].copy())
        elif node.op_type == "Add":
            added = [name for name in node.input if name in constants]
            if node.output[0] == "log_sigma" and added:
                gain = float(np.exp(constants[added[0]]))
            for bias in (name for name in added if name.endswith(".bias")):
                # A linear layer: the exporter has transposed and renamed its weights.
                other = next(name for name in node.input if name != bias)
                product = made_by[other]
                if product.op_type == "MatMul" and product.input[1] in constants:
                    transposed = np.ascontiguousarray(constants[product.input[1]].T)
                    weights[bias.removesuffix(".bias") + ".weight"] = torch.from_numpy(transposed)
    return weights, folded, gain


def _norms(student: Student, clip: Tensor) -> dict[str, str]:
    """Name of each convolution before a BatchNorm → name of that BatchNorm."""
    made_by: dict[int, str] = {}
    norms: dict[str, str] = {}
    kept: list[Tensor] = []  # keeps the addresses of all tensors different

    def after_convolution(name: str) -> Any:
        def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            kept.append(output)
            made_by[id(output)] = name

        return hook

    def before_norm(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            norms[made_by[id(inputs[0])]] = name

        return hook

    with ExitStack() as hooks, torch.no_grad():
        for name, module in student.named_modules():
            if isinstance(module, nn.Conv2d):
                hooks.enter_context(module.register_forward_hook(after_convolution(name)))
            elif isinstance(module, nn.BatchNorm2d):
                hooks.enter_context(module.register_forward_pre_hook(before_norm(name)))
        student(clip)
    return norms


def _unfold(student: Student, shifts: dict[str, Tensor], clips: Tensor) -> None:
    """Give every BatchNorm the statistics of `clips` and weights with which it adds its shift."""
    measured: dict[str, list[Tensor]] = {name: [] for name in shifts}
    norms = {name: student.get_submodule(name) for name in shifts}
    for name, norm in norms.items():
        assert isinstance(norm, nn.BatchNorm2d)
        _set(norm, torch.zeros_like(shifts[name]), torch.ones_like(shifts[name]), shifts[name])

    def measure(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].double()
            measured[name].append(
                torch.stack([values.mean((0, 2, 3)), (values**2).mean((0, 2, 3))])
            )

        return hook

    with ExitStack() as hooks:
        for name, norm in norms.items():
            hooks.enter_context(norm.register_forward_pre_hook(measure(name)))
        parts = torch.split(clips, 32)
        for part in parts:
            student(part.float())
    fraction = torch.tensor([len(part) / len(clips) for part in parts], dtype=torch.float64)
    for name, norm in norms.items():
        assert isinstance(norm, nn.BatchNorm2d)
        mean, square = (torch.stack(measured[name]) * fraction[:, None, None]).sum(0)
        _set(norm, mean.float(), (square - mean**2).clamp_min(0).float(), shifts[name])


def _set(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, shift: Tensor) -> None:
    """Set the statistics, and the weights with which the norm maps x to x + shift."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean + shift)
