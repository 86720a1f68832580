"""The gate: an artefact must put the landmarks where its checkpoint puts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError, ExportError
from evface_edge.landmarks import nme
from evface_export.calibration import CalibrationSet
from evface_runtimes import Runtime


@dataclass(frozen=True)
class Limits:
    """How far an artefact may be from its checkpoint.

    Attributes:
        max_nme_loss: relative rise of the NME against the true landmarks.
        max_log_sigma_shift: mean absolute difference of log_sigma; 0.2 is 22 % of a σ.
        max_presence_flips: share of clips on which "is there a face?" is answered differently.
    """

    max_nme_loss: float = 0.02
    max_log_sigma_shift: float = 0.2
    max_presence_flips: float = 0.02

    def __post_init__(self) -> None:
        for field in ("max_nme_loss", "max_log_sigma_shift", "max_presence_flips"):
            if not 0 <= getattr(self, field) < 1:
                raise ConfigError(field, getattr(self, field), "0 or more, below 1 (or 100%)")


@dataclass(frozen=True)
class Parity:
    """What was measured.

    Attributes:
        clips: how many.
        difference: output → (largest, mean) absolute difference, in the output's unit.
        mean_px, p99_px: displacement of a landmark, in pixels of the crop.
        nme_checkpoint, nme_artefact: against the true landmarks, as fractions.
        presence_flips: share of clips.
    """

    clips: int
    difference: dict[str, tuple[float, float]]
    mean_px: float
    p99_px: float
    nme_checkpoint: float
    nme_artefact: float
    presence_flips: float

    @property
    def nme_loss(self) -> float:
        """Relative; below 0 where the artefact happens to be better."""
        return self.nme_artefact / self.nme_checkpoint - 1

    def __str__(self) -> str:
        return (
            f"NME {self.nme_checkpoint:.3%} → {self.nme_artefact:.3%} ({self.nme_loss:+.2%}), "
            f"landmarks moved {self.mean_px:.3f} px (p99 {self.p99_px:.3f} px), "
            f"log_sigma {self.difference['log_sigma'][1]:.3f}, presence changed on "
            f"{self.presence_flips:.1%} of {self.clips} clips"
        )

    def check(self, limits: Limits) -> None:
        """Raises ExportError, with the figures and what to try, beyond a limit."""
        problems = [
            f"{name} beyond {limit:g}"
            for name, value, limit in (
                ("relative NME loss", self.nme_loss, limits.max_nme_loss),
                ("log_sigma shift", self.difference["log_sigma"][1], limits.max_log_sigma_shift),
                ("presence changes", self.presence_flips, limits.max_presence_flips),
            )
            if not value <= limit  # so that NaN is beyond every limit
        ]
        if problems:
            raise ExportError(
                f"the artefact differs too much from its checkpoint and was not written "
                f"({', '.join(problems)}): {self}; try more calibration clips, clips nearer to "
                "the use, or a float target"
            )


def compare(
    network: nn.Module,
    runtime: Runtime,
    card: ModelCard,
    clips: CalibrationSet,
    indices: NDArray[np.intp],
) -> Parity:
    """Run checkpoint and artefact on the clips at `indices`, and compare their outputs.

    Raises:
        ExportError: the artefact gives NaN, or another answer for a clip alone than in a batch.
    """
    input_name = card.inputs[0].name
    names = [spec.name for spec in card.outputs]
    truth = clips.landmarks[indices]
    expected = _joined(_run_torch(network, names, clips, indices))
    found = _joined(runtime.run({input_name: batch}) for batch in clips.batches(indices))
    for name in names:
        if not np.isfinite(found[name]).all():
            raise ExportError(
                f"the artefact gives NaN or infinity as {name!r}; nothing was written"
            )
    alone = runtime.run({input_name: next(clips.batches(indices[:1]))})
    for name in names:
        if not np.allclose(alone[name], found[name][:1], rtol=1e-3, atol=1e-3):
            raise ExportError(
                f"the artefact gives another {name!r} for a clip alone than in a batch; "
                "nothing was written"
            )

    height, width = card.inputs[0].shape[-2:]
    shift = (found["landmarks"] - expected["landmarks"]) * np.array([width, height], np.float32)
    displacement_px = np.linalg.norm(shift, axis=-1)
    difference = {name: np.abs(found[name] - expected[name]) for name in names}
    # Of a probability p, the logit: presence > p if the output is above it.
    threshold = np.log(card.presence_threshold / (1 - card.presence_threshold))
    flips = (found["presence"] > threshold) != (expected["presence"] > threshold)
    return Parity(
        clips=len(indices),
        difference={name: (float(d.max()), float(d.mean())) for name, d in difference.items()},
        mean_px=float(displacement_px.mean()),
        p99_px=float(np.percentile(displacement_px, 99)),
        nme_checkpoint=float(nme(expected["landmarks"], truth).mean()),
        nme_artefact=float(nme(found["landmarks"], truth).mean()),
        presence_flips=float(flips.mean()),
    )


def _run_torch(
    network: nn.Module, names: list[str], clips: CalibrationSet, indices: NDArray[np.intp]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    with torch.inference_mode():
        for batch in clips.batches(indices):
            outputs = network(torch.from_numpy(batch))
            yield {name: output.numpy() for name, output in zip(names, outputs, strict=True)}


def _joined(
    parts: Iterator[dict[str, NDArray[np.float32]]],
) -> dict[str, NDArray[np.float32]]:
    collected = list(parts)
    return {name: np.concatenate([part[name] for part in collected]) for name in collected[0]}
