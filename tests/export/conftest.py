"""A network of the student's shape, small enough for tests, and clips that it is right about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evface_edge.card import ModelCard, TensorSpec, WindowPolicy

torch = pytest.importorskip("torch", reason="export needs evface-edge[export]")
pytest.importorskip("torchao", reason="export needs evface-edge[export]")

if TYPE_CHECKING:
    from evface_export.calibration import CalibrationSet
    from evface_export.conversion import Conversion

SIDE = 32


@dataclass(frozen=True)
class ToyCheckpoint:
    network: torch.nn.Module
    card: ModelCard


class _Residual(torch.nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            torch.nn.BatchNorm2d(channels),
            torch.nn.ReLU6(),
            torch.nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            torch.nn.BatchNorm2d(channels),
        )
        self.activation = torch.nn.ReLU6()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(x + self.body(x))


class _Head(torch.nn.Module):
    """Expectation of a distribution along x and along y for each point."""

    def __init__(self, channels: int, bins: int = 32) -> None:
        super().__init__()
        self.to_points = torch.nn.Conv2d(channels, 98, 1)
        self.to_bins = torch.nn.Linear((SIDE // 4) ** 2, 2 * bins)
        self.to_presence = torch.nn.Linear(channels, 1)
        self.register_buffer("centers", (torch.arange(bins) + 0.5) / bins)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        bins = self.to_bins(self.to_points(x).flatten(2)).unflatten(-1, (2, -1)).softmax(-1)
        place = (bins * self.centers).sum(-1)
        variance = ((bins * self.centers**2).sum(-1) - place**2).mean(-1).clamp_min(1e-6)
        return place, 0.5 * variance.log(), self.to_presence(x.mean((2, 3)))


class ToyNetwork(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Sequential(
            torch.nn.Conv2d(10, 16, 3, 2, 1, bias=False),
            torch.nn.BatchNorm2d(16),
            torch.nn.ReLU6(),
            torch.nn.Conv2d(16, 32, 3, 2, 1, bias=False),
            torch.nn.BatchNorm2d(32),
            torch.nn.ReLU6(),
            _Residual(32),
        )
        self.head = _Head(32)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        outputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = self.head(self.backbone(x))
        return outputs


def sparse_inputs(count: int, seed: int = 0) -> np.ndarray:
    """Like event counts: most pixels have none."""
    generator = np.random.default_rng(seed)
    shape = (count, 10, SIDE, SIDE)
    return (generator.integers(1, 256, shape) * (generator.random(shape) < 0.1)).astype(np.uint8)


@pytest.fixture(scope="session")
def checkpoint() -> ToyCheckpoint:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = ToyNetwork()
        for _ in range(20):  # so that BatchNorm knows its statistics
            network(torch.rand(8, 10, SIDE, SIDE) * (torch.rand(8, 10, SIDE, SIDE) < 0.1))
        with torch.no_grad():  # so that the landmarks of a face lie apart from each other
            network.head.to_bins.weight *= 10
    card = ModelCard(
        name="toy",
        version="1",
        precision="fp32",
        target="checkpoint",
        representation={"name": "event_frame"},
        crop_scale=1.25,
        window=WindowPolicy(0.5, 100, 20_000, 50_000),
        inputs=(TensorSpec("events", (-1, 10, SIDE, SIDE)),),
        outputs=(
            TensorSpec("landmarks", (-1, 98, 2)),
            TensorSpec("log_sigma", (-1, 98)),
            TensorSpec("presence", (-1, 1)),
        ),
        presence_threshold=0.5,
        sigma_limit=0.1,
    )
    return ToyCheckpoint(network.eval(), card)


@pytest.fixture(scope="session")
def sparse() -> Callable[..., np.ndarray]:
    """(count, seed) → inputs like event counts."""
    return sparse_inputs


@pytest.fixture(scope="session")
def clips_path(checkpoint: ToyCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 clips whose true landmarks are 2 % of the crop away from what the network says."""
    inputs = sparse_inputs(96)
    with torch.no_grad():
        landmarks = checkpoint.network(torch.from_numpy(inputs / np.float32(255)))[0].numpy()
    noise = np.random.default_rng(0).normal(0, 0.02, landmarks.shape)
    path = tmp_path_factory.mktemp("clips") / "clips.npz"
    np.savez(path, inputs=inputs, landmarks=(landmarks + noise).astype(np.float32))
    return path


@pytest.fixture(scope="session")
def clips(clips_path: Path) -> CalibrationSet:
    from evface_export.calibration import CalibrationSet

    return CalibrationSet.load(clips_path)


@pytest.fixture(scope="session")
def toy(checkpoint: ToyCheckpoint, clips: CalibrationSet) -> Conversion:
    """The toy, traced and quantised once; tests do not change it."""
    from evface_export.conversion import Conversion, Int8

    return Conversion(checkpoint, clips, Int8(qat_steps=100))


@pytest.fixture
def toy_traced_once(
    checkpoint: ToyCheckpoint, toy: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other conversions of the toy take its float ONNX model from `toy`."""
    from evface_export import conversion

    model, trace = toy.traced(), conversion.to_onnx

    def once(network: torch.nn.Module, *arguments: Any) -> bytes:
        return model if network is checkpoint.network else trace(network, *arguments)

    monkeypatch.setattr(conversion, "to_onnx", once)
