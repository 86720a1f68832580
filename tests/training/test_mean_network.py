"""The mean of several checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evface_edge.errors import ConfigError, ModelError
from evface_training.checkpoint import save_checkpoint
from evface_training.finalize import mean_network
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)


def saved(path: Path, seed: int, config: StudentConfig = TINY) -> Student:
    torch.manual_seed(seed)
    network = Student(config)
    for buffer in network.buffers():  # means, variances and counts of batches too
        buffer.add_(torch.tensor(seed).to(buffer.dtype))
    save_checkpoint(path, network, None)
    return network


def test_every_weight_is_the_mean(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.pt" for seed in (1, 2, 6)]
    first, second, third = (saved(path, int(path.stem)).state_dict() for path in paths)
    mean = mean_network(paths)
    assert not mean.training
    for name, weight in mean.state_dict().items():
        if weight.is_floating_point():
            expected = (first[name] + second[name] + third[name]) / 3
            torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(weight, first[name])


def test_the_mean_of_one_checkpoint_is_itself(tmp_path: Path) -> None:
    network = saved(tmp_path / "a.pt", 3)
    for name, weight in mean_network([tmp_path / "a.pt"]).state_dict().items():
        assert torch.equal(weight, network.state_dict()[name])


def test_networks_of_different_sizes_are_an_error(tmp_path: Path) -> None:
    saved(tmp_path / "a.pt", 1)
    saved(tmp_path / "b.pt", 1, replace(TINY, hidden=16))
    with pytest.raises(ModelError, check=lambda e: e.path == tmp_path / "b.pt"):
        mean_network([tmp_path / "a.pt", tmp_path / "b.pt"])
    with pytest.raises(ConfigError, check=lambda e: e.field == "checkpoints"):
        mean_network([])
