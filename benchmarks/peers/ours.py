"""Our networks on the same clips, and the network of the paper's size, for its time alone."""

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

#: The face is followed already: its box is known, moved and scaled a little as a tracker's is.
FOLLOWED = "followed"
#: Nothing is known: the face is searched for in the clip's own events.
SEARCHED = "searched"

#: No clip lasts a second: its last event makes the one instant.
_ONCE_HZ = 1.0
#: Clips whose time is taken, about.
_TIMED = 16


@dataclass(frozen=True, eq=False)
class Found:
    """Of N clips.

    Attributes:
        points: (N, 98, 2) sensor pixels at the end, NaN where the model takes nothing for a face.
        cpu_ms: (T,) of some of the clips, for one instant of a hundred a second, from events to
            landmarks.
    """

    points: NDArray[np.float32]
    cpu_ms: NDArray[np.float64]


def look(model: str, clips: Clips, *, follow: bool) -> Found:
    """The last landmarks of each clip.

    In a box that is known, every instant stands by itself: all but the last are left out, except
    where time is taken. A search needs all of them.
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
    return Found(points, np.array(cpu_ms))


def _accepted(predictor: Predictor, face: Any) -> bool:
    """Whether the limits of the model's card take it for a face, as a peer's detector has its."""
    box = Box.around(face.landmarks)
    spread = float(face.sigma.mean()) / max(box.width, box.height)
    card = predictor.card
    return bool(face.presence >= card.presence_threshold and spread <= card.sigma_limit)


def network_times(models: tuple[str, ...], clips: Clips, seconds: float) -> dict[str, Any]:
    """Name → processor time of one inference, ms (p10), in turns on one core.

    The network of the published size, which we have built, has weights that were never trained:
    its time is that of trained ones, its landmarks are not worth a look.
    """
    import torch

    from evface_training.teacher.config import SIZES
    from evface_training.teacher.network import Teacher

    torch.set_num_threads(1)
    teacher = Teacher(SIZES["paper"]).eval()
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
            taken = measure(calls, seconds=seconds, rounds=5, warm_up=2, clock=time.process_time)
    finally:
        for network in networks.values():
            network.close()
    return {name: latency.fast_ms for name, latency in taken.items()}
