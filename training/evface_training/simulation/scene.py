"""Still images in motion: renders crops of them at any instant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_training.simulation.fields import GRID, basis_fields, grid_places, turning_fields
from evface_training.simulation.frame_camera import FrameCameras
from evface_training.simulation.lids import Blinking
from evface_training.simulation.motion import Trajectories
from evface_training.simulation.occluders import Passing
from evface_training.simulation.relief import FittedHead, source_places


@dataclass(frozen=True)
class Scenes:
    """B crops of images, their motion, and the objects that pass in front of them.

    Attributes:
        to_source: (B, 2, 3) crop fractions → pixels of the image, centres at integers.
        fields: (B, 14, 2, G, G) displacement fields, fractions of the crop.
        trajectories: the amounts of the fields over time.
        passing: with textures of light and coverage, in as many channels as the images.
        side: of the crops, pixels.
        exact_head: if given, the head is turned exactly at each instant, instead of along the
            parabola of `trajectories`.
        blinking: lids that close in the images.
    """

    to_source: Tensor
    fields: Tensor
    trajectories: Trajectories
    passing: Passing
    side: int
    exact_head: FittedHead | None = None
    blinking: Blinking | None = None

    def __getitem__(self, part: slice) -> Scenes:
        return Scenes(
            self.to_source[part],
            self.fields[part],
            self.trajectories[part],
            self.passing[part],
            self.side,
            None if self.exact_head is None else self.exact_head[part],
            None if self.blinking is None else self.blinking[part],
        )


class SceneRenderer:
    """Renders scenes with images (B, C, P, P) at one instant after the other."""

    def __init__(self, scenes: Scenes, images: Tensor) -> None:
        self._scenes, self._images = scenes, images
        blinking = scenes.blinking
        self._painter = None if blinking is None else blinking.painter(images)
        batch, count, _, grid, _ = scenes.fields.shape
        self._places = grid_places(grid, scenes.side, images.device)
        # Where each place of the crop is in the image, in grid_sample's [-1, 1] between outer
        # edges; pixel centres of `to_source` are at integers.
        scale = 2 / images.shape[-1]
        self._linear = scenes.to_source[:, :, :2] * scale
        shift = (scenes.to_source[:, :, 2] + 0.5) * scale - 1
        rest = self._in_image(self._places.permute(2, 0, 1)) + shift[:, :, None, None]
        self._rest = rest.reshape(batch, 1, -1)
        moves = self._linear.reshape(batch, 1, 2, 2) @ scenes.fields.flatten(3)
        self._moves = moves.reshape(batch, count, -1)
        self._finer = _interpolation(grid, scenes.side, images.device)

    def _in_image(self, shift: Tensor) -> Tensor:
        """Convert displacements (B or 1, 2, G, G) from crop to image coordinates (B, 2, G, G)."""
        return (self._linear @ shift.flatten(-2)).reshape(-1, *shift.shape[-3:])

    def render(self, times: Tensor, amounts: Tensor | None = None) -> Tensor:
        """Render the crops at times (B,), in windows.

        Args:
            amounts: (B, 14) of the fields, if already computed.

        Returns:
            (B, C, side, side).
        """
        scenes, images = self._scenes, self._images
        if amounts is None:
            amounts = scenes.trajectories.at(times[:, None])[..., 0]
        if self._painter is not None and scenes.blinking is not None:
            images = self._painter.draw(scenes.blinking.closure(times))
        turned = None
        if scenes.exact_head is not None:
            amounts = amounts.clone()
            amounts[:, 4:6] = 0
            turned = self._in_image(self._turned(scenes.exact_head, times))
        batch, grid, side = len(images), len(self._places), scenes.side
        source = torch.baddbmm(self._rest, amounts[:, None], self._moves, alpha=-1)
        if turned is not None:
            source -= turned.reshape(source.shape)
        # Bilinear, as a product on either side; much faster than F.interpolate on a CPU.
        wide = source.reshape(-1, grid) @ self._finer.T
        dense = torch.matmul(self._finer, wide.reshape(batch, 2, grid, side))
        shown = F.grid_sample(
            images, dense.permute(0, 2, 3, 1), "bilinear", "border", align_corners=False
        )
        return scenes.passing.cover_(shown, times)

    def _turned(self, head: FittedHead, times: Tensor) -> Tensor:
        """Return the displacement by the turn of the head, (B, 2, G, G)."""
        yaw, pitch = self._scenes.trajectories.turn_at(times[:, None])[..., 0].unbind(1)
        flat = self._places.reshape(1, -1, 2).expand(len(yaw), -1, -1)
        turned = flat - source_places(head, yaw, pitch, flat)
        return turned.transpose(1, 2).reshape(len(yaw), 2, *self._places.shape[:2])


def _interpolation(grid: int, side: int, device: torch.device) -> Tensor:
    """Return (side, grid): the linear interpolation from grid points to pixels."""
    return F.interpolate(
        torch.eye(grid, device=device)[None], side, mode="linear", align_corners=True
    )[0].T.contiguous()


def crop_fields(
    points: Tensor, head: FittedHead, trajectories: Trajectories, side: int, grid: int = GRID
) -> Tensor:
    """Return the displacement fields of crops with landmarks (B, 98, 2) and motions."""
    places = grid_places(grid, side, points.device)
    fields = basis_fields(points, places)
    fields[:, 4:6] = turning_fields(head, trajectories.farthest_turn(), places)
    return fields


def exposed(scenes: Scenes, light: Tensor, cameras: FrameCameras, duration_s: Tensor) -> Tensor:
    """Return the mean of the light (B, C, P, P) over exposures centred on the windows' ends.

    Returns:
        (B, C, side, side).
    """
    renderer, total = SceneRenderer(scenes, light), torch.zeros((), device=light.device)
    for index in range(cameras.samples):
        offset = (index + 0.5) / cameras.samples - 0.5
        total = total + renderer.render(1 + offset * cameras.exposure_s / duration_s)
    return total / cameras.samples
