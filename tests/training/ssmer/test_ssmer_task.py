"""Pretraining: every objective learns, collapse is reported, and the result fits a backbone."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from evface_edge.errors import ConfigError, ModelError
from evface_training.networks.hrnet import HRNet, HRNetConfig
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.ssmer.events import UNCHANGED, Augmentation, PackedEvents
from evface_training.ssmer.network import Encoder, SharedEncoder
from evface_training.ssmer.task import SsmerConfig, SsmerTask, load_pretrained
from evface_training.ssmer.views import view

STUDENT = StudentConfig(side=32, channels=(16, 16, 16, 32), blocks=(0, 0, 0), hidden=32)
HRNET = HRNetConfig(
    in_channels=10, stem=8, bottlenecks=1, width=8, modules=(1,), blocks=1, out_channels=16
)
SMALL = {"side": 32, "projection": 32, "prediction": 16}
GENTLE = Augmentation(0.1, 0.0, 0.01, 0.02, (0.8, 1.0), 1.0, 0.0)


def config(**change: object) -> SsmerConfig:
    return SsmerConfig(**{**SMALL, **change})  # type: ignore[arg-type]


def events(clips: int = 8) -> dict[str, Tensor]:
    """A dot per clip, each on a path of its own."""
    torch.manual_seed(0)
    each = 600
    start, end = torch.rand(2, clips, 1, 2)
    time = torch.rand(clips, each).sort(1).values
    places = start + (end - start) * time[..., None] + 0.03 * torch.randn(clips, each, 2)
    x, y = places.flatten(0, 1).T
    clip = torch.arange(clips).repeat_interleave(each)
    on = torch.randint(2, (len(clip),))
    return PackedEvents(clip, time.flatten(), x, y, on, torch.full((clips,), 4e4)).to_batch()


@pytest.mark.parametrize("objective", ["simsiam", "mirror"])
def test_all_weights_get_a_gradient(objective: str, left_out: Callable[..., list[str]]) -> None:
    for encoder in (Encoder.of_student(STUDENT), Encoder.of_hrnet(HRNET)):
        assert left_out(SsmerTask(encoder, config(objective=objective)), events(4)) == []


@pytest.mark.parametrize("objective", ["simsiam", "mirror"])
def test_it_can_overfit_eight_clips(
    objective: str, teach: Callable[..., list[dict[str, float]]]
) -> None:
    torch.manual_seed(0)
    views = ("frame", "voxel", "surface")
    task = SsmerTask(
        Encoder.of_student(STUDENT), config(objective=objective, views=views, augmentation=GENTLE)
    )
    history = teach(task, events(), 30, 2e-3)
    first, last = (sum(h["total"] for h in part) / 5 for part in (history[:5], history[-5:]))
    assert last < first - 0.2 * abs(first)
    assert history[-1]["embedding_std"] > 0.3


def test_all_pairs_are_summed() -> None:
    """Three views with the same embeddings: three pairs of cosine 1."""
    task = SsmerTask(Encoder.of_student(STUDENT), config())
    same = torch.randn(8, 32)
    task.predictor = nn.Identity()  # type: ignore[assignment]
    assert float(task._agreement([same] * 3)["total"]) == pytest.approx(-3)
    assert float(task._agreement([same] * 2)["total"]) == pytest.approx(-1)


def test_one_view_is_paired_with_itself() -> None:
    """Two augmentations of one view are compared; without changes they are the same image."""
    torch.manual_seed(0)
    task = SsmerTask(Encoder.of_student(STUDENT), config(views=("voxel",), augmentation=UNCHANGED))
    batch = events()
    image = view("voxel", PackedEvents.of_batch(batch), 32)
    z = task.projector(task.shared(image, "voxel").mean((2, 3)))
    assert task.predictor is not None
    expected = -float(nn.functional.cosine_similarity(task.predictor(z), z).mean().detach())
    assert float(task(batch, 1)["agreement"]) == pytest.approx(expected, abs=1e-3)
    other = SsmerTask(Encoder.of_student(STUDENT), config(views=("voxel",)))
    other.load_state_dict(task.state_dict())
    assert abs(float(other(batch, 1)["agreement"]) - expected) > 1e-2


def test_with_a_grid_views_share_their_crop_and_are_compared_by_cell() -> None:
    """With crops and mirroring only, two augmentations of one view are the same image."""
    torch.manual_seed(0)
    moved = Augmentation(0, 0, 0, 0, (0.3, 0.6), 1.3, 0.5)
    task = SsmerTask(
        Encoder.of_student(STUDENT), config(views=("voxel",), grid=2, augmentation=moved)
    )
    drawn: list[Tensor] = []
    task.shared.register_forward_hook(lambda *call: drawn.append(call[2].detach()))
    embedded: list[Tensor] = []
    task.projector.register_forward_hook(lambda *call: embedded.append(call[1][0].detach()))
    task(events(), 1)
    torch.testing.assert_close(drawn[0], drawn[1])
    assert embedded[0].shape == (8 * 4, 32)  # 2 × 2 cells of each clip
    cells = embedded[0].view(8, 2, 2, 32).permute(0, 3, 1, 2)
    torch.testing.assert_close(cells, drawn[0] - drawn[0].mean(0))  # minus the mean over clips
    whole = SsmerTask(Encoder.of_student(STUDENT), config(views=("voxel",), augmentation=moved))
    drawn.clear()
    whole.shared.register_forward_hook(lambda *call: drawn.append(call[2].detach()))
    whole(events(), 1)
    assert not torch.allclose(drawn[0], drawn[1])


def test_simsiam_gives_targets_no_gradient() -> None:
    """With a predictor that ignores its input, the encoder gets no gradient."""
    task = SsmerTask(Encoder.of_student(STUDENT), config())
    assert task.predictor is not None
    nn.init.zeros_(task.predictor[-1].weight)  # type: ignore[arg-type]
    task(events(), 1)["total"].backward()
    assert all(not p.grad.any() for p in task.shared.parameters() if p.grad is not None)


class Constant(nn.Module):
    """Ignores its input."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.rand(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.value[None, :, None, None].expand(len(x), 16, 2, 2) + 0 * x.mean()


