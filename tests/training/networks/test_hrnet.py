"""HRNet has the published size, and its branches exchange information."""

from __future__ import annotations

import pytest
import torch

from evface_edge.errors import ConfigError
from evface_training.networks.hrnet import HRNet, HRNetConfig


@pytest.mark.parametrize(
    ("modules", "millions"),
    # HRNetV2-W18 with its 98-point output layer: 9.66 M (SLPT, CVPR 2022, table 6).
    [((1, 4, 3), 9.66)],
)
def test_the_full_network_has_the_published_size(modules: tuple[int, ...], millions: float) -> None:
    network = HRNet(HRNetConfig(modules=modules, out_channels=98))
    actual = sum(p.numel() for p in network.parameters()) / 1e6
    assert actual == pytest.approx(millions, rel=0.01)


def test_the_map_is_a_quarter_and_a_cell_sees_far() -> None:
    torch.manual_seed(0)
    network = HRNet(HRNetConfig(stem=8, bottlenecks=1, width=8, blocks=1, out_channels=5)).eval()
    image = torch.rand(1, 3, 64, 96, requires_grad=True)
    features = network(image)
    assert features.shape == (1, 5, 16, 24)
    features[0, :, 0, 0].sum().backward()
    assert image.grad is not None
    reached = image.grad.abs().sum((0, 1)) > 0
    # The eight 3×3 convolutions of the finest branch alone see 36 pixels in one direction.
    assert float(reached[:, 60:].float().mean()) > 0.5


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_learns_in_either_memory_layout(layout: torch.memory_format) -> None:
    network = HRNet(HRNetConfig(stem=8, bottlenecks=1, width=8, modules=(1, 1), blocks=1))
    network.to(memory_format=layout)  # type: ignore[call-overload]
    network(torch.rand(2, 3, 32, 32).to(memory_format=layout)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_sizes_are_checked() -> None:
    with pytest.raises(ConfigError, check=lambda e: e.field == "HRNetConfig.modules"):
        HRNetConfig(modules=())
    with pytest.raises(ConfigError, check=lambda e: e.field == "HRNetConfig.width"):
        HRNetConfig(width=0)
