"""The teacher is the published network: its size, attention to RGB, stages, modalities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evface_edge.errors import ConfigError, ModelError
from evface_edge.landmarks import MIRROR
from evface_training.recipe import load_recipe
from evface_training.teacher.attention import ChannelFusion, CrossAttention, Tokens
from evface_training.teacher.config import FUSIONS, Fusion, TeacherConfig
from evface_training.teacher.network import Teacher, front_view
from evface_training.teacher.patches import sample_patches

TINY = load_recipe("teacher-tiny").teacher
PAPER = load_recipe("teacher-paper").teacher


def tiny(fusion: Fusion) -> Teacher:
    """A teacher whose output layer, which starts at zero, already moves points."""
    torch.manual_seed(0)
    teacher = Teacher(replace(TINY, fusion=fusion)).eval()
    torch.nn.init.normal_(teacher.to_offset.weight, std=0.05)
    return teacher


def images(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    events = torch.rand(count, 10, TINY.side, TINY.side, generator=generator)
    return events, torch.rand(count, 3, TINY.side, TINY.side, generator=generator)


def test_the_paper_size_is_the_published_one() -> None:
    """21.6 M parameters and 21.4 GFLOP: both backbones and both token convolutions count, the
    frozen ones too, and the transformer that the three stages share once."""
    teacher = Teacher(replace(PAPER, event_channels=3)).eval()
    assert sum(p.numel() for p in teacher.parameters()) == pytest.approx(21.6e6, rel=0.02)
    image = torch.zeros(1, 3, 256, 256)
    # Fused attention on a CPU is not counted; the plain one is.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        output = teacher(image, image)
    assert counter.get_total_flops() == pytest.approx(21.4e9, rel=0.02)
    assert output.layers.shape == (3, 6, 1, 98, 2)


def test_one_modality_is_slpt() -> None:
    """13.19 M parameters, as published for the six layers of SLPT (Xia et al., CVPR 2022)."""
    teacher = Teacher(replace(PAPER, fusion="rgb"))
    assert sum(p.numel() for p in teacher.parameters()) == pytest.approx(13.19e6, rel=0.005)


def test_patches_of_a_ramp_are_the_ramp() -> None:
    side = 32
    axis = (torch.arange(side) + 0.5) / side
    ramp = torch.stack([axis.expand(side, side), axis[:, None].expand(side, side)])[None]
    points = torch.tensor([[[0.5, 0.4], [0.3, 0.7]]])
    patches = sample_patches(ramp, points, 0.125, 5)
    assert patches.shape == (1, 2, 2, 5, 5)
    offset = torch.linspace(-0.125, 0.125, 5)
    torch.testing.assert_close(patches[0, 0, 0], (0.5 + offset).expand(5, 5))
    torch.testing.assert_close(patches[0, 1, 1], (0.7 + offset)[:, None].expand(5, 5))


def test_patches_in_bfloat16_have_exact_positions() -> None:
    axis = (torch.arange(256) + 0.5) / 256
    ramp = axis.expand(1, 1, 256, 256)
    points = torch.rand(1, 50, 2) * 0.8 + 0.1
    with torch.autocast("cpu", torch.bfloat16):
        middle = sample_patches(ramp, points, 0.01, 3)[0, :, 0, 1, 1]
    torch.testing.assert_close(middle, points[0, :, 0], atol=1e-5, rtol=0)


def test_attention_does_not_depend_on_the_order_of_tokens() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(16, 4, 0.0)
    query, values, structure = torch.rand(2, 7, 16), torch.rand(2, 7, 16), torch.rand(7, 16)
    actual = attention(query, Tokens(values, structure))
    order = torch.randperm(7)
    # Permuting the tokens changes nothing; permuting the queries permutes the output.
    together = attention(query, Tokens(values[:, order], structure[order]))
    torch.testing.assert_close(together, actual)
    torch.testing.assert_close(
        attention(query[:, order], Tokens(values, structure)), actual[:, order]
    )
    # Permuting the position encodings alone changes the output: they are used.
    assert not torch.allclose(attention(query, Tokens(values, structure[order])), actual, atol=1e-3)


def test_attention_with_equal_weights_is_the_mean() -> None:
    attention = CrossAttention(16, 4, 0.0)
    layer = attention.attention
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.cat([torch.zeros(32, 16), torch.eye(16)]))
        layer.out_proj.weight.copy_(torch.eye(16))
    values = torch.rand(1, 9, 16)
    actual = attention(torch.rand(1, 5, 16), Tokens(values, torch.rand(9, 16)))
    torch.testing.assert_close(actual, values.mean(1, keepdim=True).expand(1, 5, 16))


def test_channel_attention_follows_its_formula() -> None:
    torch.manual_seed(0)
    fusion, width, heads = ChannelFusion(8, 2), 8, 2
    fusion.mlp[2].weight.data.zero_()
    fusion.mlp[2].bias.data.zero_()
    events, rgb = torch.rand(1, width, 3, 4), torch.rand(1, width, 3, 4)
    actual = fusion(events, rgb, torch.ones(1, 1, 1))

    def normed(image: torch.Tensor) -> np.ndarray:
        cells = image[0].flatten(1).numpy()
        return (cells - cells.mean(0)) / np.sqrt(cells.var(0) + 1e-5)

    query = fusion.query.weight[:, :, 0, 0].detach().numpy() @ normed(events)
    key, value = np.split(fusion.key_value.weight[:, :, 0, 0].detach().numpy() @ normed(rgb), 2)
    mixed = np.empty_like(query)
    for part in np.split(np.arange(width), heads):
        q = query[part] / np.linalg.norm(query[part], axis=1, keepdims=True)
        k = key[part] / np.linalg.norm(key[part], axis=1, keepdims=True)
        weights = np.exp(q @ k.T)
        mixed[part] = weights / weights.sum(1, keepdims=True) @ value[part]
    project = fusion.project
    assert project.bias is not None
    added = project.weight[:, :, 0, 0].detach().numpy() @ mixed
    added += project.bias.detach().numpy()[:, None]
    expected = events + torch.from_numpy(added).reshape(1, width, 3, 4)
    torch.testing.assert_close(actual.detach(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fusion", ["cmfa", "efnet"])
def test_rgb_is_used_only_where_it_is_present(fusion: Fusion) -> None:
    teacher = tiny(fusion)
    events, rgb = images()
    with torch.no_grad():
        both = teacher(events, rgb).points
        none = teacher(events).points
        absent = teacher(events, rgb, torch.zeros(2)).points
        second = teacher(events, rgb, torch.tensor([0.0, 1.0])).points
        other = teacher(events, rgb.flip(-1)).points
    torch.testing.assert_close(absent, none)
    torch.testing.assert_close(second, torch.stack([none[0], both[1]]))
    assert not torch.allclose(both, none, atol=1e-5)
    assert not torch.allclose(both, other, atol=1e-5)


def test_a_stage_starts_with_the_detached_estimate_of_the_previous_one() -> None:
    teacher = tiny("events")
    torch.nn.init.zeros_(teacher.to_offset.weight)
    torch.nn.init.constant_(teacher.to_offset.bias, 0.5)
    output = teacher(images(1)[0])
    for stage, window in enumerate(TINY.windows):
        expected = teacher.mean_face + 0.5 * sum(TINY.windows[: stage + 1])
        torch.testing.assert_close(output.layers[stage, -1, 0], expected)
        teacher.zero_grad()
        output.layers[stage, -1, 0, 0, 0].backward(retain_graph=True)
        # Without detaching, the gradient would include the windows of the previous stages.
        assert teacher.to_offset.bias.grad is not None
        assert float(teacher.to_offset.bias.grad[0]) == pytest.approx(window)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_rgb_side_is_frozen_where_it_is_fused(fusion: Fusion) -> None:
    teacher = tiny(fusion)
    frozen = {name for name, p in teacher.named_parameters() if not p.requires_grad}
    rgb = {name for name, _ in teacher.named_parameters() if name.startswith("rgb")}
    assert frozen == (rgb if fusion in ("cmfa", "efnet") else set())
    assert bool(rgb) == (fusion != "events")


@pytest.mark.parametrize("fusion", ["cmfa", "efnet"])
def test_the_rgb_side_comes_from_the_rgb_network(fusion: Fusion) -> None:
    source, teacher = tiny("rgb"), Teacher(replace(TINY, fusion=fusion)).eval()
    _, rgb = images()
    assert source.rgb is not None
    teacher.take_rgb_side(source)
    backbone = teacher.rgb_backbone if teacher.rgb is None else teacher.rgb.backbone
    assert backbone is not None
    torch.testing.assert_close(backbone(rgb), source.rgb.backbone(rgb))


def test_rgb_sides_that_do_not_fit_are_errors() -> None:
    teacher = tiny("cmfa")
    with pytest.raises(ModelError, check=lambda e: (e.field, e.value) == ("fusion", "events")):
        teacher.take_rgb_side(tiny("events"))
    wide = replace(TINY, fusion="rgb", backbone=replace(TINY.backbone, out_channels=64))
    with pytest.raises(ModelError, check=lambda e: e.field == "backbone"):
        teacher.take_rgb_side(Teacher(wide))
    with pytest.raises(ConfigError, check=lambda e: e.field == "events"):
        teacher(None, images()[1])


def test_the_mean_face_is_upright_and_fills_its_crop() -> None:
    face = front_view(1.2).numpy()
    size = face.max(0) - face.min(0)
    assert size.max() == pytest.approx(1 / 1.2)
    assert (face.max(0) + face.min(0)) / 2 == pytest.approx([0.5, 0.5])
    assert face[60, 0] < face[72, 0]  # the right eye is on the left
    assert face[60, 1] < face[54, 1] < face[85, 1] < face[16, 1]  # eye, nose, lip, chin
    mirrored = face[MIRROR] * [-1, 1] + [1, 0]
    np.testing.assert_allclose(mirrored, face, atol=0.01)


def test_a_coarse_estimate_replaces_the_mean_face() -> None:
    config = replace(TINY, coarse_cells=2, fusion="events")
    teacher, events = Teacher(config).eval(), images()[0]
    events[1] = 0
    assert teacher.to_start is not None
    untrained = teacher(events)
    torch.testing.assert_close(untrained.start, teacher.mean_face.expand(2, -1, -1))
    torch.nn.init.normal_(teacher.to_start.to_offsets.weight, std=0.02)
    output = teacher(events)
    moved = output.start - teacher.mean_face
    assert float((moved[0] - moved[1]).detach().abs().max()) > 1e-4  # each clip its own
    # The output layer is still zero: every stage ends where the first started.
    torch.testing.assert_close(output.points, output.start)
    # The stages give the estimate no gradient; its own error trains it and the backbone.
    output.layers.sum().backward()
    assert teacher.to_start.to_offsets.weight.grad is None
    output = teacher(events)
    output.start.square().sum().backward()
    assert teacher.events is not None
    assert all(p.grad is not None for p in teacher.events.backbone.parameters())


def test_the_published_size_starts_with_the_mean_face() -> None:
    assert Teacher(replace(TINY, coarse_cells=0)).to_start is None
    assert PAPER.coarse_cells == 0


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"fusion": "cfma"}, "cmfa"),
        ({"side": 100}, "32"),
        ({"heads": 5}, "48"),
        ({"stage_weights": (1.0,)}, "3"),
        ({"coarse_cells": 17}, "16"),
        ({"windows": (8.0, 4.0, 2.0)}, None),
        ({"rgb_dropout": 1.0}, None),
    ],
)
def test_settings_are_checked(change: dict[str, object], hint: str | None) -> None:
    field = f"TeacherConfig.{next(iter(change))}"
    with pytest.raises(ConfigError, match=hint, check=lambda e: e.field == field):
        TeacherConfig(**{**vars(TINY), **change})  # type: ignore[arg-type]
