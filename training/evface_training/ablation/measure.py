"""Accuracy and cost of a trained student or teacher."""

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
from evface_training.checkpoint import load_network
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
from evface_training.tasks.init_weights import load_teacher
from evface_training.teacher.network import Teacher
from evface_training.trainer.validation import validate_student, validate_teacher

_SEED = 4242
#: °/s. In bright light a head that turns at 30 °/s gives a sharp frame, at 400 °/s a blurred one.
_SLOW, _FAST = (15.0, 60.0), (250.0, 600.0)
#: Name → light and speed (°/s) of a set of clips; RGB frames are exposed at the same instants.
CLIP_SETS: Mapping[str, tuple[CameraPrior, tuple[float, float]]] = {
    "sharp": (CONDITIONS["normal"].camera, _SLOW),
    "dark": (CONDITIONS["dark"].camera, _SLOW),
    "blurred": (CONDITIONS["normal"].camera, _FAST),
}


def draw_clip_sets(faces: FaceSet, recipe: TrainRecipe, count: int) -> dict[str, Clips]:
    """`count` clips of each set, with RGB; the same clips for all networks of one input size."""
    clip_sets = {}
    for name, (camera, speed_deg_per_s) in CLIP_SETS.items():
        motion = MotionPrior(speed_deg_per_s, (5.0, 10.0), pause_fraction=0.0)
        prior = ClipPrior(motion, camera, passing_fraction=0.0, blink_fraction=0.1)
        changed = replace(recipe, clips=prior, frames=FrameCameraPrior())
        clip_sets[name] = draw_clips(faces, changed, count, _SEED, ("rgb",))
    return clip_sets


def load_landmark_network(path: Path, task: str) -> nn.Module:
    """The student or teacher in a checkpoint, in eval mode.

    Raises:
        ConfigError: a task without landmarks.
        ModelError: missing, damaged, or of another kind.
    """
    if task == "teacher":
        return load_teacher(path)
    if task in ("landmarks", "distill"):
        return load_network(path)
    raise ConfigError("task", task, "teacher, landmarks or distill")


def evaluate(network: nn.Module, clip_sets: Mapping[str, Clips]) -> dict[str, float]:
    """NME-98 in percent on each set; a network that fuses RGB also without it
    ("sharp, events alone", …)."""
    errors = {}
    for name, clips in clip_sets.items():
        if isinstance(network, Student):
            metrics = validate_student(network, clips)
        elif isinstance(network, Teacher):
            metrics = validate_teacher(network, clips)
        else:
            raise ConfigError("network", type(network).__name__, "a Student or a Teacher")
        errors[name] = metrics["nme98_percent"]
        if "events_only_nme98_percent" in metrics:
            errors[f"{name}, events alone"] = metrics["events_only_nme98_percent"]
    return errors


@dataclass(frozen=True)
class Cost:
    """Cost of one clip on one CPU thread.

    Attributes:
        flops: 2 × multiply-adds, as PyTorch counts them.
        ms: median time.
    """

    parameters: int
    flops: int
    ms: float


def measure_cost(network: nn.Module, repeats: int = 15) -> Cost:
    """Parameters, FLOPs and time of a Student or a Teacher, batch 1."""
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
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Cost(parameters, counter.get_total_flops(), ms)


def median_ms(run: Callable[[], object], repeats: int = 15) -> float:
    """Median time of a call in milliseconds."""
    times_ms = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times_ms.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times_ms)


def _inputs(network: nn.Module) -> tuple[Tensor | None, ...]:
    """One clip of noise."""
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
