"""A short training with INT8 rounding in place, for networks that calibration alone ruins.

The float network is its own teacher, so that no labels are needed: weights move until the rounded
network says what the float one says (quantisation-aware training, Jacob et al., CVPR 2018; with
distillation, Mishra and Marr, ICLR 2018). The ranges of activations are those of calibration, and
stay.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
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

from evface_export.quantize import ACTIVATIONS, WEIGHT, PartQuantizer, Scheme, trace

BATCH = 32
#: Size of a step of Adam, relative to the size of a tensor's weights, which differ by decades.
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
    advance: Callable[[], None] = lambda: None,
) -> nn.Module:
    """As `quantize`, then `steps` of training on the calibration clips.

    Args:
        network: in eval mode and without BatchNorm: fold it first (`onnx_network.from_onnx`).
        calibration: batches (N, C, H, W).
        advance: called after every step.

    Raises:
        ExportError: `part` has nothing to quantise.
    """
    activation = replace(
        ACTIVATIONS[scheme],
        observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=HistogramObserver),
    )
    weight = replace(
        WEIGHT,
        observer_or_fake_quant_ctr=FakeQuantize.with_args(
            observer=MovingAveragePerChannelMinMaxObserver, averaging_constant=1.0
        ),
    )
    quantizer = PartQuantizer(part, activation, weight)
    student = prepare_qat_pt2e(trace(copy.deepcopy(network), example), quantizer)
    quantizer.check()
    student.apply(disable_fake_quant)
    with torch.no_grad():
        for inputs in calibration:
            student(inputs)
    student.apply(enable_fake_quant)
    student.apply(disable_observer)
    for module in student.modules():  # the weights' ranges go with the weights
        if isinstance(module, FakeQuantize) and module.is_per_channel:
            enable_observer(module)

    _train(student, network, torch.cat(list(calibration)), part, steps, seed, advance)
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
    advance: Callable[[], None],
) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for name, parameter in student.named_parameters():
        trains = name.startswith(f"{part}.")  # what computes in float is right as it is
        parameter.requires_grad_(trains)
        if trains:
            size = float(parameter.detach().abs().median())
            groups.append({"params": [parameter], "lr": RELATIVE_RATE * max(size, 1e-6)})
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _share(step, steps))
    for _ in range(steps):
        inputs = clips[torch.randint(len(clips), (BATCH,), generator=generator)]
        with torch.no_grad():
            wanted = teacher(inputs)
        loss = _distance(student(inputs), wanted, side=inputs.shape[-1])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        advance()


def _share(step: int, steps: int) -> float:
    """Of the learning rate: up in a tenth of the steps, then down half a cosine."""
    warm_up = max(1, steps // 10)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _distance(found: Sequence[Tensor], wanted: Sequence[Tensor], side: int) -> Tensor:
    """Landmarks in pixels, so that a pixel weighs as much as one unit of any other output."""
    losses = []
    for one, other in zip(found, wanted, strict=True):
        unit = side if other.ndim == 3 else 1
        losses.append(F.smooth_l1_loss(one * unit, other * unit, beta=0.1))
    return torch.stack(losses).sum()
