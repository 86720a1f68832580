"""The training loop of the student."""

from __future__ import annotations

import copy
import math
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from torch.utils.tensorboard import SummaryWriter

from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.errors import ConfigError
from evface_edge.landmarks import MIRROR, nme, to_68
from evface_training.checkpoint import load_raw, save_checkpoint
from evface_training.data.faces import FaceSet
from evface_training.losses import student_loss
from evface_training.networks.student import Student, StudentConfig
from evface_training.simulation.clips import ClipPrior, Clips, ClipSimulator

_MIRROR = torch.from_numpy(MIRROR)
#: Share of cells that are not zero from which on a clip counts fully.
ENOUGH_FILLED = 0.01
#: Before σ is calibrated; see `ModelCard.sigma_limit`.
SIGMA_LIMIT = 0.075


@dataclass(frozen=True)
class TrainRecipe:
    """Everything that decides a training.

    Attributes:
        steps, batch: optimiser steps, clips in each.
        reuse: how often a simulated clip is shown before it is replaced.
        human_share, video_share: of clips made of human-labelled stills, of video frames; the
            rest is made of stills with automatic labels.
        ema: decay of the averaged weights, which are the ones that are kept.
    """

    name: str
    student: StudentConfig = field(default_factory=StudentConfig)
    clips: ClipPrior = field(default_factory=ClipPrior)
    steps: int = 7000
    batch: int = 96
    reuse: float = 1.5
    pool: int = 3072
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up_steps: int = 200
    ema: float = 0.999
    human_share: float = 0.45
    video_share: float = 0.15
    seed: int = 1
    validate_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"TrainRecipe.{name}", getattr(self, name), "1 or more")
        if self.reuse < 1:
            raise ConfigError("TrainRecipe.reuse", self.reuse, "1 or more")
        if not 0 <= self.human_share + self.video_share <= 1:
            raise ConfigError("TrainRecipe.human_share", self.human_share, "shares of 1 in all")


class SimulatedClips(IterableDataset[tuple[Tensor, Tensor, Tensor, Tensor]]):
    """An endless stream of batches (inputs, points, weights, presence), simulated on the fly."""

    def __init__(self, faces: FaceSet, recipe: TrainRecipe, size: int, seed: int) -> None:
        self._faces, self._recipe, self._size, self._seed = faces, recipe, size, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        if get_worker_info() is not None:
            # Ctrl-C reaches every process of a terminal; when to stop is the parent's decision.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            torch.set_num_threads(1)
        rng = np.random.default_rng(self._seed)
        simulator = ClipSimulator(self._recipe.clips, self._recipe.student.side, self._seed)
        faces, probability = self._faces, sampling(self._faces, self._recipe)
        while True:
            chosen = rng.choice(len(faces), self._size, p=probability)
            clips = simulator(
                torch.from_numpy(faces.images[chosen]), torch.from_numpy(faces.points[chosen])
            )
            weights = torch.from_numpy(faces.weights[chosen])
            # Faces may be mirrored, and a clip with hardly an event has hardly an answer.
            weights = (weights + weights[:, _MIRROR]) / 2
            filled = (clips.inputs > 0).float().mean((1, 2, 3))
            weights = weights * (filled / ENOUGH_FILLED).clamp(0.1, 1.0)[:, None]
            # Bytes are enough for what will be quantised to bytes, and quarter the pool.
            inputs = clips.inputs.mul_(255).round_().to(torch.uint8)
            yield inputs, clips.points, weights, clips.presence


