"""Three heads with the same outputs: points and their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_training.networks.heads import HEADS, HeatmapHead, RegressionHead, Relation, SimCCHead
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.tasks.student import StudentTask

TINY = StudentConfig(side=64, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=64)


def tiny(head: str) -> Student:
    torch.manual_seed(0)
    name, relations, _ = head.partition(" with relations")
    return Student(StudentConfig(**{**vars(TINY), "head": name, "relations": 2 * bool(relations)}))


NAMES = (*HEADS, "simcc with relations")


@pytest.mark.parametrize("name", NAMES)
def test_all_heads_give_the_same_outputs(name: str) -> None:
    landmarks, log_sigma, presence = tiny(name)(torch.rand(3, 10, 64, 64))
    assert landmarks.shape == (3, 98, 2)
    assert log_sigma.shape == (3, 98)
    assert presence.shape == (3, 1)


@pytest.mark.parametrize("name", NAMES)
def test_each_head_can_overfit_eight_clips(
    name: str,
    point_clips: Callable[..., dict[str, Tensor]],
    teach: Callable[..., list[dict[str, float]]],
) -> None:
    task = StudentTask(tiny(name))
    history = teach(task, point_clips(8, 64), 60, 4e-3)
    assert history[-1]["distance"] < 0.35 * history[0]["distance"]


@pytest.mark.parametrize("name", NAMES)
def test_all_weights_get_a_gradient(
    name: str,
    point_clips: Callable[..., dict[str, Tensor]],
    left_out: Callable[..., list[str]],
) -> None:
    assert left_out(StudentTask(tiny(name)), point_clips(2, 64)) == []


def test_a_heatmap_peak_is_its_cell() -> None:
    head = tiny("heatmap").head
    assert isinstance(head, HeatmapHead)
    cells = len(head.cell_centers)
    raw = torch.full((1, 98, cells, cells), -50.0)
    raw[:, :, 3, 7] = 50.0
    points, _ = head.decode(raw)
    # 4 cells a side and an edge of 1, four times finer: 24 cells of a 16th of the crop.
    assert cells == 24
    expected = torch.tensor([(7 + 0.5) / 16 - 0.25, (3 + 0.5) / 16 - 0.25])
    torch.testing.assert_close(points, expected.expand(1, 98, 2))


@pytest.mark.parametrize("kind", ["simcc", "heatmap"])
def test_a_gaussian_is_decoded_to_its_mean_and_spread(kind: str) -> None:
    head = tiny(kind).head
    mean, sigma = torch.tensor([0.4, 0.6]), 0.05
    if isinstance(head, SimCCHead):
        raw = -0.5 * ((head.bin_centers - mean[:, None]) / sigma) ** 2
        raw = raw.expand(1, 98, -1, -1)
    else:
        assert isinstance(head, HeatmapHead)
        x, y = -0.5 * ((head.cell_centers - mean[:, None]) / sigma) ** 2
        raw = (y[:, None] + x[None, :]).expand(1, 98, -1, -1)
    points, log_sigma = head.decode(raw)
    torch.testing.assert_close(points, mean.expand(1, 98, 2), atol=1e-3, rtol=0)
    assert float(log_sigma.detach().exp().mean()) == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["simcc", "heatmap"])
def test_sigma_of_any_width_survives_16_bits(kind: str, dtype: torch.dtype) -> None:
    """From half a bin to a fifth of the crop, all over the crop, against float64."""
    head = HEADS[kind](TINY)  # type: ignore[index]
    centers = head.bin_centers if isinstance(head, SimCCHead) else head.cell_centers
    assert isinstance(centers, Tensor)
    width = float(centers[1] - centers[0])
    sigma = torch.logspace(-0.3, math.log10(0.2 / width), 98) * width
    for place in (-0.1, 0.3, 0.5, 0.97):
        along = -0.5 * ((centers - place) / sigma[:, None]) ** 2
        if isinstance(head, SimCCHead):
            raw = torch.stack([along, along], 1)[None]
        else:
            raw = (along[:, :, None] + along[:, None, :])[None]
        raw = raw.to(dtype)
        _, expected = head.double().decode(raw.double())
        _, found = head.to(dtype).decode(raw)
        torch.testing.assert_close(found.double(), expected, atol=0.1, rtol=0)
        head.float()


@pytest.mark.parametrize("kind", ["simcc", "heatmap"])
def test_the_target_distribution_has_the_smallest_divergence(kind: str) -> None:
    head = tiny(kind).head
    truth = torch.tensor([0.4, 0.6]).expand(1, 98, 2)
    if isinstance(head, SimCCHead):
        width = float(head.bin_centers[1] - head.bin_centers[0])
        raw = -0.5 * ((head.bin_centers - truth[..., None]) / (1.5 * width)) ** 2
    else:
        assert isinstance(head, HeatmapHead)
        width = float(head.cell_centers[1] - head.cell_centers[0])
        x, y = (-0.5 * ((head.cell_centers - truth[..., None]) / width) ** 2).unbind(2)
        raw = y[..., :, None] + x[..., None, :]
    best = head.divergence(raw, truth)
    torch.testing.assert_close(best, torch.zeros(1, 98), atol=1e-4, rtol=0)
    assert bool((head.divergence(raw + torch.randn_like(raw), truth) > best).all())


def test_a_regressed_sigma_is_learned_as_the_standard_deviation() -> None:
    head = tiny("regression").head
    assert isinstance(head, RegressionHead)
    noise = torch.distributions.Laplace(0.0, 0.03).sample((400, 98, 2))
    truth = 0.5 + noise
    log_sigma = torch.full((98,), -2.0, requires_grad=True)
    optimiser = torch.optim.Adam([log_sigma], lr=0.1)
    for _ in range(80):
        raw = torch.cat([torch.zeros(400, 98, 2), log_sigma.expand(400, -1)[..., None]], -1)
        loss = head.divergence(raw, truth).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    actual = float(log_sigma.detach().exp().mean())
    assert actual == pytest.approx(0.03 * math.sqrt(2), rel=0.02)


def test_a_relation_is_a_layer_across_points_and_one_within_each() -> None:
    torch.manual_seed(3)
    relation = Relation(16)
    points = torch.rand(2, 16, 1, 98)
    torch.testing.assert_close(relation(points), points)  # it starts as the identity
    for weights in relation.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    of = relation.get_parameter
    mixed = torch.einsum("pq,nwq->nwp", of("across.weight").flatten(1), points[:, :, 0])
    mixed = (mixed + of("across.bias")).clamp(0, 6)
    expected = torch.einsum("wv,nvp->nwp", of("within.weight").flatten(1), mixed)
    expected = expected + of("within.bias")[:, None]
    torch.testing.assert_close(relation(points)[:, :, 0], expected.clamp(0, 6))


def test_relations_can_be_added_to_a_trained_head() -> None:
    before, after = tiny("simcc").eval(), tiny("simcc with relations").eval()
    missing, unexpected = after.load_state_dict(before.state_dict(), strict=False)
    assert unexpected == []
    assert all(name.startswith("head.relations.") for name in missing)
    clips = torch.rand(2, 10, 64, 64)
    for predicted, expected in zip(after(clips), before(clips), strict=True):
        torch.testing.assert_close(predicted, expected)


def test_only_simcc_has_relations() -> None:
    with pytest.raises(ConfigError, check=lambda e: e.field == "StudentConfig.relations"):
        StudentConfig(head="heatmap", relations=1)


def test_an_unknown_head_is_an_error() -> None:
    with pytest.raises(ConfigError, match="simcc") as caught:
        StudentConfig(head="simc")  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.value) == ("StudentConfig.head", "simc")
