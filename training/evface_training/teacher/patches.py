"""Tokens of a feature map: one for the patch around each landmark (SLPT, Xia et al., CVPR 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.networks.hrnet import HRNet, HRNetConfig


def sample_patches(features: Tensor, points: Tensor, half_window: float, grid: int) -> Tensor:
    """Bilinear samples on a square grid around each point; beyond the map its edge is repeated.

    Args:
        features: (N, C, h, w) map of the crop.
        points: (N, P, 2) fractions of the crop: 0 and 1 are the outer edges of the map.
        half_window: from the point to the outermost samples, in fractions of the crop.

    Returns:
        (N, P, C, grid, grid)
    """
    axis = torch.linspace(-half_window, half_window, grid, device=points.device)
    offsets = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    positions = points[:, :, None, None] + offsets
    positions = (2 * positions - 1).flatten(2, 3)  # (N, P, grid², 2)
    # Always float32: bfloat16 would round positions to a quarter of a cell.
    samples = F.grid_sample(features.float(), positions, "bilinear", "border", align_corners=False)
    return samples.transpose(1, 2).reshape(*points.shape[:2], -1, grid, grid)


class Stream(nn.Module):
    """One modality: its backbone, its tokens and their position encoding.

    Image (N, channels, S, S)
      └─ backbone → map (N, width, S/4, S/4)
          └─ a patch around each point, a convolution of the same size → tokens (N, 98, width)
    """

    def __init__(self, backbone: HRNetConfig, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.backbone = HRNet(backbone)
        # A grid × grid convolution of a grid × grid patch is one matrix product.
        self.to_token = nn.Linear(backbone.out_channels * grid**2, backbone.out_channels)
        self.structure = nn.Parameter(torch.randn(NUM_LANDMARKS, backbone.out_channels) * 0.02)

    def tokens(self, features: Tensor, points: Tensor, half_window: float) -> Tensor:
        """Map (N, width, h, w) and points (N, 98, 2) → (N, 98, width)."""
        patches = sample_patches(features, points, half_window, self.grid)
        tokens: Tensor = self.to_token(patches.flatten(2))
        return tokens
