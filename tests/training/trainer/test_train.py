"""Training on a few drawn faces: it learns, stops, and resumes exactly."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

import evface_training.trainer.train as training_module
from evface_edge.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_training.checkpoint import load_checkpoint, load_raw, save_checkpoint
from evface_training.clip_maker import draw_clips
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.tasks.student import StudentTask, student_loss
from evface_training.trainer.machine import Machine
from evface_training.trainer.optimiser import OptimiserConfig
from evface_training.trainer.train import train
from evface_training.trainer.validation import validate_student

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)
RECIPE = TrainRecipe(
    name="tiny",
    student=TINY,
    steps=4,
    batch=4,
    reuse=2.0,
    pool=16,
    precision="fp32",
    validate_every=2,
    validation_clips=12,
    human_fraction=0.85,
)
CPU = Machine("cpu", threads=1, workers=0)


def test_it_can_overfit_one_batch(drawn_faces: FaceSet) -> None:
    torch.manual_seed(0)
    clips = draw_clips(drawn_faces, RECIPE, count=12, seed=1)
    network = Student(TINY)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    weights = torch.ones(12, 98)
    before = validate_student(network, clips)["nme98_percent"]
    for _ in range(120):
        network.train()
        bins, presence = network.head.logits(network.backbone(clips.inputs))
        losses = student_loss(network.head, bins, presence, clips.points, weights, clips.presence)
        optimiser.zero_grad()
        losses["total"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    after = validate_student(network, clips)["nme98_percent"]
    assert after < 12 < before


def test_it_saves_and_resumes(tmp_path: Path, drawn_faces: FaceSet) -> None:
    path = train(RECIPE, drawn_faces, drawn_faces, tmp_path, CPU)
    raw = load_raw(path)
    assert raw["state"]["step"] == 4
    assert json.loads(raw["recipe"])["student"]["side"] == 32
    assert len(json.loads(raw["data"])["training"]["sha256"]) == 64
    checkpoint = load_checkpoint(path)
    assert checkpoint.card.name == "tiny"
    kept = {name: value.clone() for name, value in checkpoint.network.state_dict().items()}
    train(replace(RECIPE, steps=6), drawn_faces, drawn_faces, tmp_path, CPU)
    assert load_raw(path)["state"]["step"] == 6
    moved = load_checkpoint(path).network.state_dict()
    assert any(not torch.equal(kept[name], moved[name]) for name in kept)


def losses_of(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The losses of all steps from now on."""
    totals: list[float] = []
    loss = StudentTask.loss

    def recorded(self: StudentTask, batch: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
        losses = loss(self, batch, step)
        totals.append(float(losses["total"].detach()))
        return losses

    monkeypatch.setattr(StudentTask, "loss", recorded)
    return totals


def test_a_stopped_and_resumed_run_takes_the_same_steps(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, steps=12, optimiser=OptimiserConfig(warm_up_steps=3))
    losses = losses_of(monkeypatch)
    whole = train(recipe, drawn_faces, drawn_faces, tmp_path / "whole", CPU)
    expected = losses.copy()
    losses.clear()
    spec = training_module.TASKS["landmarks"]

    def stop(network: Student, clips: Any) -> dict[str, float]:
        if len(losses) in (4, 10):
            os.kill(os.getpid(), signal.SIGINT)
        return dict(spec.validate(network, clips))

    monkeypatch.setitem(training_module.TASKS, "landmarks", replace(spec, validate=stop))
    for stopped in (5, 11, 12):  # the interrupt falls into the step after
        parts = train(recipe, drawn_faces, drawn_faces, tmp_path / "parts", CPU)
        assert load_raw(parts)["state"]["step"] == len(losses) == stopped
    assert losses == expected
    for part in ("network", "state"):
        torch.testing.assert_close(
            load_raw(parts)[part], load_raw(whole)[part], rtol=0, atol=0, msg=part
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_saves_and_returns(
    tmp_path: Path,
    drawn_faces: FaceSet,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    losses = losses_of(monkeypatch)
    loss = StudentTask.loss

    def interrupted(self: StudentTask, batch: Any, step: int) -> dict[str, Tensor]:
        if step == 2:
            assert multiprocessing.active_children()
            # As a terminal or systemd does: also to the simulating process.
            for process in (os.getpid(), *(c.pid for c in multiprocessing.active_children())):
                os.kill(process, number)
        return loss(self, batch, step)

    monkeypatch.setattr(StudentTask, "loss", interrupted)
    long = replace(RECIPE, steps=1_000_000, validate_every=1_000_000)
    path = train(long, drawn_faces, drawn_faces, tmp_path, Machine("cpu", threads=1, workers=1))
    assert load_raw(path)["state"]["step"] == len(losses) == 3


def test_the_second_interrupt_stops_at_once(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = StudentTask.loss

    def interrupted(self: StudentTask, batch: Any, step: int) -> dict[str, Tensor]:
        for _ in range(2 if step == 3 else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, batch, step)

    monkeypatch.setattr(StudentTask, "loss", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(replace(RECIPE, steps=9), drawn_faces, drawn_faces, tmp_path, CPU)
    assert signal.getsignal(signal.SIGINT) is before
    assert load_raw(tmp_path / "last.pt")["state"]["step"] == 2


def test_another_run_is_not_resumed(tmp_path: Path, drawn_faces: FaceSet) -> None:
    path = train(replace(RECIPE, steps=1), drawn_faces, drawn_faces, tmp_path, CPU)
    before = path.read_bytes()
    other = replace(RECIPE, optimiser=OptimiserConfig(ema=0.5))
    with pytest.raises(ConfigError, match=r"0\.999", check=lambda e: e.value == 0.5):
        train(other, drawn_faces, drawn_faces, tmp_path, CPU)
    few = drawn_faces.select(drawn_faces.names != drawn_faces.names[0])
    with pytest.raises(ConfigError, match="12", check=lambda e: e.value == 11):
        train(RECIPE, few, drawn_faces, tmp_path, CPU)
    assert path.read_bytes() == before
    exported = load_checkpoint(path)
    save_checkpoint(path, exported.network, exported.card)
    with pytest.raises(ModelError, check=lambda e: (e.path, e.field) == (path, "state")):
        train(RECIPE, drawn_faces, drawn_faces, tmp_path, CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_what_to_lower(
    tmp_path: Path,
    drawn_faces: FaceSet,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def full(*_: object) -> dict[str, Tensor]:
        raise error

    monkeypatch.setattr(StudentTask, "loss", full)
    with pytest.raises(ConfigError, match="`batch`", check=lambda e: e.field == "memory at step 1"):
        train(RECIPE, drawn_faces, drawn_faces, tmp_path, CPU)


def test_another_failure_of_a_worker_is_no_lack_of_memory(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: object) -> dict[str, Tensor]:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Aborted. ")

    monkeypatch.setattr(StudentTask, "loss", ended)
    with pytest.raises(RuntimeError, match="signal: Aborted"):
        train(RECIPE, drawn_faces, drawn_faces, tmp_path, CPU)


def test_a_loss_that_is_not_finite_is_not_saved(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = StudentTask.loss

    def broken(self: StudentTask, batch: Any, step: int) -> dict[str, Tensor]:
        losses = loss(self, batch, step)
        return losses | {"total": losses["total"] * (float("nan") if step == 3 else 1)}

    monkeypatch.setattr(StudentTask, "loss", broken)
    with pytest.raises(
        ConfigError, match="learning_rate", check=lambda e: e.field == "loss total at step 4"
    ):
        train(RECIPE, drawn_faces, drawn_faces, tmp_path, CPU)
    assert load_raw(tmp_path / "last.pt")["state"]["step"] == 2


def test_a_missing_device_is_an_error(tmp_path: Path, drawn_faces: FaceSet) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeUnavailable, check=lambda e: e.field == "--device"):
        train(RECIPE, drawn_faces, drawn_faces, tmp_path, Machine("gpu"))
    with pytest.raises(RuntimeUnavailable, check=lambda e: e.field == "--simulate-on"):
        train(RECIPE, drawn_faces, drawn_faces, tmp_path, Machine("cpu", simulate_on="gpu"))
    with pytest.raises(ConfigError, check=lambda e: (e.field, e.value) == ("--device", "tpu")):
        Machine("tpu")  # type: ignore[arg-type]


def test_bfloat16_learns_like_float32(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = losses_of(monkeypatch)
    train(RECIPE, drawn_faces, drawn_faces, tmp_path / "a", CPU)
    train(replace(RECIPE, precision="bf16"), drawn_faces, drawn_faces, tmp_path / "b", CPU)
    first, second = torch.tensor(losses).reshape(2, -1)
    torch.testing.assert_close(first, second, rtol=0.05, atol=0)
    assert not torch.equal(first, second)


def test_the_log_has_losses_and_metrics(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, int]] = []
    monkeypatch.setattr(
        SummaryWriter, "add_scalar", lambda _, name, value, step: logged.append((name, step))
    )
    train(RECIPE, drawn_faces, drawn_faces, tmp_path, CPU)
    assert [step for name, step in logged if name == "loss/total"] == [2, 4]
    assert [step for name, step in logged if name == "validation/nme98_percent"] == [2, 4]


def test_negatives_have_no_presence(drawn_faces: FaceSet) -> None:
    simulator = ClipSimulator(ClipPrior(negative_fraction=0.5), 32, seed=2)
    images = torch.from_numpy(drawn_faces.images).repeat(8, 1, 1)
    clips = simulator(images, torch.from_numpy(drawn_faces.points).repeat(8, 1, 1))
    assert 0.3 < float(clips.presence.mean()) < 0.7
    inside = ((clips.points > -0.1) & (clips.points < 1.1)).all(-1).float().mean(1)
    assert float(inside[clips.presence == 1].mean()) > 0.95
    assert float(inside[clips.presence == 0].mean()) < 0.75


def test_the_same_seed_gives_the_same_batch(drawn_faces: FaceSet) -> None:
    images, points = torch.from_numpy(drawn_faces.images), torch.from_numpy(drawn_faces.points)
    first, again = (ClipSimulator(ClipPrior(), 64, seed=5)(images, points) for _ in range(2))
    torch.testing.assert_close(first.inputs, again.inputs, rtol=0, atol=0)
    assert float(first.inputs.min()) >= 0
    assert float(first.inputs.max()) <= 1
