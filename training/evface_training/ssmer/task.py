"""Pretraining an encoder on events without labels."""

from __future__ import annotations

import itertools
import logging
import math
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_training.ssmer.events import NAMES, Augmentation, PackedEvents, random_crops
from evface_training.ssmer.network import (
    Encoder,
    Predictor,
    Projector,
    Reconstruction,
    SharedEncoder,
    random_mask,
)
from evface_training.ssmer.objectives import collapsed, contrast, embedding_std, simsiam
from evface_training.ssmer.views import check_views, draw_view
from evface_training.tasks.base import Batch, Task, for_log

_log = logging.getLogger(__name__)
OBJECTIVES = ("simsiam", "mirror")


@dataclass(frozen=True)
class SsmerConfig:
    """Settings of the pretraining.

    Attributes:
        views: representations of the slice; all pairs of them are compared. With a single one, two
            augmented versions are the pair.
        objective: "simsiam" (the paper), or "mirror": contrastive alignment, and reconstruction of
            masked parts, which keeps what only one view has (MIRROR).
        side: of the views, in pixels; a multiple of 16.
        augmentation: of each view on its own.
        grid: cells per side of the encoder's map. Each is embedded on its own and compared with the
            same cell of the other views; 1 is the whole map, as in the paper. With more, the views
            of a clip share one crop and mirroring, so that the encoder learns positions, and the
            mean over the batch is subtracted from each cell, so that position alone does not make
            cells agree.
        projection: width of projector and embeddings.
        prediction: width of the predictor's hidden layer.
        mask_fraction, retention_weight: of "mirror".
        watch_every: steps between two checks for collapsed embeddings.
    """

    views: tuple[str, ...] = ("frame", "voxel", "surface")
    objective: Literal["simsiam", "mirror"] = "simsiam"
    side: int = 128
    augmentation: Augmentation = field(default_factory=Augmentation)
    grid: int = 1
    projection: int = 2048
    prediction: int = 512
    mask_fraction: float = 0.5
    retention_weight: float = 5.0
    watch_every: int = 50

    def __post_init__(self) -> None:
        check_views(self.views, "SsmerConfig.views")
        if self.objective not in OBJECTIVES:
            raise ConfigError("SsmerConfig.objective", self.objective, " or ".join(OBJECTIVES))
        if self.side < 32 or self.side % 16:
            raise ConfigError("SsmerConfig.side", self.side, "a multiple of 16, 32 or more")
        for name in ("grid", "projection", "prediction", "watch_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"SsmerConfig.{name}", getattr(self, name), "1 or more")
        if self.grid > self.side // 16:
            raise ConfigError(
                "SsmerConfig.grid",
                self.grid,
                f"{self.side // 16} or fewer, for a side of {self.side} pixels",
            )
        if not 0 < self.mask_fraction < 1:
            raise ConfigError("SsmerConfig.mask_fraction", self.mask_fraction, "between 0 and 1")


class SsmerTask(Task):
    """Similar embeddings for the views of one slice; reads packed events (`ssmer.events.NAMES`).

    `network` is the shared encoder with its adapters; `network.pretrained(view)` initialises the
    backbone of a student or teacher.

    Losses: agreement (of the pairs, summed), retention (mirror only), embedding_std and
    feature_std: standard deviation over clips of the l2-normalised projections and of the encoder's
    pooled features, for each cell, × √dimensions: 1 over the whole sphere, 0 in a single point.
    """

    needs = NAMES

    def __init__(self, encoder: Encoder, config: SsmerConfig) -> None:
        super().__init__()
        self.config = config
        self.shared = SharedEncoder(encoder, config.views)
        self.projector = Projector(encoder.width, config.projection)
        self.predictor = (
            Predictor(config.projection, config.prediction)
            if config.objective == "simsiam"
            else None
        )
        self.reconstruction = (
            Reconstruction(config.views, encoder.width, encoder.stride)
            if config.objective == "mirror"
            else None
        )

    @property
    def network(self) -> SharedEncoder:
        return self.shared

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        config, events = self.config, PackedEvents.of_batch(batch)
        if events.clips < 2:
            raise ConfigError("batch", events.clips, "2 clips or more, to compare")
        names = config.views if len(config.views) > 1 else config.views * 2
        embeddings, pooled, retained = [], [], []
        device = events.duration_us.device
        maps = random_crops(events.clips, config.augmentation, device) if config.grid > 1 else None
        for name in names:
            image = draw_view(name, events, config.side, config.augmentation, maps)
            visible = image
            if self.reconstruction is not None:
                mask = random_mask(len(image), config.side, config.mask_fraction, image.device)
                visible = image * (1 - mask)
            features = self.shared(visible.contiguous(memory_format=torch.channels_last), name)
            if self.reconstruction is not None:
                error = (self.reconstruction(features, name).float() - image) ** 2
                retained.append((error.mean(1, keepdim=True) * mask).sum() / mask.sum())
            cells = F.adaptive_avg_pool2d(features.float(), config.grid).flatten(2).mT
            pooled.append(cells)
            if config.grid > 1:  # padding gives each position a mean of its own
                cells = cells - cells.mean(0)
            embeddings.append(self.projector(cells.flatten(0, 1)).float())
        losses = self._agreement(embeddings)
        if retained:
            losses["retention"] = torch.stack(retained).mean()
            losses["total"] = losses["total"] + config.retention_weight * losses["retention"]
        for key, values in (("embedding_std", embeddings), ("feature_std", pooled)):
            by_clip = [value.reshape(events.clips, -1, value.shape[-1]) for value in values]
            std = torch.stack([embedding_std(value) for value in by_clip]).mean()
            losses[key] = std * math.sqrt(values[0].shape[-1])
        if step % config.watch_every == 0:
            _warn_if_collapsed(float(losses["embedding_std"]), float(losses["feature_std"]), step)
        return for_log(losses)

    def _agreement(self, embeddings: list[Tensor]) -> dict[str, Tensor]:
        """The sum of the objective over all pairs."""
        pairs = list(itertools.combinations(range(len(embeddings)), 2))
        # Sums over thousands of products lose too much in bfloat16.
        with torch.autocast(embeddings[0].device.type, enabled=False):
            if self.predictor is not None:
                predicted = [self.predictor(z) for z in embeddings]
                parts = [
                    simsiam(predicted[i], embeddings[i], predicted[j], embeddings[j])
                    for i, j in pairs
                ]
            else:
                parts = [contrast(embeddings[i], embeddings[j]) for i, j in pairs]
        total = torch.stack(parts).sum()
        return {"total": total, "agreement": total}


#: Features after ReLU point in similar directions: their healthy spread is smaller.
_FEATURES_COLLAPSED_BELOW = 0.01


def _warn_if_collapsed(embedding_spread: float, feature_spread: float, step: int) -> None:
    if collapsed(embedding_spread, 1) or feature_spread < _FEATURES_COLLAPSED_BELOW:
        _log.warning(
            "step %d: embeddings have collapsed: standard deviation %.3f (1 is healthy), of the "
            "encoder's features %.4f; lower the learning rate, or use larger batches",
            step,
            embedding_spread,
            feature_spread,
        )


def load_pretrained(target: nn.Module, shared: SharedEncoder, view: str) -> None:
    """Copy a pretrained encoder into the backbone of a student or teacher of the same size.

    Raises:
        ConfigError: a view that was not in the training, or another size.
    """
    try:
        target.load_state_dict(shared.pretrained(view).state_dict())
    except RuntimeError as error:
        raise ConfigError(
            "backbone", type(target).__name__, f"the pretrained size for {view!r}: {error}"
        ) from None
