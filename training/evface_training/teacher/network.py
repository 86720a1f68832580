"""The teacher network: CMFA (arXiv 2509.24968), SLPT for one modality, and EFNet's fusion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import as_file, files

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.errors import ConfigError, ModelError
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.networks.hrnet import HRNet
from evface_training.teacher.attention import ChannelFusion, FusionLayer, Tokens
from evface_training.teacher.config import TeacherConfig
from evface_training.teacher.patches import Stream


@dataclass(frozen=True)
class TeacherOutput:
    """Estimates of N clips.

    Attributes:
        points: (N, 98, 2) fractions of the crop: the last layer of the last stage.
        log_sigma: (N, 98) natural log of the standard deviation along an axis, same unit.
        start: (N, 98, 2), start of the first stage.
        layers: (stages, layers, N, 98, 2), the estimate after every layer.
        features: (N, width, S/4, S/4), the map that the main tokens are sampled from.
    """

    points: Tensor
    log_sigma: Tensor
    start: Tensor
    layers: Tensor
    features: Tensor


class Teacher(nn.Module):
    """Events, RGB or both → 98 landmarks, from coarse to fine.

    events (N, event_channels, S, S), rgb (N, 3, S, S), in [0, 1]
      └─ a backbone each → maps (N, width, S/4, S/4); fusion "efnet" merges the two
          └─ stage 1, 2, 3: patches around the estimates, in ever smaller windows → tokens
              └─ layers: CMFA to RGB tokens, self-attention, cross-attention to event tokens, FFN
                  └─ after every layer an offset from the start of the stage, in half windows

    If it fuses, the RGB side is frozen: it comes from a trained network of RGB alone
    (`take_rgb_side`). Each stage starts with the mean face or the detached estimate of the previous
    stage, and with a state of zero; all stages share all weights.

    Beyond the paper: with `coarse_cells`, a coarse estimate from the whole map replaces the mean
    face; σ of each point is learned from the detached state, so that it changes no coordinate; and
    for clips without RGB (`rgb` None, or `rgb_present` 0) CMFA adds nothing.
    """

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        event_map = replace(config.backbone, in_channels=config.event_channels)
        rgb_map = replace(config.backbone, in_channels=3)
        self.events = Stream(event_map, config.grid) if config.uses_events else None
        self.rgb: Stream | None = None
        if config.fusion == "efnet":
            # Only the RGB map is used: the token weights of a Stream would get no gradient.
            self.rgb_backbone: HRNet | None = HRNet(rgb_map).requires_grad_(False)
            self.channel_fusion: ChannelFusion | None = ChannelFusion(config.width, config.heads)
        else:
            self.rgb_backbone = self.channel_fusion = None
            if config.uses_rgb:
                self.rgb = Stream(rgb_map, config.grid)
                self.rgb.requires_grad_(config.fusion == "rgb")
        self.to_start = CoarseStart(config) if config.coarse_cells else None
        fuses = config.fusion == "cmfa"
        self.layers = nn.ModuleList(FusionLayer(config, fuses) for _ in range(config.layers))
        self.queries = nn.Parameter(torch.randn(NUM_LANDMARKS, config.width) * 0.02)
        self.norm = nn.LayerNorm(config.width)
        self.to_offset = nn.Linear(config.width, 2)
        self.to_log_sigma = nn.Linear(config.width, 1)
        # Starts with the mean face, and σ of about a window of the last stage.
        nn.init.zeros_(self.to_offset.weight)
        nn.init.zeros_(self.to_offset.bias)
        nn.init.zeros_(self.to_log_sigma.weight)
        nn.init.constant_(self.to_log_sigma.bias, float(np.log(config.windows[-1])))
        self.register_buffer("mean_face", front_view(config.crop_scale))
        self.mean_face: Tensor

    def take_rgb_side(self, trained: Teacher) -> None:
        """Copy the RGB side of a trained teacher of fusion "rgb"; it stays frozen.

        Raises:
            ModelError: another fusion or size.
        """
        source = trained.rgb
        if trained.config.fusion != "rgb" or source is None or not self.config.uses_rgb:
            raise ModelError(
                f"RGB side: fusion {trained.config.fusion!r}, expected 'rgb' (for a teacher of "
                f"fusion {self.config.fusion!r})",
                field="fusion",
                value=trained.config.fusion,
                expected="rgb",
            )
        try:
            if self.rgb_backbone is not None:
                self.rgb_backbone.load_state_dict(source.backbone.state_dict())
            elif self.rgb is not None:
                self.rgb.load_state_dict(source.state_dict())
        except RuntimeError as error:
            raise ModelError(f"RGB side: another size: {error}", field="backbone") from None

    def forward(
        self,
        events: Tensor | None = None,
        rgb: Tensor | None = None,
        rgb_present: Tensor | None = None,
    ) -> TeacherOutput:
        """Estimate landmarks.

        Args:
            events: (N, event_channels, S, S); not for fusion "rgb".
            rgb: (N, 3, S, S); optional for "cmfa" and "efnet".
            rgb_present: (N,) 0 for clips whose RGB is ignored; None: all are used.

        Raises:
            ConfigError: the main modality is missing.
        """
        main, stream, present = self._main_map(events, rgb, rgb_present)
        rgb_map = None
        if self.config.fusion == "cmfa" and rgb is not None and self.rgb is not None:
            rgb_map = self.rgb.backbone(rgb)
        points = self.mean_face.expand(len(main), -1, -1)
        if self.to_start is not None:
            points = points + self.to_start(main).float()
        start = points
        estimates = []
        state = main.new_zeros(0)
        for half_window in self.config.windows:
            begin = points.detach()
            tokens = Tokens(stream.tokens(main, begin, half_window), stream.structure)
            guide = None
            if rgb_map is not None and self.rgb is not None:
                values = self.rgb.tokens(rgb_map, begin, half_window)
                guide = Tokens(values, self.rgb.structure)
            state = torch.zeros_like(tokens.values)
            for layer in self.layers:
                state = layer(state, self.queries, tokens, guide, present)
                points = begin + self.to_offset(self.norm(state)).float() * half_window
                estimates.append(points)
        log_sigma = self.to_log_sigma(self.norm(state).detach()).float()[..., 0]
        layers = torch.stack(estimates)
        layers = layers.reshape(len(self.config.windows), -1, *points.shape)
        return TeacherOutput(points, log_sigma, start, layers, main)

    def _main_map(
        self, events: Tensor | None, rgb: Tensor | None, rgb_present: Tensor | None
    ) -> tuple[Tensor, Stream, Tensor]:
        """The map of the main tokens, their stream, and (N, 1, 1): 1 for clips with RGB."""
        image, stream = (events, self.events) if self.config.uses_events else (rgb, self.rgb)
        if image is None or stream is None:
            name = "events" if self.config.uses_events else "rgb"
            raise ConfigError(name, None, f"a tensor, for fusion {self.config.fusion!r}")
        present = image.new_ones(len(image)) if rgb_present is None else rgb_present
        present = present.to(image.dtype)[:, None, None]
        features = stream.backbone(image)
        if self.channel_fusion is not None and self.rgb_backbone is not None:
            rgb_map = None if rgb is None else self.rgb_backbone(rgb)
            features = self.channel_fusion(features, rgb_map, present)
        return features, stream, present


class CoarseStart(nn.Module):
    """Map (N, width, h, w) → offsets from the mean face (N, 98, 2), in fractions of the crop."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.cells = config.coarse_cells
        self.hidden = nn.Linear(config.width * self.cells**2, 4 * config.width)
        self.to_offsets = nn.Linear(4 * config.width, NUM_LANDMARKS * 2)
        nn.init.zeros_(self.to_offsets.weight)
        nn.init.zeros_(self.to_offsets.bias)

    def forward(self, features: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(features, self.cells).flatten(1)
        offsets: Tensor = self.to_offsets(F.gelu(self.hidden(pooled)))
        return offsets.reshape(-1, NUM_LANDMARKS, 2)


def front_view(crop_scale: float) -> Tensor:
    """The mean face from the front (98, 2), in fractions of a crop of `crop_scale` × its box."""
    with as_file(files("evface_edge") / "data" / "face_shape.npz") as path:
        mean_mm = np.load(path, allow_pickle=False)["mean_mm"]
    # Head axes: x to the subject's left, which is the image's right; y up.
    flat = torch.from_numpy(mean_mm[:, :2] * np.array([1.0, -1.0], np.float32))
    low, high = flat.amin(0), flat.amax(0)
    return (flat - (low + high) / 2) / ((high - low).max() * crop_scale) + 0.5
