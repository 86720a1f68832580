"""A float32 ONNX model of ours as a student again: what ships has no checkpoint to train on from.

An export folds BatchNorm into the convolutions before it. Here it is unfolded: each one is given
the mean and the variance that its channels have on some clips, and the scale and the shift that
undo them. The student answers as the model does, and has all that training goes on from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evface_edge.errors import ModelError, RuntimeUnavailable
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig


def exported_student(path: Path, config: StudentConfig, clips: Tensor) -> Student:
    """The student in an ONNX model, in training mode.

    Args:
        config: of the student that was exported.
        clips: (N, in_channels, side, side) inputs to measure means and variances with; some dozens.

    Raises:
        ModelError: no float32 model of a student, or of a student of another size.
        RuntimeUnavailable: the package onnx is not installed.
    """
    student = Student(config).eval()
    weights, folded, gain = _read(path)
    norms = _norms(student, clips[:1])
    own = dict(student.named_parameters())
    wanted = {name for name in own if name.rpartition(".")[0] not in norms.values()}
    for problem, names in (
        ("lacks", wanted - weights.keys()),
        ("has, and the recipe's student has not,", weights.keys() - wanted),
        (
            "has in another shape",
            {n for n in wanted & weights.keys() if own[n].shape != weights[n].shape},
        ),
        ("has no bias of BatchNorm for", norms.keys() - folded.keys()),
    ):
        if names:
            some = ", ".join(sorted(names)[:3])
            raise ModelError(f"{path}: does not fit the recipe's student: it {problem} {some}")
    with torch.no_grad():
        for name in wanted:
            own[name].copy_(weights[name])
        student.head.sigma_gain.fill_(gain)
        _unfold(student, {norms[name]: shift for name, shift in folded.items()}, clips)
    return student.train()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    """Weights by name; biases that were folded into a convolution, by its name; the gain of σ."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise RuntimeUnavailable(
            f"{path}: reading weights from ONNX needs onnx: pip install 'evface-edge[export]'"
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
            given = [name for name in node.input if name in constants]
            if node.output[0] == "log_sigma" and given:
                gain = float(np.exp(constants[given[0]]))
            for bias in (name for name in given if name.endswith(".bias")):
                # A linear layer, whose weights the tracer has turned and renamed.
                other = next(name for name in node.input if name != bias)
                product = made_by[other]
                if product.op_type == "MatMul" and product.input[1] in constants:
                    turned = np.ascontiguousarray(constants[product.input[1]].T)
                    weights[bias.removesuffix(".bias") + ".weight"] = torch.from_numpy(turned)
    return weights, folded, gain


def _norms(student: Student, clip: Tensor) -> dict[str, str]:
    """Name of each convolution that BatchNorm follows → name of that BatchNorm."""
    last: dict[int, str] = {}
    found: dict[str, str] = {}
    kept: list[Tensor] = []  # so that no two tensors fraction an address

    def seen(name: str) -> Any:
        def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            kept.append(output)
            last[id(output)] = name

        return hook

    def follows(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found[last[id(inputs[0])]] = name

        return hook

    with _hooks() as hooks, torch.no_grad():
        for name, module in student.named_modules():
            if isinstance(module, nn.Conv2d):
                hooks.append(module.register_forward_hook(seen(name)))
            elif isinstance(module, nn.BatchNorm2d):
                hooks.append(module.register_forward_pre_hook(follows(name)))
        student(clip)
    return found


def _unfold(student: Student, shifts: dict[str, Tensor], clips: Tensor) -> None:
    """Give every BatchNorm the statistics of `clips`, and let it add its shift all the same."""
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

    with _hooks() as hooks:
        hooks += [norm.register_forward_pre_hook(measure(n)) for n, norm in norms.items()]
        parts = torch.split(clips, 32)
        for part in parts:
            student(part.float())
    fraction = torch.tensor([len(part) / len(clips) for part in parts], dtype=torch.float64)
    for name, norm in norms.items():
        assert isinstance(norm, nn.BatchNorm2d)
        mean, square = (torch.stack(measured[name]) * fraction[:, None, None]).sum(0)
        _set(norm, mean.float(), (square - mean**2).clamp_min(0).float(), shifts[name])


def _set(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, shift: Tensor) -> None:
    """Statistics, and the scale and the shift with which x becomes x + shift."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean + shift)


@contextmanager
def _hooks() -> Iterator[list[Any]]:
    """A list whose hooks are removed at the end."""
    hooks: list[Any] = []
    try:
        yield hooks
    finally:
        for hook in hooks:
            hook.remove()
