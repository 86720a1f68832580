"""Our models on the clips, and the latency of the networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.clips import Clips
from evface_edge.bench.latency import measure, pinned
from evface_edge.geometry import Box
from evface_edge.models import find_model
from evface_edge.predictor import Predictor
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import LandmarkNetwork

#: The box of the face is known, with an offset as that of a tracker.
FOLLOWED = "followed"
#: The face is searched for in the events of the clip.
SEARCHED = "searched"

#: Clips are shorter than a second, so that this gives one result, at the last event.
_ONCE_HZ = 1.0
#: Approximate number of clips whose time is measured.
_TIMED = 16


@dataclass(frozen=True, eq=False)
class Result:
    """Landmarks of N clips.

    Attributes:
        points: (N, 98, 2) sensor pixels at the end, NaN without an accepted face.
        cpu_ms: (T,) CPU time of one result, from events to landmarks, of some of the clips.
    """

    points: NDArray[np.float32]
    cpu_ms: NDArray[np.float64]


def predict(model: str, clips: Clips, *, follow: bool) -> Result:
    """Return the landmarks at the end of each clip.

    With a known box results are independent, so that only the last one is computed, except where
    time is measured. A search needs all of them.
    """
    points = np.full((len(clips), 98, 2), np.nan, np.float32)
    cpu_ms = []
    with Predictor(model) as usual, Predictor(model, rate_hz=_ONCE_HZ) as once:
        usual.warmup()
        for index in range(len(clips)):
            events = clips.events_of(index)
            box = clips.box_of(index) if follow else None
            timed = index % max(len(clips) // _TIMED, 1) == 0
            predictor = once if follow and not timed else usual
            before = time.process_time()
            faces = predictor.run(events, size=clips.size, box=box)
            if timed:
                cpu_ms.append(1e3 * (time.process_time() - before) / max(faces.windows, 1))
            last = faces[-1] if len(faces) else None
            if last is not None and last.t_us == events["t"][-1] and _accepted(predictor, last):
                points[index] = last.landmarks
    return Result(points, np.array(cpu_ms))


def _accepted(predictor: Predictor, face: Any) -> bool:
    """Apply the limits of the model card, as the peers' detectors have limits, too."""
    box = Box.around(face.landmarks)
    spread = float(face.sigma.mean()) / max(box.width, box.height)
    card = predictor.card
    return bool(face.presence >= card.presence_threshold and spread <= card.sigma_limit)


def network_times(models: tuple[str, ...], clips: Clips, seconds: float) -> dict[str, Any]:
    """Return name → CPU time of one inference in ms (p10), interleaved on one core.

    The network of the paper has random weights, which do not affect its time.
    """
    import torch

    from evface_training.recipe import load_recipe
    from evface_training.teacher.network import Teacher

    torch.set_num_threads(1)
    teacher = Teacher(load_recipe("teacher-paper").teacher).eval()
    side, channels = teacher.config.side, teacher.config.event_channels
    pair = (torch.rand(1, channels, side, side), torch.rand(1, 3, side, side))

    def paper() -> object:
        with torch.inference_mode():
            return teacher(*pair)

    networks = {name: LandmarkNetwork(find_model(name)) for name in models}
    calls: dict[str, Callable[[], object]] = {}
    for name, network in networks.items():
        recent = EventBuffer(network.card.window.max_duration_us)
        recent.append(clips.events_of(0))
        crop = network.crop(recent, clips.box_of(0), int(clips.events_of(0)["t"][-1]))
        feed = network.feed([crop])
        calls[f"{name}, network"] = lambda run=network.runtime.run, feed=feed: run(feed)
    calls["CMFA of the paper's size, network"] = paper
    try:
        with pinned():
            latencies = measure(
                calls, seconds=seconds, rounds=5, warm_up=2, clock=time.process_time
            )
    finally:
        for network in networks.values():
            network.close()
    return {name: latency.fast_ms for name, latency in latencies.items()}
