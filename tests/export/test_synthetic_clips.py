"""Clips for an export that was given none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError
from evface_edge.models import find_model
from evface_export.synthetic_clips import NAME, synthetic_clips

pytest.importorskip("torch")


def test_clips_for_the_bundled_network() -> None:
    card = read_card(find_model("evface-s-fp32"))
    clips = synthetic_clips(card, count=64)
    assert clips.name == NAME
    assert clips.inputs.shape == (64, *card.inputs[0].shape[1:])
    assert clips.inputs.dtype == np.uint8
    used, judged = clips.split(seed=0)
    assert (len(used), len(judged)) == (32, 32)
    assert 0.6 < clips.faces.mean() < 1  # some show no face, for the range of presence
    inside = clips.landmarks[clips.faces]
    assert (np.abs(inside - 0.5) < 0.9).all()
    assert np.median(inside.max(1) - inside.min(1)) > 0.4
    again = synthetic_clips(card, count=64)
    assert again.sha256 == clips.sha256
    assert len(clips.sha256) == 64


@pytest.mark.parametrize(
    "representation", [{"name": "event_frame"}, {"name": "voxel_grid", "bins": 3}]
)
def test_other_inputs_need_clips_of_their_own(representation: dict[str, object]) -> None:
    card = dataclasses.replace(
        read_card(find_model("evface-s-fp32")), representation=representation
    )
    with pytest.raises(ConfigError, match=r"--calibration = None: expected an \.npz of clips"):
        synthetic_clips(card)
