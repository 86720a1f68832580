"""A student from an ONNX model, compared with ONNX Runtime; and in training mode."""

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
from evface_training.networks.from_onnx import student_from_onnx
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


def test_outputs_are_those_of_the_model(name: str, path: Path, clips: Tensor) -> None:
    student = student_from_onnx(path, load_recipe(name).student, clips).eval()
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    unseen = torch.rand(4, 10, 128, 128) * (torch.rand(4, 10, 128, 128) < 0.2)
    for inputs in (clips[:8], unseen):
        expected = session.run(["landmarks", "log_sigma", "presence"], {"events": inputs.numpy()})
        with torch.no_grad():
            outputs = student(inputs)
        for one, other in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other, atol=2e-3)


def test_training_mode_changes_little(name: str, path: Path, clips: Tensor) -> None:
    """With the statistics of a batch, points stay where they were."""
    student = student_from_onnx(path, load_recipe(name).student, clips)
    with torch.no_grad():
        training, _, _ = student(clips)
        evaluating, _, _ = student.eval()(clips)
    distance = (training - evaluating).norm(dim=-1).mean()
    assert float(distance) < 0.003  # of the crop; an eye is 0.3 from the other


def test_weights_that_do_not_fit_are_listed(path: Path, name: str, clips: Tensor) -> None:
    config = load_recipe(name).student
    with pytest.raises(ModelError, match=r"head\.mix") as caught:
        student_from_onnx(path, replace(config, hidden=64), clips)
    assert (caught.value.path, caught.value.field) == (path, "of another shape")
    with pytest.raises(ModelError, match=r"backbone\.") as caught:
        student_from_onnx(path, replace(config, blocks=(1, 1, 2)), clips)
    assert (caught.value.path, caught.value.field) == (path, "missing")


def test_without_onnx_the_error_says_what_to_install(
    path: Path, name: str, clips: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(RuntimeUnavailable, match=r"evface-edge\[export\]"):
        student_from_onnx(path, load_recipe(name).student, clips)
