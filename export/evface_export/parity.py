"""The gate: an artefact must put the landmarks where its checkpoint puts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError, ExportError
from evface_edge.landmarks import nme
from evface_export.calibration import CalibrationSet
from evface_runtimes import Runtime

Arrays = dict[str, NDArray[np.float32]]
#: Share of cells of a clip that are not zero from which on its landmarks are judged: with hardly
#: an event, every answer is a guess, and guesses hide what a good answer loses.
ENOUGH_FILLED = 0.01
#: Inputs (N, C, H, W) → the outputs by name.
Run = Callable[[NDArray[np.float32]], Arrays]


@dataclass(frozen=True)
class Limits:
    """How far an artefact may be from its checkpoint.

    Attributes:
        max_nme_loss: relative rise of the NME against the true landmarks.
        max_log_sigma_shift: mean absolute difference of log_sigma; 0.2 is 22 % of a σ.
        max_presence_flips: fraction of clips on which "is there a face?" is answered differently.
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
        clips, faces: how many clips, and how many of them with a face and enough events to
            judge its landmarks by.
        difference: output → (largest, mean) absolute difference, in the output's unit; landmarks
            and log_sigma of those faces alone, since elsewhere they have no meaning.
        mean_px, p99_px: displacement of a landmark, in pixels of the crop.
        nme_checkpoint, nme_artefact: against the true landmarks, as fractions.
        presence_flips: fraction of clips on which "is there a face?" is answered differently.
        presence_checkpoint, presence_artefact: fraction of clips on which it is answered rightly.
    """

    clips: int
    faces: int
    difference: dict[str, tuple[float, float]]
    mean_px: float
    p99_px: float
    nme_checkpoint: float
    nme_artefact: float
    presence_flips: float
    presence_checkpoint: float
    presence_artefact: float

    @property
    def nme_loss(self) -> float:
        """Relative; below 0 where the artefact happens to be better."""
        return self.nme_artefact / self.nme_checkpoint - 1

    def __str__(self) -> str:
        outputs = ", ".join(
            f"{name} {largest:.2g} (mean {mean:.2g})"
            for name, (largest, mean) in self.difference.items()
        )
        return (
            f"NME {self.nme_checkpoint:.3%} → {self.nme_artefact:.3%} ({self.nme_loss:+.2%}), "
            f"landmarks moved {self.mean_px:.3f} px (p99 {self.p99_px:.3f} px) on {self.faces} "
            f"faces, presence changed on {self.presence_flips:.1%} of {self.clips} clips (right on "
            f"{self.presence_checkpoint:.1%} → {self.presence_artefact:.1%}); largest differences: "
            f"{outputs}"
        )

    def problems(self, limits: Limits) -> list[str]:
        """What is beyond its limit, in words."""
        return [
            f"{name} beyond {limit:g}"
            for name, value, limit in (
                ("relative NME loss", self.nme_loss, limits.max_nme_loss),
                ("log_sigma shift", self.difference["log_sigma"][1], limits.max_log_sigma_shift),
                ("presence changes", self.presence_flips, limits.max_presence_flips),
            )
            if not value <= limit  # so that NaN is beyond every limit
        ]

    def check(self, limits: Limits, *, advice: str = "a float target") -> None:
        """Raises ExportError, with the figures and what to try, beyond a limit."""
        problems = self.problems(limits)
        if problems:
            raise ExportError(
                f"the artefact differs too much from its checkpoint and was not written "
                f"({', '.join(problems)}): {self}; try {advice}"
            )


@dataclass(frozen=True, eq=False)
class Reference:
    """What the float network says about the clips that judge.

    Attributes:
        indices: of those clips.
        scored: (M,) bool, the ones whose landmarks count.
        outputs: name → (M, …), in the order of `indices`.
    """

    card: ModelCard
    clips: CalibrationSet
    indices: NDArray[np.intp]
    scored: NDArray[np.bool_]
    outputs: Arrays

    @classmethod
    def of(
        cls,
        network: nn.Module,
        card: ModelCard,
        clips: CalibrationSet,
        indices: NDArray[np.intp],
    ) -> Reference:
        """Raises: ConfigError: no clip with a face and enough events."""
        filled = [np.count_nonzero(clips.inputs[i]) / clips.inputs[i].size for i in indices]
        scored = clips.faces[indices] & (np.array(filled) >= ENOUGH_FILLED)
        if not scored.any():
            raise ConfigError(
                f"calibration {clips.name}: inputs", "hardly an event", "clips to judge with events"
            )
        outputs = _outputs(torch_run(network, card), clips, indices)
        return cls(card, clips, indices, scored, outputs)

    def first(self, count: int) -> Reference:
        """The same, for `count` clips at most."""
        kept = {name: array[:count] for name, array in self.outputs.items()}
        return replace(self, indices=self.indices[:count], scored=self.scored[:count], outputs=kept)

    def error(self, run: Run) -> float:
        """The NME of a function from inputs to outputs, on the clips that count."""
        return self._nme(_outputs(run, self.clips, self.indices))

    def _nme(self, outputs: Arrays) -> float:
        truth = self.clips.landmarks[self.indices][self.scored]
        return float(nme(outputs["landmarks"][self.scored], truth).mean())

    def compare(self, run: Run) -> Parity:
        """Run an artefact on the same clips, and compare.

        Raises:
            ExportError: it gives NaN, or another answer for a clip alone than in a batch.
        """
        card, expected = self.card, self.outputs
        found = _outputs(run, self.clips, self.indices)
        for name in expected:
            if not np.isfinite(found[name]).all():
                raise ExportError(
                    f"the artefact gives NaN or infinity as {name!r}; nothing was written"
                )
        alone = run(next(self.clips.batches(self.indices[:1])))
        for name in expected:
            if not np.allclose(alone[name], found[name][:1], rtol=1e-3, atol=1e-3):
                raise ExportError(
                    f"the artefact gives another {name!r} for a clip alone than in a batch; "
                    "nothing was written"
                )

        faces = self.clips.faces[self.indices]
        height, width = card.inputs[0].shape[-2:]
        shift = (found["landmarks"] - expected["landmarks"])[self.scored]
        displacement_px = np.linalg.norm(shift * np.array([width, height], np.float32), axis=-1)
        difference = {name: np.abs(found[name] - expected[name]) for name in expected}
        for name in ("landmarks", "log_sigma"):
            difference[name] = difference[name][self.scored]
        # Of a probability p, the logit: presence > p if the output is above it.
        threshold = np.log(card.presence_threshold / (1 - card.presence_threshold))
        said, seen = (outputs["presence"][:, 0] > threshold for outputs in (expected, found))
        return Parity(
            clips=len(self.indices),
            faces=int(self.scored.sum()),
            difference={name: (float(d.max()), float(d.mean())) for name, d in difference.items()},
            mean_px=float(displacement_px.mean()),
            p99_px=float(np.percentile(displacement_px, 99)),
            nme_checkpoint=self._nme(expected),
            nme_artefact=self._nme(found),
            presence_flips=float((said != seen).mean()),
            presence_checkpoint=float((said == faces).mean()),
            presence_artefact=float((seen == faces).mean()),
        )


def torch_run(network: nn.Module, card: ModelCard) -> Run:
    """A network in torch, to be compared as an artefact is."""
    names = [spec.name for spec in card.outputs]

    def run(inputs: NDArray[np.float32]) -> Arrays:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(inputs))
        return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}

    return run


def runtime_run(runtime: Runtime, card: ModelCard) -> Run:
    """A loaded artefact, to be compared with its checkpoint."""
    name = card.inputs[0].name
    return lambda inputs: runtime.run({name: inputs})


def _outputs(run: Run, clips: CalibrationSet, indices: NDArray[np.intp]) -> Arrays:
    parts = [run(batch) for batch in clips.batches(indices)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
