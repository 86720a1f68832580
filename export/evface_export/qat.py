"""A short training with INT8 rounding, for networks that lose accuracy by calibration alone.

The float network is the teacher, so no labels are needed: the weights move until the rounded
network gives the same outputs (quantisation-aware training, Jacob et al., CVPR 2018; with
distillation, Mishra and Marr, ICLR 2018). The ranges of activations stay those of calibration.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchao.quantization.pt2e import (
    FakeQuantize,
    HistogramObserver,
    MovingAveragePerChannelMinMaxObserver,
    disable_fake_quant,
    disable_observer,
    enable_fake_quant,
    enable_observer,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

from evface_export.quantize import (
    ACTIVATIONS,
    WEIGHTS,
    PartQuantizer,
    Scheme,
    of_head,
    plain_path,
    trace,
)
from evface_export.rounding import calibrate_and_round

BATCH = 32
#: Learning rate relative to the median weight of a tensor; medians differ by decades.
RELATIVE_RATE = 1e-3


def quantize_with_training(
    network: nn.Module,
    example: Tensor,
    calibration: Sequence[Tensor],
    *,
    steps: int,
    part: str = "backbone",
    scheme: Scheme = "u8",
    seed: int = 0,
) -> nn.Module:
    """As `quantize`, then `steps` of training on the calibration clips.

    Args:
        network: in eval mode, with BatchNorm folded (`onnx_network.from_onnx` does that).
        calibration: batches (N, C, H, W).

    Raises:
        ExportError: `part` has nothing to quantise.
    """
    activation = replace(
        ACTIVATIONS[scheme],
        observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=HistogramObserver),
    )
    weight = replace(
        WEIGHTS[scheme],
        observer_or_fake_quant_ctr=FakeQuantize.with_args(
            observer=MovingAveragePerChannelMinMaxObserver, averaging_constant=1.0
        ),
    )
    quantizer = PartQuantizer(part, activation, weight)
    student = prepare_qat_pt2e(trace(copy.deepcopy(network), example), quantizer)
    quantizer.check()
    student.apply(disable_fake_quant)
    calibrate_and_round(student, calibration)
    student.apply(enable_fake_quant)
    student.apply(disable_observer)
    for module in student.modules():  # the scales of weights follow the weights
        if isinstance(module, FakeQuantize) and module.is_per_channel:
            enable_observer(module)

    _train(student, network, torch.cat(list(calibration)), part, steps, seed)
    quantized: nn.Module = convert_pt2e(student)
    quantized.training = False
    return quantized


def _train(
    student: nn.Module,
    teacher: nn.Module,
    clips: Tensor,
    part: str,
    steps: int,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for name, parameter in student.named_parameters():
        path = plain_path(name)
        trains = path.startswith(f"{part}.") or of_head(path.rpartition(".")[0])
        parameter.requires_grad_(trains)
        if trains:
            size = float(parameter.detach().abs().median())
            groups.append({"params": [parameter], "lr": RELATIVE_RATE * max(size, 1e-6)})
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate_fraction(step, steps)
    )
    for _ in range(steps):
        inputs = clips[torch.randint(len(clips), (BATCH,), generator=generator)]
        with torch.no_grad():
            expected = teacher(inputs)
        loss = _distance(student(inputs), expected, side=inputs.shape[-1])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def _rate_fraction(step: int, steps: int) -> float:
    """Of the learning rate: linear over the first tenth of the steps, then half a cosine."""
    warm_up = max(1, steps // 10)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _distance(outputs: Sequence[Tensor], expected: Sequence[Tensor], side: int) -> Tensor:
    """The sum over outputs; one pixel of a landmark counts as one unit of another output."""
    losses = []
    for one, other in zip(outputs, expected, strict=True):
        unit = side if other.ndim == 3 else 1
        losses.append(F.smooth_l1_loss(one * unit, other * unit, beta=0.1))
    return torch.stack(losses).sum()
