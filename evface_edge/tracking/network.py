"""The landmark network: events and face boxes in, detections out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import evface_runtimes
from evface_edge.card import ModelCard
from evface_edge.card_file import check_tensors, read_card
from evface_edge.errors import ConfigError, ModelError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_edge.landmarks import MIRROR
from evface_edge.representation import Representation, from_config
from evface_edge.tracking.event_buffer import EventBuffer
from evface_runtimes import Runtime

_OUTPUTS = {"landmarks", "log_sigma", "presence"}
#: x → 1 - x, y → y: the mirror image of fractions of a crop.
_MIRROR_SCALE, _MIRROR_OFFSET = np.array([-1, 1], np.float32), np.array([1, 0], np.float32)


@dataclass(frozen=True, eq=False)
class Detection:
    """The output of the network for one crop, in sensor pixels.

    Attributes:
        landmarks: (98, 2) float32, pixels.
        sigma: (98,) float32, standard deviation of each landmark, pixels.
        presence: probability of a face, 0 to 1.
        event_count: number of events inside the crop.
        t_us: time of the newest event of the crop.
    """

    landmarks: NDArray[np.float32]
    sigma: NDArray[np.float32]
    presence: float
    event_count: int
    t_us: int

    @cached_property
    def box(self) -> Box:
        """The tight box around the landmarks."""
        return Box.around(self.landmarks)

    @cached_property
    def relative_sigma(self) -> float:
        """Mean σ of the landmarks ÷ longer side of the box."""
        return float(self.sigma.mean()) / self.box.longer_side


@dataclass(frozen=True, eq=False)
class Crop:
    """A square part of the sensor, with its newest events.

    Attributes:
        box: the square.
        events: the newest events inside, then the newest event of the sensor.
        event_count: number of events inside.
        now_us: the output instant.
        mirrored: whether the network gets the mirror image; its output is mirrored back. The
            errors of an image and of its mirror image are partly independent.
    """

    box: Box
    events: EventArray
    event_count: int
    now_us: int
    mirrored: bool = False

    def tensor(self, representation: Representation, side: tuple[int, int]) -> NDArray[np.float32]:
        """The input of the network, (C, side, side)."""
        tensor = representation.crop(self.events, self.box, side)
        return np.ascontiguousarray(tensor[..., ::-1]) if self.mirrored else tensor

    def detection(
        self, landmarks: NDArray[np.float32], log_sigma: NDArray[np.float32], presence: float
    ) -> Detection:
        """The output of the network, fractions of the crop, in sensor pixels."""
        if self.mirrored:
            landmarks, log_sigma = landmarks[MIRROR], log_sigma[MIRROR]
            landmarks = landmarks * _MIRROR_SCALE + _MIRROR_OFFSET
        side = np.float32(self.box.width)
        return Detection(
            landmarks=landmarks * side + np.array([self.box.x, self.box.y], np.float32),
            sigma=np.exp(log_sigma) * side,
            presence=presence,
            event_count=self.event_count,
            t_us=int(self.events["t"][-1]) if len(self.events) else self.now_us,
        )


class LandmarkNetwork:
    """A landmark network in a runtime.

    Args:
        model: path of a model file with its card inside; or a card, if `runtime` is an object.
        runtime: name of a runtime, or a runtime object: anything that satisfies
            `evface_runtimes.Runtime`, such as an `evface_runtimes.MockRuntime`. An object stays
            the caller's: `close` does not close it.
        device, threads: as `evface_runtimes.load` takes them; not with a runtime object.

    Raises:
        ModelError: the file has no card, or the card does not fit the network.
        RuntimeUnavailable: the runtime or the device is not available.
        ConfigError: a card without a runtime object, or a device or threads with one.
    """

    def __init__(
        self,
        model: Path | ModelCard,
        *,
        runtime: str | Runtime | None = None,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self.card = model if isinstance(model, ModelCard) else read_card(model)
        self._owns_runtime = runtime is None or isinstance(runtime, str)
        if runtime is not None and not isinstance(runtime, str):
            if (device, threads) != ("auto", 1):
                raise ConfigError(
                    "device, threads", (device, threads), "no value if runtime is an object"
                )
            self.runtime = runtime
        elif isinstance(model, ModelCard):
            raise ConfigError("runtime", runtime, "a runtime object if the model is a card")
        else:
            self.runtime = evface_runtimes.load(
                model, runtime=runtime, device=device, threads=threads
            )
        self._representation, self._side = from_config(self.card.representation)
        self._check(self.card.name if isinstance(model, ModelCard) else model)

    def _check(self, origin: str | Path) -> None:
        width, height = self._side
        shape = (self._representation.channels, height, width)
        check_tensors(self.card, self.runtime.inputs, self.runtime.outputs, origin=origin)
        if len(self.card.inputs) != 1 or self.card.inputs[0].shape[1:] != shape:
            raise ModelError(
                f"input {self.card.inputs}, but the representation of the card makes "
                f"(-1, {', '.join(map(str, shape))})",
                path=origin,
                field="inputs",
                value=self.card.inputs,
                expected=str((-1, *shape)),
            )
        names = {spec.name for spec in self.card.outputs}
        if not names >= _OUTPUTS:
            raise ModelError(
                f"no output {', '.join(sorted(_OUTPUTS - names))} in the card",
                path=origin,
                field="outputs",
                value=sorted(names),
                expected=", ".join(sorted(_OUTPUTS)),
            )

    def crop(self, buffer: EventBuffer, box: Box, now_us: int, *, mirrored: bool = False) -> Crop:
        """The square around a face box, with as many of the newest events as the card states."""
        square = box.square(self.card.crop_scale)
        events, count = buffer.window(square, self.card.window, now_us)
        return Crop(square, events, count, now_us, mirrored)

    def target_events(self, crop: Crop) -> int:
        """The number of events that make a full input for this crop."""
        return self.card.window.target_events(crop.box.width * crop.box.height)

    def feed(self, crops: Sequence[Crop]) -> dict[str, NDArray[np.float32]]:
        """The input of the runtime for these crops, as one batch."""
        inputs = [crop.tensor(self._representation, self._side) for crop in crops]
        # A single crop, the usual case, is not copied: that would take as long as its events.
        batch = inputs[0][None] if len(inputs) == 1 else np.stack(inputs)
        return {self.card.inputs[0].name: batch}

    def infer(self, crops: Sequence[Crop]) -> list[Detection]:
        """One detection for each crop; all crops run in one batch."""
        if not crops:
            return []
        outputs = self.runtime.run(self.feed(crops))
        logits = np.clip(outputs["presence"][:, 0], -30, 30)  # exp() does not overflow
        presence = 1 / (1 + np.exp(-logits))
        return [
            crop.detection(landmarks, log_sigma, float(probability))
            for crop, landmarks, log_sigma, probability in zip(
                crops, outputs["landmarks"], outputs["log_sigma"], presence, strict=True
            )
        ]

    def detect(self, buffer: EventBuffer, boxes: Sequence[Box], now_us: int) -> list[Detection]:
        """Crop each face box and infer."""
        return self.infer([self.crop(buffer, box, now_us) for box in boxes])

    def close(self) -> None:
        """Close the runtime, unless it was passed as an object."""
        if self._owns_runtime:
            self.runtime.close()
