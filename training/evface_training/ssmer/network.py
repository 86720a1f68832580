"""The shared encoder of all views, and the networks that turn its maps into embeddings."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evface_edge.errors import ConfigError, ModelError
from evface_training.networks.hrnet import HRNet, HRNetConfig
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.ssmer.views import VIEWS, VOXEL_BINS, check_views


@dataclass(frozen=True)
class Encoder:
    """Any network from (N, in_channels, S, S) to (N, width, S / stride, S / stride)."""

    network: nn.Module
    in_channels: int
    width: int
    stride: int

    @classmethod
    def of_student(cls, config: StudentConfig) -> Encoder:
        return cls(Student(config).backbone, config.in_channels, config.channels[-1], 16)

    @classmethod
    def of_hrnet(cls, config: HRNetConfig) -> Encoder:
        return cls(HRNet(config), config.in_channels, config.out_channels, HRNet.stride)


class SharedEncoder(nn.Module):
    """One encoder for all views, with an adapter for each.

    View (N, its channels, S, S)
      └─ adapter: 1×1 convolution without bias → (N, in_channels, S, S)
          └─ encoder → (N, width, S / stride, S / stride)

    The views of the paper are all images of three channels; ours differ. With 1×1 adapters the
    whole encoder is shared, also its first layer. Adapters are linear, so that `pretrained` folds
    one into the first convolution: the result takes a view directly, at no extra cost.
    """

    def __init__(self, encoder: Encoder, views: tuple[str, ...]) -> None:
        super().__init__()
        check_views(views, "views")
        self.encoder = encoder.network
        self.width, self.stride = encoder.width, encoder.stride
        self.adapters = nn.ModuleDict(
            {
                name: nn.Conv2d(VIEWS[name].channels, encoder.in_channels, 1, bias=False)
                for name in views
            }
        )
        for name in views:
            if VIEWS[name].channels == encoder.in_channels:  # start as the identity
                nn.init.dirac_(self._adapter(name).weight)

    def _adapter(self, view: str) -> nn.Conv2d:
        adapter = self.adapters[view]
        assert isinstance(adapter, nn.Conv2d)
        return adapter

    def _columns(self, view: str) -> Tensor:
        """The adapter of a view as a matrix (in_channels, its channels)."""
        if view in self.adapters:
            return self._adapter(view).weight[:, :, 0, 0]
        by_polarity = [name for name in ("frame", "surface") if name in self.adapters]
        if view != "voxel" or not by_polarity:
            raise ConfigError("view", view, f"one of {', '.join(self.adapters)}")
        return self._adapter(by_polarity[0]).weight[:, :, 0, 0].repeat_interleave(VOXEL_BINS, 1)

    def forward(self, image: Tensor, view: str) -> Tensor:
        features: Tensor = self.encoder(self.adapters[view](image))
        return features

    def pretrained(self, view: str) -> nn.Module:
        """A copy of the encoder that takes a view directly: the adapter is folded into it.

        An encoder trained on frames or surfaces alone also takes a voxel grid: the grid's sum over
        time is a frame, so all bins of a polarity get the column of that polarity.

        Raises:
            ConfigError: another view that was not in the training.
            ModelError: the first layer of the encoder is no fitting convolution.
        """
        encoder, adapter = copy.deepcopy(self.encoder), self._columns(view)
        weighted = (m for m in encoder.modules() if list(m.parameters(recurse=False)))
        first = next(weighted, None)
        if not isinstance(first, nn.Conv2d) or first.weight.shape[1] != len(adapter):
            raise ModelError(
                f"encoder: first layer {type(first).__name__}, expected a convolution of "
                f"{len(adapter)} channels",
                field="encoder",
                value=type(first).__name__,
                expected="Conv2d",
            )
        folded = torch.einsum("oihw,ij->ojhw", first.weight, adapter)
        first.weight = nn.Parameter(folded.detach().clone())
        first.in_channels = folded.shape[1]
        return encoder


class Projector(nn.Sequential):
    """Three layers, BatchNorm in each; the last norm has no scale (SimSiam, section 3)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(
            nn.Linear(width, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden, affine=False),
        )


class Predictor(nn.Sequential):
    """A bottleneck of two layers (SimSiam, section 3)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(
            nn.Linear(width, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, width),
        )


class Reconstruction(nn.Module):
    """Maps → views: one linear layer for each view, which reconstructs it."""

    def __init__(self, views: tuple[str, ...], width: int, stride: int) -> None:
        super().__init__()
        self.to_cells = nn.ModuleDict(
            {name: nn.Conv2d(width, VIEWS[name].channels * stride**2, 1) for name in views}
        )
        self.unfold = nn.PixelShuffle(stride)

    def forward(self, features: Tensor, view: str) -> Tensor:
        """(N, width, S / stride, S / stride) → (N, the view's channels, S, S)."""
        image: Tensor = self.unfold(self.to_cells[view](features))
        return image


def random_mask(clips: int, side: int, fraction: float, device: torch.device) -> Tensor:
    """(B, 1, side, side), 1 where hidden: that fraction of an 8 × 8 grid, at random."""
    grid = 8
    order = torch.rand(clips, grid * grid, device=device).argsort(1).argsort(1)
    hidden = (order < round(fraction * grid * grid)).float().view(clips, 1, grid, grid)
    return nn.functional.interpolate(hidden, (side, side), mode="nearest")
