"""Make evface_edge/data/face_shape.npz: mean and modes of the 98 points of a head in 3-D.

    python tools/make_face_shape.py

Identities and expressions are drawn from the parametric avatar, in head coordinates, so that a
fitted rotation is that of the head. Takes a few minutes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from rich.progress import track

from evface_edge.landmarks import CONTOUR, MIRROR
from evface_training.avatar import AvatarAnimation, AvatarIdentity, Expression, Pose
from evface_training.avatar.deformation import Deformer
from evface_training.avatar.landmarks import LandmarkModel
from evface_training.avatar.mesh import build
from evface_training.avatar.outline import outline_cells

TARGET = Path(__file__).parents[1] / "evface_edge" / "data" / "face_shape.npz"
MIRRORED_X = np.array([-1.0, 1.0, 1.0])


def main(identities: int = 250, expressions: int = 6, modes: int = 16, seed: int = 7) -> None:
    rng = np.random.default_rng(seed)
    shapes, slides = [], []
    for _ in track(range(identities), "avatars"):
        neutral = build(AvatarIdentity.sample(rng))
        placing, deformer = LandmarkModel(neutral), Deformer(neutral)
        moving = AvatarAnimation.sample(rng, seconds=20.0, pauses=False)
        for t_us in rng.uniform(0, moving.duration_us, expressions):
            expression: Expression = moving.state(t_us)[0]
            skin = deformer.apply(expression)
            cells = placing.cells(expression)
            points = placing.points(expression, skin, cells)
            shapes += [points, points[MIRROR] * MIRRORED_X]
            turned = cells.copy()
            pose = Pose(yaw_deg=float(rng.normal(0, 20)), pitch_deg=float(rng.normal(0, 12)))
            turned[CONTOUR] = outline_cells(neutral, cells, skin, pose)
            slides.append(placing.points(expression, skin, turned) - points)
    sample = np.stack(shapes).reshape(len(shapes), -1)
    mean = sample.mean(0)
    _, scale, directions = np.linalg.svd(sample - mean, full_matrices=False)
    deviations = scale[:modes] / np.sqrt(len(sample))
    kept = directions[:modes] * deviations[:, None]
    left = (sample - mean) - (sample - mean) @ directions[:modes].T @ directions[:modes]
    spread = np.sqrt(
        (left.reshape(-1, 98, 3) ** 2).mean((0, 2)) + (np.stack(slides) ** 2).mean((0, 2))
    )
    typer.echo(
        f"{len(sample)} shapes; {modes} modes leave "
        f"{np.sqrt((left**2).sum() / ((sample - mean) ** 2).sum()):.1%} of the deviation; "
        f"spread {spread.min():.2f} to {spread.max():.2f} mm"
    )
    np.savez(
        TARGET,
        mean_mm=mean.reshape(98, 3).astype(np.float32),
        modes_mm=kept.reshape(modes, 98, 3).astype(np.float32),
        spread_mm=spread.astype(np.float32),
    )
    typer.echo(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
