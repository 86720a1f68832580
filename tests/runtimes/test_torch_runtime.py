"""Checkpoints behind the protocol, against the network called as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evface_runtimes
from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ModelError, RuntimeUnavailable

torch = pytest.importorskip("torch", reason="needs evface-edge[train]")

CARD = ModelCard(
    name="tiny",
    version="1",
    precision="fp32",
    target="checkpoint",
    representation={"name": "event_frame"},
    crop_scale=1.25,
    window=WindowPolicy(0.5, 100, 20_000, 50_000),
    inputs=(TensorSpec("events", (-1, 4, 32, 32)),),
    outputs=(
        TensorSpec("landmarks", (-1, 98, 2)),
        TensorSpec("log_sigma", (-1, 98)),
        TensorSpec("presence", (-1, 1)),
    ),
    presence_threshold=0.5,
    sigma_limit=0.1,
    training={"note": "ein Gesicht, 顔"},
)


@pytest.fixture(scope="module")
def student() -> Any:
    from evface_training.networks.student import Student
    from evface_training.networks.student_config import StudentConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Student(
            StudentConfig(4, 32, (16, 16, 16, 16), (0, 0, 0), hidden=16, coordinate_bins=16)
        ).eval()


@pytest.fixture
def path(student: Any, tmp_path: Path) -> Path:
    from evface_training.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "tiny.pt", student, CARD)
    return tmp_path / "tiny.pt"


def test_result_is_the_network_s(path: Path, student: Any) -> None:
    x = np.random.default_rng(0).random((3, 4, 32, 32), np.float32)
    with torch.no_grad():
        expected = [output.numpy() for output in student(torch.from_numpy(x))]
    threads = torch.get_num_threads()
    with evface_runtimes.load(path) as runtime:
        assert (runtime.name, runtime.device) == ("torch", "cpu")
        assert runtime.inputs == {"events": (-1, 4, 32, 32)}
        found = runtime.run({"events": x})
    assert list(found) == ["landmarks", "log_sigma", "presence"]
    for array, name in zip(expected, found, strict=True):
        np.testing.assert_allclose(found[name], array, atol=1e-6)
    assert torch.get_num_threads() == threads


def test_card_is_read_without_torch(path: Path) -> None:
    assert read_card(path) == CARD


def test_damaged_checkpoints(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for size in (len(whole) // 2, 100):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError):
            evface_runtimes.load(path)
        with pytest.raises(ModelError) as caught:
            read_card(path)
        assert caught.value.path == path
    path.write_bytes(whole.replace(b"ein Gesicht", b"kein Gesich"))
    with pytest.raises(ModelError) as caught:
        read_card(path)
    assert (caught.value.path, caught.value.field) == (path, None)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(ModelError):
        evface_runtimes.load(path)
    with pytest.raises(ModelError) as caught:
        read_card(path)
    assert (caught.value.path, caught.value.field) == (path, "evface_card")


def test_devices(path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeUnavailable) as unavailable:
            evface_runtimes.load(path, device="cuda")
        assert (unavailable.value.field, unavailable.value.value) == ("device", "cuda")
    with pytest.raises(ConfigError) as caught:
        evface_runtimes.load(path, parallel=2)
    assert (caught.value.field, caught.value.value) == ("parallel", 2)


def test_no_package_that_loads_checkpoints(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evface_runtimes import torch_runtime

    monkeypatch.setattr(torch_runtime, "ENTRY_POINTS", "evface_runtimes.nobody")
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(path)
    cause = caught.value.__cause__
    assert isinstance(cause, RuntimeUnavailable)
    assert cause.field == "evface_runtimes.nobody"
