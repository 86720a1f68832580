"""Ranges of activations that are known without calibration."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from evface_export.graph import expected_warnings
from evface_export.quantize import Scheme, quantize


class _Residual(nn.Module):
    """clip(skip + convolution, 0, 6) of a convolution with values far beyond ±6."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 8, 1), nn.Conv2d(8, 8, 1)
        with torch.no_grad():
            self.first.weight.mul_(4)
            self.second.weight.mul_(40)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(x).clamp(0, 6)
        return (skip + self.second(skip)).clamp(0, 6)


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = _Residual()

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x)


@pytest.mark.parametrize("scheme", ["u8", "s8"])
def test_the_range_of_a_sum_ends_where_its_clip_does(scheme: Scheme) -> None:
    network = _Network().eval().requires_grad_(requires_grad=False)
    inputs = torch.randn(32, 2, 4, 4)
    summand = network.backbone.second(network.backbone.first(inputs).clamp(0, 6))
    assert float(summand.abs().max()) > 30  # calibration would make the steps five times longer
    with expected_warnings():
        quantized = quantize(network, inputs[:2], [inputs], scheme=scheme)
    (addition,) = [n for n in quantized.graph.nodes if n.target == torch.ops.aten.add.Tensor]
    steps = [float(dequantized.args[1]) for dequantized in addition.args]
    assert steps[1] == pytest.approx(6 / 127)
    assert steps[0] < 6.1 / 127
