"""The body of the student: what the map that the head reads knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from evface_edge.errors import ConfigError
from evface_training.networks.student import Merged, Student, StudentConfig

PATCHES = StudentConfig(side=64, stem="patch", channels=(16, 32, 48), hidden=32)


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("stem", ["conv", "patch"])
def test_the_map_is_of_the_size_that_the_configuration_says(stride: int, stem: str) -> None:
    channels = (16, *PATCHES.channels) if stem == "conv" else PATCHES.channels
    config = replace(PATCHES, stem=stem, stride=stride, channels=channels)  # type: ignore[arg-type]
    features = Student(config).eval().backbone(torch.rand(2, 10, 64, 64))
    side = config.map_side
    assert features.shape == (2, config.map_channels, side, side)
    assert side == 64 // stride


def test_a_merged_map_has_both() -> None:
    """Of a stage that halves by taking the mean: x plus, in every cell, the mean of its square."""
    merged = Merged(nn.AvgPool2d(2), 4, 4).eval()
    with torch.no_grad():
        for convolution in (merged.reduce, merged.merge[0]):
            nn.init.dirac_(convolution.weight)  # type: ignore[arg-type]
    x = torch.rand(3, 4, 6, 6)
    means = x.reshape(3, 4, 3, 2, 3, 2).mean((3, 5))
    expected = x + means.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        torch.testing.assert_close(merged(x), expected, rtol=1e-4, atol=1e-4)


def test_other_strides_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"StudentConfig\.stride = 4: expected 8 or 16"):
        replace(PATCHES, stride=4)
