"""The landmark network, used as its card says: events and boxes in, observations out."""

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
from evface_edge.errors import ModelError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_edge.landmarks import MIRROR
from evface_edge.representation import Representation, from_config
from evface_edge.tracking.event_buffer import EventBuffer

#: x → 1 - x, y → y: fractions of a crop, seen in a mirror.
_TURN, _TURNED = np.array([-1, 1], np.float32), np.array([1, 0], np.float32)


@dataclass(frozen=True, eq=False)
class Observation:
    """What the network saw in one box.

    Attributes:
        landmarks: (98, 2) float32 sensor pixels; sigma: (98,) float32 sensor pixels.
        presence: 0 to 1.
        events: how many events inside the crop it looked at.
        t_us: of the newest of them.
    """

    landmarks: NDArray[np.float32]
    sigma: NDArray[np.float32]
    presence: float
    events: int
    t_us: int

    @cached_property
    def box(self) -> Box:
        return Box.around(self.landmarks)

    @cached_property
    def relative_sigma(self) -> float:
        """Mean σ ÷ longer side of the box."""
        box = self.box
        return float(self.sigma.mean()) / max(box.width, box.height)


@dataclass(frozen=True, eq=False)
class Look:
    """A square crop and the newest events around it.

    Attributes:
        events: those inside, and with them the newest of all; count: how many lie inside.
        now_us: the instant it was cut for.
        mirrored: left and right are exchanged for the network, and back in what it says: it errs
            in part differently.
    """

    crop: Box
    events: EventArray
    count: int
    now_us: int
    mirrored: bool = False

    def tensor(self, representation: Representation, side: tuple[int, int]) -> NDArray[np.float32]:
        """What the network looks at, (C, side, side)."""
        crop = representation.crop(self.events, self.crop, side)
        return np.ascontiguousarray(crop[..., ::-1]) if self.mirrored else crop

    def observation(
        self, landmarks: NDArray[np.float32], log_sigma: NDArray[np.float32], presence: float
    ) -> Observation:
        """From fractions of the crop to sensor pixels."""
        if self.mirrored:
            landmarks, log_sigma = landmarks[MIRROR], log_sigma[MIRROR]
            landmarks = landmarks * _TURN + _TURNED
        side = np.float32(self.crop.width)
        return Observation(
            landmarks=landmarks * side + np.array([self.crop.x, self.crop.y], np.float32),
            sigma=np.exp(log_sigma) * side,
            presence=presence,
            events=self.count,
            t_us=int(self.events["t"][-1]) if len(self.events) else self.now_us,
        )


class LandmarkNetwork:
    """A model file, opened by a runtime.

    Raises:
        ModelError: no card, or one that does not fit the file's tensors.
        RuntimeUnavailable: the named runtime or device is not there.
    """

    def __init__(
        self, path: Path, *, runtime: str | None = None, device: str = "auto", threads: int = 1
    ) -> None:
        self.card: ModelCard = read_card(path)
        self.runtime = evface_runtimes.load(path, runtime=runtime, device=device, threads=threads)
        self._representation, self._side = from_config(self.card.representation)
        self._check(path)

    def _check(self, path: Path) -> None:
        width, height = self._side
        shape = (self._representation.channels, height, width)
        check_tensors(self.card, self.runtime.inputs, self.runtime.outputs, origin=str(path))
        if len(self.card.inputs) != 1 or self.card.inputs[0].shape[1:] != shape:
            raise ModelError(
                f"{path}: the card's input {self.card.inputs} does not fit its representation, "
                f"which makes (-1, {', '.join(map(str, shape))})"
            )
        missing = {"landmarks", "log_sigma", "presence"} - {s.name for s in self.card.outputs}
        if missing:
            raise ModelError(f"{path}: the card names no output {', '.join(sorted(missing))}")

    def cut(self, recent: EventBuffer, box: Box, now_us: int, *, mirrored: bool = False) -> Look:
        """The newest events that one look at a face box needs."""
        crop = box.square(self.card.crop_scale)
        events, count = recent.window(crop, self.card.window, now_us)
        return Look(crop, events, count, now_us, mirrored)

    def judge(self, looks: Sequence[Look]) -> list[Observation]:
        """What the network makes of each look; all of them in one batch."""
        if not looks:
            return []
        crops = [look.tensor(self._representation, self._side) for look in looks]
        # One look, the usual case, goes on as it is; a copy would cost as much as its events.
        tensors = crops[0][None] if len(crops) == 1 else np.stack(crops)
        outputs = self.runtime.run({self.card.inputs[0].name: tensors})
        # The far tails of a logistic function need no more than this.
        logits = np.clip(outputs["presence"][:, 0], -30, 30)
        presence = 1 / (1 + np.exp(-logits))
        return [
            look.observation(landmarks, log_sigma, float(sure))
            for look, landmarks, log_sigma, sure in zip(
                looks, outputs["landmarks"], outputs["log_sigma"], presence, strict=True
            )
        ]

    def observe(self, recent: EventBuffer, boxes: Sequence[Box], now_us: int) -> list[Observation]:
        """Look at each face box, and judge."""
        return self.judge([self.cut(recent, box, now_us) for box in boxes])

    def close(self) -> None:
        self.runtime.close()
