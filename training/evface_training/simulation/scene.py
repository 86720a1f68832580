"""Still pictures that move: what crops of them show at any instant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_training.simulation.fields import GRID, basis_fields, grid_places, turning_fields
from evface_training.simulation.frame_camera import FrameCameras
from evface_training.simulation.lids import Blinking
from evface_training.simulation.motion import Courses
from evface_training.simulation.occluders import Passing
from evface_training.simulation.relief import FittedHead, source_places


@dataclass(frozen=True)
class Scenes:
    """B crops of pictures, their motion, and what passes before them.

    Attributes:
        to_source: (B, 2, 3) crop fractions → pixels of the picture, centres at integers.
        fields: (B, 14, 2, G, G) displacement fields, fractions of the crop.
        courses: the amounts of the fields over time.
        passing: textures of two channels, log light and cover; or of four, colour and cover.
        side: of the crops, pixels.
        exact_head: where given, it is turned anew at each instant, instead of along the parabola
            of `courses`.
        blinking: lids that close in the pictures.
    """

    to_source: Tensor
    fields: Tensor
    courses: Courses
    passing: Passing
    side: int
    exact_head: FittedHead | None = None
    blinking: Blinking | None = None

    def __getitem__(self, part: slice) -> Scenes:
        return Scenes(
            self.to_source[part],
            self.fields[part],
            self.courses[part],
            self.passing[part],
            self.side,
            None if self.exact_head is None else self.exact_head[part],
            None if self.blinking is None else self.blinking[part],
        )

    def show(self, pictures: Tensor, times: Tensor, amounts: Tensor | None = None) -> Tensor:
        """Pictures (B, C, P, P) as the crops show them at times (B,), in windows.

        Args:
            amounts: (B, 14), where the caller has them already.

        Returns:
            (B, C, side, side).
        """
        if amounts is None:
            amounts = self.courses.at(times[:, None])[..., 0]
        if self.blinking is not None:
            pictures = self.blinking.show(pictures, times)
        batch, count, _, grid, _ = self.fields.shape
        places = grid_places(grid, self.side, pictures.device)
        turned: Tensor | float = 0.0
        if self.exact_head is not None and self.courses.turn_rad.any():
            amounts = amounts.clone()
            amounts[:, 4:6] = 0
            yaw, pitch = self.courses.turn_at(times[:, None])[..., 0].unbind(1)
            flat = places.reshape(1, -1, 2).expand(batch, -1, -1)
            turned = flat - source_places(self.exact_head, yaw, pitch, flat)
            turned = turned.transpose(1, 2).reshape(batch, 2, grid, grid)
        flow = torch.bmm(amounts[:, None], self.fields.reshape(batch, count, -1))
        shifted = places.permute(2, 0, 1) - flow.reshape(batch, 2, grid, grid) - turned
        source = torch.einsum("bij,bjhw->bihw", self.to_source[:, :, :2], shifted)
        source = source + self.to_source[:, :, 2, None, None]
        # Pixel centres at integers → grid_sample's [-1, 1] between outer edges.
        source = (source + 0.5) * (2 / pictures.shape[-1]) - 1
        dense = F.interpolate(source, (self.side, self.side), mode="bilinear", align_corners=True)
        shown = F.grid_sample(
            pictures, dense.permute(0, 2, 3, 1), "bilinear", "border", align_corners=False
        )
        return self.passing.cover(shown, times)


def crop_fields(
    points: Tensor, head: FittedHead, courses: Courses, side: int, grid: int = GRID
) -> Tensor:
    """The displacement fields of crops with these landmarks (B, 98, 2) and motions."""
    places = grid_places(grid, side, points.device)
    fields = basis_fields(points, places)
    if courses.turn_rad.any():
        fields[:, 4:6] = turning_fields(head, courses.farthest_turn(), places)
    return fields


def exposed(scenes: Scenes, light: Tensor, cameras: FrameCameras, duration_s: Tensor) -> Tensor:
    """Mean of the light (B, C, P, P) over exposures about the end of each window.

    Returns:
        (B, C, side, side).
    """
    total: Tensor | float = 0.0
    for index in range(cameras.samples):
        offset = (index + 0.5) / cameras.samples - 0.5
        total = total + scenes.show(light, 1 + offset * cameras.exposure_s / duration_s)
    return torch.as_tensor(total / cameras.samples)
