"""Training clips: events, their list, and the RGB frame of the same moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evface_edge.errors import ConfigError
from evface_training.data.faces import FaceSet
from evface_training.representation import normalise_counts_
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import Clips, ClipSimulator
from evface_training.simulation.frame_camera import FrameCameraPrior
from evface_training.simulation.motion import MotionPrior
from evface_training.simulation.occluders import occluder_bank, sample_passing
from evface_training.simulation.tone import Tone, grey

PLAIN = ClipPrior(
    motion=MotionPrior(
        displacement_px=(0.001, 0.002), speed_deg_per_s=(3.0, 3.0), shake_fraction=0.0
    ),
    negative_fraction=0.0,
    occlusion_fraction=0.0,
    passing_fraction=0.0,
    blink_fraction=0.0,
    shift=0.0,
    roll_deg=0.0,
)
SHARP = FrameCameraPrior(
    exposure_us=(1000, 1000),
    electrons_per_lux_s=(1e9, 1e9),
    full_well_e=1e6,
    read_noise_e=(0.1, 0.1),
)


def colored(faces: FaceSet) -> torch.Tensor:
    """The drawn faces with another tint in each channel."""
    images = torch.from_numpy(faces.images)
    return torch.stack([images, images // 2, 255 - images], -1)


def clips_of(faces: FaceSet, prior: ClipPrior, **options: object) -> Clips:
    simulator = ClipSimulator(prior, 64, 5, **options)  # type: ignore[arg-type]
    return simulator(colored(faces), torch.from_numpy(faces.points))


def test_shapes_and_ranges(drawn_faces: FaceSet) -> None:
    prior = ClipPrior(passing_fraction=0.5)
    clips = clips_of(drawn_faces, prior, frames=FrameCameraPrior(), lists=True)
    count = len(drawn_faces)
    assert clips.inputs.shape == (count, 10, 64, 64)
    assert clips.rgb is not None
    assert clips.rgb.shape == (count, 3, 64, 64)
    for tensor in (clips.inputs, clips.rgb):
        assert 0 <= float(tensor.min()) <= float(tensor.max()) <= 1
    assert clips.points.shape == (count, 98, 2)
    for tensor in (clips.presence, clips.duration_s, clips.lux, clips.speed_deg_per_s):
        assert tensor.shape == (count,)
        assert torch.isfinite(tensor).all()


def test_a_frame_shows_the_instant_of_the_landmarks(drawn_faces: FaceSet) -> None:
    """A red spot on the nose and a green one on the chin are where their landmarks are."""
    axis = torch.arange(192).float()
    points = torch.from_numpy(drawn_faces.points)
    spots = []
    for landmark in (54, 16):
        x, y = points[:, landmark, 0, None, None], points[:, landmark, 1, None, None]
        spots.append(torch.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / 18) * 255)
    images = torch.stack([*spots, torch.zeros_like(spots[0])], -1).to(torch.uint8)
    fast = MotionPrior(displacement_px=(14.0, 14.0), speed_deg_per_s=(900.0, 1000.0))
    prior = replace(PLAIN, motion=fast, roll_deg=20.0, shift=0.1)
    clips = ClipSimulator(prior, 64, 5, frames=replace(SHARP, exposure_us=(20, 20)))(images, points)
    assert clips.rgb is not None
    places = (torch.arange(64) + 0.5) / 64
    for channel, landmark in ((0, 54), (1, 16)):
        bright = (clips.rgb[:, channel] - 0.5).clamp_min(0)
        mass = bright.sum((1, 2))
        center = torch.stack([(bright.sum(1) * places).sum(1), (bright.sum(2) * places).sum(1)], -1)
        error_px = (center / mass[:, None] - clips.points[:, landmark]).norm(dim=1) * 64
        whole = ((clips.points[:, landmark] - 0.5).abs() < 0.42).all(1)  # not cut by the edge
        assert whole.sum() >= 10
        assert error_px[whole].max() < 0.5


def test_events_do_not_depend_on_frames(drawn_faces: FaceSet) -> None:
    without = clips_of(drawn_faces, ClipPrior())
    with_frames = clips_of(drawn_faces, ClipPrior(), frames=FrameCameraPrior())
    torch.testing.assert_close(without.inputs, with_frames.inputs)
    assert without.rgb is None
    assert without.events is None


def test_colour_gives_the_events_of_its_grey(drawn_faces: FaceSet) -> None:
    images_in_colour = colored(drawn_faces)
    as_grey = (grey(images_in_colour.permute(0, 3, 1, 2).float())[:, 0]).round().to(torch.uint8)
    points = torch.from_numpy(drawn_faces.points)
    silent = CameraPrior(shot_hz=(0.0, 0.0), hot_fraction=(0.0, 0.0))
    prior = replace(ClipPrior(), negative_fraction=0.0, camera=silent)
    one, other = (
        ClipSimulator(prior, 64, 8)(images, points).inputs for images in (images_in_colour, as_grey)
    )
    # Grey bytes are rounded: hardly an event moves.
    assert (one - other).abs().mean() < 0.05 * one.mean()


def test_the_list_holds_the_events_of_the_inputs(drawn_faces: FaceSet) -> None:
    simulator = ClipSimulator(ClipPrior(), 60, 2, lists=True)
    simulator.RESOLUTIONS = ((60, 1.0),)  # type: ignore[misc]
    clips = simulator(torch.from_numpy(drawn_faces.images), torch.from_numpy(drawn_faces.points))
    events = clips.events
    assert events is not None
    assert events.side_px == 60
    assert (events.clip.diff() >= 0).all()
    same = events.clip.diff() == 0
    assert (events.t_us.diff()[same] >= 0).all()
    counts = np.zeros((len(drawn_faces), 2, 5, 60, 60))
    position = (events.t_us + 0.5).numpy() * 4e-6 / clips.duration_s.double()[events.clip].numpy()
    index = events.clip.numpy(), events.p.numpy(), events.y.numpy(), events.x.numpy()
    for b in range(5):
        weight = np.maximum(0, 1 - np.abs(position - b))
        np.add.at(counts, (index[0], index[1], b, index[2], index[3]), weight)
    expected = normalise_counts_(torch.from_numpy(counts).float().flatten(1, 2))
    assert (clips.inputs - expected).abs().max() < 0.02  # times are whole microseconds


def test_noise_of_a_frame_is_that_of_its_photons() -> None:
    generator = torch.Generator().manual_seed(0)
    prior = FrameCameraPrior(
        exposure_us=(10_000, 10_000),
        electrons_per_lux_s=(1000, 1000),
        read_noise_e=(4.0, 4.0),
        full_well_e=10_000,
    )
    lux = torch.tensor([0.5, 20.0, 5000.0])
    cameras = prior.sample(lux, generator)
    # 5 e, 200 e; in bright light the exposure ends when white is full.
    torch.testing.assert_close(cameras.white_e, torch.tensor([5.0, 200.0, 10_000.0]))
    assert float(cameras.exposure_s[2]) == pytest.approx(2e-3)
    level = 0.4
    shown = cameras.develop(torch.full((3, 3, 200, 200), level), generator)
    for clip in (1, 2):
        white = float(cameras.shown_e[clip])
        electrons = level * float(cameras.white_e[clip])
        assert float(shown[clip].mean()) == pytest.approx(electrons / white, rel=0.01)
        assert float(shown[clip].std()) == pytest.approx((electrons + 16) ** 0.5 / white, rel=0.03)
    # The gain is at its limit: white is 5 of 156 electrons, and the image stays dark.
    assert float(shown[0].mean()) < 0.05


def test_a_frame_is_blurred_by_its_exposure(drawn_faces: FaceSet) -> None:
    """Motion blur takes away contrast, the more the longer the shutter is open."""
    moving = replace(
        PLAIN,
        motion=MotionPrior(
            displacement_px=(10.0, 10.0),
            speed_deg_per_s=(400, 400),
            pause_fraction=0.0,
        ),
    )
    coarse = torch.rand(12, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    texture = F.interpolate(coarse, (192, 192))[:, 0].mul(255).to(torch.uint8)
    edges = []
    for exposure_us in (500, 8_000, 30_000):
        frames = replace(
            SHARP,
            exposure_us=(exposure_us, exposure_us),
            electrons_per_lux_s=(1e-3, 1e-3),
            full_well_e=1e9,
            read_noise_e=(1e-9, 1e-9),
            max_gain=1e12,
        )
        # So few electrons that the exposure is never shortened, and noise is left out.
        simulator = ClipSimulator(moving, 64, 5, frames=frames)
        mean = []

        def keep(light: torch.Tensor, *_: object, mean: list[torch.Tensor] = mean) -> torch.Tensor:
            mean.append(light)
            return light.clamp(0, 1)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "evface_training.simulation.frame_camera.FrameCameras.develop",
                lambda self, light, generator: keep(light),
            )
            simulator(texture, torch.from_numpy(drawn_faces.points))
        edges.append(float(mean[0].diff(dim=-1).abs().mean()))
    assert edges[0] > 1.1 * edges[1], edges
    assert edges[1] > 1.3 * edges[2], edges


def test_passing_objects_cover_and_move() -> None:
    generator = torch.Generator().manual_seed(1)
    bank = occluder_bank(8, 0)
    assert bank.shape == (8, 4, 96, 96)
    assert 0.03 < float(bank[:, 3].mean()) < 0.9
    passing = sample_passing(20, 1.0, bank, generator, torch.device("cpu"))
    tone = Tone(torch.ones(20, 1, 1, 1), torch.zeros(20, 1, 1, 1))
    lit = passing.lit(tone.light, color=False)
    flat = torch.full((20, 1, 64, 64), -7.0)
    middles = []
    for time in (0.0, 1.0):
        covered = (lit.cover_(flat.clone(), torch.full((20,), time)) > -6.9).float()[:, 0]
        axis = (torch.arange(64) + 0.5) / 64
        mass = covered.sum((1, 2)).clamp_min(1)
        middles.append(
            torch.stack([(covered.sum(1) * axis).sum(1), (covered.sum(2) * axis).sum(1)], -1)
            / mass[:, None]
        )
        assert (mass > 20).float().mean() > 0.8
    # Slow ones that stay inside move as far as they are said to.
    slow = (passing.shift.norm(dim=1) < 0.15) & (passing.size < 0.4)
    slow &= ((passing.at - 0.5).abs() < 0.25).all(1)
    assert slow.sum() >= 2
    error = ((middles[1] - middles[0]) - passing.shift)[slow].norm(dim=1)
    assert error.max() < 0.03
    part = passing[slice(5, 9)]
    assert part.clip.tolist() == [0, 1, 2, 3]


def test_images_of_another_size_are_rejected(drawn_faces: FaceSet) -> None:
    small = torch.zeros(2, 64, 64, dtype=torch.uint8)
    with pytest.raises(ConfigError) as error:
        ClipSimulator(PLAIN, 64, 0)(small, torch.from_numpy(drawn_faces.points[:2]))
    assert error.value.field == "images"