@pytest.mark.parametrize("objective", ["simsiam", "mirror"])
def test_a_constant_encoder_is_reported_as_collapsed(
    objective: str, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Encoder(Constant(), in_channels=10, width=16, stride=16)
    task = SsmerTask(encoder, config(objective=objective, watch_every=10))
    with caplog.at_level(logging.WARNING):
        losses = task(events(), 9)
        assert not caplog.records
        task(events(), 10)
    assert [record.args[0] for record in caplog.records if record.args] == [10]
    assert float(losses["embedding_std"]) < 0.1


class PositionOnly(Constant):
    """Each cell depends on its position only."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.tensor([[1.0, -1.0], [2.0, 0.5]])


@pytest.mark.parametrize("objective", ["simsiam", "mirror"])
def test_cells_that_depend_on_position_only_are_reported_as_collapsed(
    objective: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = SsmerTask(
        Encoder(PositionOnly(), in_channels=10, width=16, stride=16),
        config(objective=objective, grid=2, watch_every=10),
    )
    with caplog.at_level(logging.WARNING):
        losses = task(events(), 10)
    assert [record.args[0] for record in caplog.records if record.args] == [10]
    assert float(losses["embedding_std"]) < 0.1
    assert float(losses["feature_std"]) < 0.01


@pytest.mark.parametrize("objective", ["simsiam", "mirror"])
def test_a_fresh_encoder_is_not_reported(objective: str, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING):
        losses = SsmerTask(Encoder.of_hrnet(HRNET), config(objective=objective))(events(16), 0)
    assert not caplog.records
    assert 0.3 < float(losses["embedding_std"]) < 1.1


@pytest.mark.parametrize("view", ["frame", "voxel", "surface"])
def test_the_adapter_is_folded_into_the_encoder(view: str) -> None:
    channels = {"frame": 2, "voxel": 10, "surface": 2}[view]
    torch.manual_seed(0)
    views = ("frame", "voxel", "surface")
    for encoder in (Encoder.of_student(STUDENT), Encoder.of_hrnet(HRNET)):
        shared = SharedEncoder(encoder, views).eval()
        nn.init.normal_(shared.adapters[view].weight)  # type: ignore[arg-type]
        image = torch.rand(2, channels, 32, 32)
        expected = shared(image, view)
        torch.testing.assert_close(shared.pretrained(view)(image), expected, atol=1e-4, rtol=1e-4)
        target: nn.Module = (
            Student(StudentConfig(**{**vars(STUDENT), "in_channels": channels})).backbone
            if encoder.stride == 16
            else HRNet(HRNetConfig(**{**vars(HRNET), "in_channels": channels}))
        )
        load_pretrained(target, shared, view)
        torch.testing.assert_close(target.eval()(image), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("view", ["frame", "surface"])
def test_a_voxel_grid_summed_over_time_is_a_frame(view: str) -> None:
    torch.manual_seed(0)
    shared = SharedEncoder(Encoder.of_student(STUDENT), (view,)).eval()
    voxels = torch.rand(2, 10, 32, 32)
    expected = shared(voxels.unflatten(1, (2, 5)).sum(2), view)
    features = shared.pretrained("voxel")(voxels)
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)


def test_networks_and_settings_that_do_not_fit_are_errors() -> None:
    shared = SharedEncoder(Encoder.of_student(STUDENT), ("voxel",))
    with pytest.raises(ConfigError, match="voxel", check=lambda e: e.value == "frame"):
        shared.pretrained("frame")
    other = Student(StudentConfig(**{**vars(STUDENT), "channels": (32, 16, 16, 32)}))
    with pytest.raises(ConfigError, check=lambda e: e.field == "backbone"):
        load_pretrained(other.backbone, shared, "voxel")
    strange = SharedEncoder(Encoder(nn.Linear(3, 3), 10, 3, 1), ("voxel",))
    with pytest.raises(ModelError, check=lambda e: (e.field, e.value) == ("encoder", "Linear")):
        strange.pretrained("voxel")
    with pytest.raises(ConfigError, check=lambda e: (e.field, e.value) == ("batch", 1)):
        SsmerTask(Encoder.of_student(STUDENT), config())(events(1), 0)
    with pytest.raises(ConfigError, check=lambda e: e.field == "SsmerConfig.objective"):
        config(objective="byol")
    with pytest.raises(ConfigError, check=lambda e: e.field == "SsmerConfig.grid"):
        config(grid=3)
