"""The accuracy check of an export: the artefact must give the landmarks of its checkpoint."""

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
#: Landmarks count in clips with at least this fraction of non-zero cells. With fewer events every
#: output is a guess, and guesses hide the loss of good outputs.
ENOUGH_FILLED = 0.01
#: Largest difference of an output for a clip alone and in a batch: a step of an INT8 activation
#: may fall on the other side, since float sums depend on the batch.
ALONE_TOLERANCE = 0.02
#: NME of the float network above which the clips or the checkpoint must be wrong.
MAX_FLOAT_NME = 0.3
#: Inputs (N, C, H, W) → the outputs by name.
Run = Callable[[NDArray[np.float32]], Arrays]


@dataclass(frozen=True)
class Limits:
    """How far an artefact may be from its checkpoint.

    Attributes:
        max_nme_loss: relative increase of the NME against the true landmarks.
        max_log_sigma_shift: mean absolute difference of log_sigma; 0.2 is 22 % of a σ.
        max_presence_flips: fraction of clips whose presence changes.
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
    """An artefact compared with its checkpoint.

    Attributes:
        clips, faces: number of clips, and of those with a face and enough events.
        difference: output → (largest, mean) absolute difference, in the unit of the output;
            landmarks and log_sigma on those faces alone.
        mean_px, p99_px: displacement of a landmark, in pixels of the crop.
        nme_checkpoint, nme_artefact: against the true landmarks, as fractions.
        presence_flips: fraction of clips whose presence changes.
        presence_checkpoint, presence_artefact: fraction of clips whose presence is right.
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
        """Relative; negative if the artefact is better."""
        return self.nme_artefact / self.nme_checkpoint - 1

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics for the model card."""
        return {
            "export_clips": float(self.clips),
            "export_faces": float(self.faces),
            "export_nme_checkpoint_percent": 100 * self.nme_checkpoint,
            "export_nme_percent": 100 * self.nme_artefact,
            "export_displacement_mean_px": self.mean_px,
            "export_displacement_p99_px": self.p99_px,
            "export_presence_flips_percent": 100 * self.presence_flips,
        }

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

    def exceeded(self, limits: Limits) -> dict[str, tuple[float, float]]:
        """Name of each metric beyond its limit → (value, limit)."""
        return {
            name: (value, limit)
            for name, value, limit in (
                ("relative NME loss", self.nme_loss, limits.max_nme_loss),
                ("log_sigma shift", self.difference["log_sigma"][1], limits.max_log_sigma_shift),
                ("presence changes", self.presence_flips, limits.max_presence_flips),
            )
            if not value <= limit  # so that NaN is beyond every limit
        }

    def check(self, limits: Limits, *, fix: str = "use a float target") -> None:
        """Raises ExportError beyond a limit; its field is the first metric that is."""
        exceeded = self.exceeded(limits)
        if exceeded:
            field, (value, limit) = next(iter(exceeded.items()))
            raise ExportError(
                "nothing was written, because the artefact differs too much from its checkpoint "
                f"({describe(exceeded)}): {self}",
                field=field,
                value=value,
                expected=f"at most {limit:g}",
                fix=fix,
            )


def describe(exceeded: dict[str, tuple[float, float]]) -> str:
    """Such as "relative NME loss 0.031, limit 0.02"."""
    return "; ".join(
        f"{name} {value:.3g}, limit {limit:g}" for name, (value, limit) in exceeded.items()
    )


@dataclass(frozen=True, eq=False)
class Reference:
    """The outputs of the float network on the clips for evaluation.

    Attributes:
        indices: (M,), of those clips.
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
        """Run the float network on the clips at `indices`.

        Raises:
            ConfigError: no clip with a face and enough events.
        """
        filled = [np.count_nonzero(clips.inputs[i]) / clips.inputs[i].size for i in indices]
        scored = clips.faces[indices] & (np.array(filled) >= ENOUGH_FILLED)
        if not scored.any():
            raise ConfigError(
                f"calibration {clips.name}: inputs",
                "too few events",
                f"clips of faces with at least {ENOUGH_FILLED:.0%} of their cells filled",
            )
        outputs = _outputs(torch_run(network, card), clips, indices)
        return cls(card, clips, indices, scored, outputs)

    def check(self) -> None:
        """Raises ExportError if the float network itself does not fit the labels."""
        error = self._nme(self.outputs)
        if not error <= MAX_FLOAT_NME:
            raise ExportError(
                f"the NME of {self.card.name} in float32 on {self.clips.name} is {error:.1%}",
                field="nme_fp32",
                value=error,
                expected=f"at most {MAX_FLOAT_NME:.0%}",
                fix="check that the landmarks of the clips are fractions of their crops, in the "
                "order of WFLW, and that the checkpoint is trained",
            )

    def first(self, count: int) -> Reference:
        """The same for the first `count` clips."""
        kept = {name: array[:count] for name, array in self.outputs.items()}
        return replace(self, indices=self.indices[:count], scored=self.scored[:count], outputs=kept)

    def error(self, run: Run) -> float:
        """The NME of a function from inputs to outputs, as a fraction."""
        return self._nme(_outputs(run, self.clips, self.indices))

    def _nme(self, outputs: Arrays) -> float:
        truth = self.clips.landmarks[self.indices][self.scored]
        return float(nme(outputs["landmarks"][self.scored], truth).mean())

    def compare(self, run: Run) -> Parity:
        """Compare an artefact on the same clips.

        Raises:
            ExportError: an output is not finite, or differs between a clip alone and in a batch.
        """
        card, expected = self.card, self.outputs
        actual = _outputs(run, self.clips, self.indices)
        alone = run(next(self.clips.batches(self.indices[:1])))
        for name in expected:
            if not np.isfinite(actual[name]).all():
                raise ExportError(
                    f"nothing was written: the output {name} is not finite", field=name
                )
            largest = float(np.abs(alone[name] - actual[name][:1]).max())
            if largest > ALONE_TOLERANCE:
                raise ExportError(
                    f"nothing was written: the output {name} of a clip alone and in a batch "
                    f"differs by {largest:.3g}",
                    field=name,
                    value=largest,
                    expected=f"at most {ALONE_TOLERANCE:g}",
                )

        faces = self.clips.faces[self.indices]
        height, width = card.inputs[0].shape[-2:]
        shift = (actual["landmarks"] - expected["landmarks"])[self.scored]
        displacement_px = np.linalg.norm(shift * np.array([width, height], np.float32), axis=-1)
        difference = {name: np.abs(actual[name] - expected[name]) for name in expected}
        for name in ("landmarks", "log_sigma"):
            difference[name] = difference[name][self.scored]
        # The logit of the probability in the card.
        threshold = np.log(card.presence_threshold / (1 - card.presence_threshold))
        before, after = (outputs["presence"][:, 0] > threshold for outputs in (expected, actual))
        return Parity(
            clips=len(self.indices),
            faces=int(self.scored.sum()),
            difference={name: (float(d.max()), float(d.mean())) for name, d in difference.items()},
            mean_px=float(displacement_px.mean()),
            p99_px=float(np.percentile(displacement_px, 99)),
            nme_checkpoint=self._nme(expected),
            nme_artefact=self._nme(actual),
            presence_flips=float((before != after).mean()),
            presence_checkpoint=float((before == faces).mean()),
            presence_artefact=float((after == faces).mean()),
        )


def torch_run(network: nn.Module, card: ModelCard) -> Run:
    """Inference of a network in torch."""
    names = [spec.name for spec in card.outputs]

    def run(inputs: NDArray[np.float32]) -> Arrays:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(inputs))
        return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}

    return run


def runtime_run(runtime: Runtime, card: ModelCard) -> Run:
    """Inference of a loaded artefact."""
    name = card.inputs[0].name
    return lambda inputs: runtime.run({name: inputs})


def _outputs(run: Run, clips: CalibrationSet, indices: NDArray[np.intp]) -> Arrays:
    parts = [run(batch) for batch in clips.batches(indices)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
