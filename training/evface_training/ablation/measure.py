"""What a trained network of either kind says about the same moments, and what it costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evface_edge.errors import ConfigError
from evface_training.checkpoint import load_checkpoint
from evface_training.clip_maker import draw_clips
from evface_training.data.faces import FaceSet
from evface_training.evaluation.benchmark_sets import CONDITIONS
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import Clips
from evface_training.simulation.frame_camera import FrameCameraPrior
from evface_training.simulation.motion import MotionPrior
from evface_training.tasks.table import load_teacher
from evface_training.teacher.network import Teacher
from evface_training.trainer.validation import validate_student, validate_teacher

_SEED = 4242
#: °/s; a head that turns at 30 °/s leaves a sharp frame in bright light, at 400 °/s a blurred one.
_SLOW, _FAST = (15.0, 60.0), (250.0, 600.0)


@dataclass(frozen=True)
class Moment:
    """Light and speed of a set of clips; their RGB frames are exposed at the same instants."""

    camera: CameraPrior
    speed_deg_per_s: tuple[float, float]


MOMENTS: Mapping[str, Moment] = {
    "sharp": Moment(CONDITIONS["normal"].camera, _SLOW),
    "dark": Moment(CONDITIONS["dark"].camera, _SLOW),
    "blurred": Moment(CONDITIONS["normal"].camera, _FAST),
}


def draw_moments(faces: FaceSet, recipe: TrainRecipe, count: int) -> dict[str, Clips]:
    """`count` clips of each moment, with frames: the same ones for every network of one side."""
    drawn = {}
    for name, moment in MOMENTS.items():
        motion = MotionPrior(moment.speed_deg_per_s, (5.0, 10.0), pause_fraction=0.0)
        prior = ClipPrior(motion, moment.camera, passing_fraction=0.0, blink_fraction=0.1)
        asked = replace(recipe, clips=prior, frames=FrameCameraPrior())
        drawn[name] = draw_clips(faces, asked, count, _SEED, ("rgb",))
    return drawn


@dataclass(frozen=True)
class Cost:
    """Of one clip on one thread of the CPU.

    Attributes:
        flops: 2 × multiply-adds, as PyTorch counts them.
        ms: median.
    """

    parameters: int
    flops: int
    ms: float


def load_network(path: Path, task: str) -> nn.Module:
    """The network in a checkpoint of a task that finds landmarks, in eval mode.

    Raises:
        ConfigError: another task.
        ModelError: missing, damaged, or of another kind.
    """
    if task == "teacher":
        return load_teacher(path)
    if task in ("landmarks", "distill"):
        return load_checkpoint(path).network
    raise ConfigError("task", task, "one that finds landmarks: teacher, landmarks or distill")


def judge(network: nn.Module, moments: Mapping[str, Clips]) -> dict[str, float]:
    """NME-98 in percent of each moment; of a network that fuses, also without its RGB
    ("sharp, events alone", …)."""
    figures = {}
    for name, clips in moments.items():
        if isinstance(network, Student):
            found = validate_student(network, clips)
        elif isinstance(network, Teacher):
            found = validate_teacher(network, clips)
        else:
            raise ConfigError("network", type(network).__name__, "a Student or a Teacher")
        figures[name] = found["nme98_percent"]
        if "events_only_nme98_percent" in found:
            figures[f"{name}, events alone"] = found["events_only_nme98_percent"]
    return figures


def cost(network: nn.Module, repeats: int = 15) -> Cost:
    """Parameters, FLOPs and milliseconds of a Student or a Teacher, batch 1."""
    inputs = _inputs(network)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            with FlopCounterMode(display=False) as counter:
                network(*inputs)
            ms = median_ms(lambda: network(*inputs), repeats)
    finally:
        torch.set_num_threads(threads)
    return Cost(
        sum(parameter.numel() for parameter in network.parameters()),
        counter.get_total_flops(),
        ms,
    )


def median_ms(run: Callable[[], object], repeats: int = 15) -> float:
    """Milliseconds that something takes."""
    times_ms = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        times_ms.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times_ms)


def _inputs(network: nn.Module) -> tuple[Tensor | None, ...]:
    """One clip of noise as this network takes it."""
    if isinstance(network, Student):
        side = network.config.side
        return (torch.rand(1, network.config.in_channels, side, side),)
    if not isinstance(network, Teacher):
        raise ConfigError("network", type(network).__name__, "a Student or a Teacher")
    side = network.config.side
    events = torch.rand(1, network.config.event_channels, side, side)
    return (
        events if network.config.uses_events else None,
        torch.rand(1, 3, side, side) if network.config.uses_rgb else None,
    )
