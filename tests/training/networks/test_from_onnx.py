"""A student read back from ONNX, against ONNX Runtime; and trained on from there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from evface_edge.errors import ModelError, RuntimeUnavailable
from evface_edge.models import FOLDER
from evface_training.clip_maker import draw_clips
from evface_training.data.avatars import load_avatars
from evface_training.networks.from_onnx import exported_student
from evface_training.recipe import load_recipe


@pytest.fixture(scope="module", params=["evface-n", "evface-s"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def path(name: str) -> Path:
    return FOLDER / f"{name}-fp32.onnx"


@pytest.fixture(scope="module")
def clips() -> Tensor:
    return draw_clips(load_avatars(), load_recipe("evface-s"), 48, seed=3).inputs.float()


def test_it_answers_as_the_model_does(name: str, path: Path, clips: Tensor) -> None:
    student = exported_student(path, load_recipe(name).student, clips).eval()
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    unseen = torch.rand(4, 10, 128, 128) * (torch.rand(4, 10, 128, 128) < 0.2)
    for inputs in (clips[:8], unseen):
        expected = session.run(["landmarks", "log_sigma", "presence"], {"events": inputs.numpy()})
        with torch.no_grad():
            found = student(inputs)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other, atol=2e-3)


def test_training_goes_on_from_there(name: str, path: Path, clips: Tensor) -> None:
    """In training mode, where a batch has its own statistics, a face stays where it was."""
    student = exported_student(path, load_recipe(name).student, clips)
    with torch.no_grad():
        training, _, _ = student(clips)
        answering, _, _ = student.eval()(clips)
    distance = (training - answering).norm(dim=-1).mean()
    assert float(distance) < 0.003  # of the crop; an eye is 0.3 from the other


def test_what_does_not_fit_is_named(path: Path, name: str, clips: Tensor) -> None:
    config = load_recipe(name).student
    with pytest.raises(ModelError, match=r"in another shape head\.mix"):
        exported_student(path, replace(config, hidden=64), clips)
    with pytest.raises(ModelError, match="it lacks backbone"):
        exported_student(path, replace(config, blocks=(1, 1, 2)), clips)


def test_what_it_needs_is_named(
    path: Path, name: str, clips: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        RuntimeUnavailable, match=r"needs onnx: pip install 'evface-edge\[export\]'"
    ):
        exported_student(path, load_recipe(name).student, clips)