def sampling(faces: FaceSet, recipe: TrainRecipe) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How often each face is drawn."""
    video = np.char.startswith(faces.identities, "video:")
    groups = (
        (faces.human, recipe.human_share),
        (video, recipe.video_share),
        (~faces.human & ~video, 1 - recipe.human_share - recipe.video_share),
    )
    probability = np.zeros(len(faces))
    for members, share in groups:
        if members.any():
            probability[members] = share / members.sum()
    normalised: np.ndarray[Any, np.dtype[np.float64]] = probability / probability.sum()
    return normalised


class _Pool:
    """Clips kept for reuse; each new batch replaces the oldest."""

    def __init__(self, stream: Iterator[tuple[Tensor, ...]], size: int, seed: int) -> None:
        self._stream, self._next = stream, 0
        self._generator = torch.Generator().manual_seed(seed)
        first = next(stream)
        self._tensors = [torch.empty((size, *t.shape[1:]), dtype=t.dtype) for t in first]
        self._filled = 0
        self._put(first)

    def _put(self, batch: tuple[Tensor, ...]) -> None:
        size = len(self._tensors[0])
        where = (torch.arange(len(batch[0])) + self._next) % size
        for stored, new in zip(self._tensors, batch, strict=True):
            stored[where] = new
        self._next = (self._next + len(batch[0])) % size
        self._filled = min(self._filled + len(batch[0]), size)

    def draw(self, count: int) -> list[Tensor]:
        self._put(next(self._stream))
        chosen = torch.randperm(self._filled, generator=self._generator)[:count]
        return [tensor[chosen] for tensor in self._tensors]


def student_card(recipe: TrainRecipe) -> ModelCard:
    """The card of a fresh checkpoint; measured figures and licence terms come later."""
    config = recipe.student
    side = config.side
    return ModelCard(
        name=recipe.name,
        version="0.1.0",
        precision="fp32",
        target="checkpoint",
        representation={
            "name": "voxel_grid",
            "bins": recipe.clips.bins,
            "normalisation": "mean",
            "width": side,
            "height": side,
        },
        crop_scale=1.35,
        window=WindowPolicy(
            events_per_px=0.7, min_events=1_000, max_events=40_000, max_duration_us=200_000
        ),
        inputs=(TensorSpec("events", (-1, config.in_channels, side, side)),),
        outputs=(
            TensorSpec("landmarks", (-1, 98, 2)),
            TensorSpec("log_sigma", (-1, 98)),
            TensorSpec("presence", (-1, 1)),
        ),
        presence_threshold=0.5,
        sigma_limit=SIGMA_LIMIT,
        built_with={"torch": str(torch.__version__)},
    )


def draw_clips(faces: FaceSet, recipe: TrainRecipe, count: int, seed: int) -> Clips:
    """The same clips every time, with a face in each: human-labelled ones where there are any."""
    people = faces.select(faces.human) if faces.human.any() else faces
    prior = replace(recipe.clips, negative_share=0.0, occlusion_share=0.0)
    simulator = ClipSimulator(prior, recipe.student.side, seed)
    parts = []
    for start in range(0, count, recipe.batch):
        chosen = np.arange(start, min(start + recipe.batch, count)) % len(people)
        images, points = people.images[chosen], people.points[chosen]
        parts.append(simulator(torch.from_numpy(images), torch.from_numpy(points)))
    return Clips(
        torch.cat([part.inputs for part in parts]),
        torch.cat([part.points for part in parts]),
        torch.cat([part.presence for part in parts]),
    )


@torch.no_grad()
def validate(network: Student, clips: Clips) -> dict[str, float]:
    """Mean and median NME in percent over clips of the whole prior."""
    network.eval()
    points = torch.cat([network(part)[0] for part in torch.split(clips.inputs, 64)]).numpy()
    truth = clips.points.numpy()
    errors = 100 * nme(points, truth)
    errors68 = 100 * nme(to_68(points), to_68(truth), eye_corners=(36, 45))
    return {
        "nme98_percent": float(errors.mean()),
        "nme98_median_percent": float(np.median(errors)),
        "nme68_percent": float(errors68.mean()),
    }


def train(
    recipe: TrainRecipe, training: FaceSet, validation: FaceSet, folder: Path, *, threads: int = 1
) -> Path:
    """Train, or go on where `folder/last.pt` stands; → the path of the checkpoint.

    The first Ctrl-C finishes the step, saves and returns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "last.pt"
    torch.manual_seed(recipe.seed)
    network = Student(recipe.student).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(
        _decay_groups(network, recipe.weight_decay), lr=recipe.learning_rate, fused=True
    )
    begun = 0
    if path.is_file():
        stored = load_raw(path)
        average.load_state_dict(stored["student"])
        network.load_state_dict(stored["state"]["live"])
        optimiser.load_state_dict(stored["state"]["optimiser"])
        begun = stored["state"]["step"]
    card = student_card(recipe)
    size = round(recipe.batch / recipe.reuse)
    stream = SimulatedClips(training, recipe, size, recipe.seed + 1000 * begun)
    # DataLoader's own process simulates while this one learns.
    loader = DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=6)
    pool = _Pool(iter(loader), recipe.pool, recipe.seed)
    clips = draw_clips(validation, recipe, count=512, seed=99)
    torch.set_num_threads(threads)
    stop = _StopOnInterrupt()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        stop,
        SummaryWriter(str(folder)) as board,
        Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress,
    ):
        task = progress.add_task(recipe.name, total=recipe.steps, completed=begun)
        for step in range(begun, recipe.steps):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * _schedule(step, recipe)
            losses = _train_step(network, optimiser, pool.draw(recipe.batch))
            _follow(average, network, min(recipe.ema, (1 + step) / (10 + step)))
            progress.update(task, completed=step + 1, description=f"loss {losses['total']:.3f}")
            done = step + 1
            if done % 50 == 0:
                for name, value in losses.items():
                    board.add_scalar(f"loss/{name}", value, done)
            if done % recipe.validate_every == 0 or done == recipe.steps or stop.asked:
                for name, value in validate(average, clips).items():
                    board.add_scalar(f"validation/{name}", value, done)
                    progress.console.print(f"step {done}: {name} {value:.2f}")
                state = {
                    "live": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": done,
                    "recipe": str(asdict(recipe)),
                }
                save_checkpoint(path, average, card, state)
            if stop.asked:
                break
    return path


def _train_step(
    network: Student, optimiser: torch.optim.Optimizer, batch: list[Tensor]
) -> dict[str, float]:
    inputs, points, weights, present = batch
    x = inputs.to(memory_format=torch.channels_last).float().div_(255)
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        bins, presence = network.head.logits(network.backbone(x))
    losses = student_loss(network.head, bins.float(), presence.float(), points, weights, present)
    optimiser.zero_grad(set_to_none=True)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def _schedule(step: int, recipe: TrainRecipe) -> float:
    """Linear warm-up, then half a cosine to a hundredth."""
    if step < recipe.warm_up_steps:
        return (step + 1) / recipe.warm_up_steps
    share = (step - recipe.warm_up_steps) / max(1, recipe.steps - recipe.warm_up_steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """No decay on biases and norms."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
    for followed, live in zip(average.buffers(), network.buffers(), strict=True):
        if followed.is_floating_point():
            followed.lerp_(live, 1 - decay)
        else:
            followed.copy_(live)


class _StopOnInterrupt:
    """The first Ctrl-C asks, the second interrupts."""

    asked = False

    def __enter__(self) -> _StopOnInterrupt:
        self._previous = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._previous)
