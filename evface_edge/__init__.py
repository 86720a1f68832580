"""98 facial landmarks from event cameras, on the edge.

    from evface_edge import DEMO_RECORDING, Predictor

    with Predictor("evface-s") as predictor:
        for face in predictor.run(DEMO_RECORDING):
            print(face.t_us, face.landmarks[54], face.sigma.mean())

Predict     Predictor, TrackingPolicy, SmoothingPolicy, ModelCard, TensorSpec, WindowPolicy;
            for detectors of your own: Candidate, CandidateSource, EventBuffer
Results     Predictions, FaceLandmarks, FaceState, HeadPose, Intrinsics, Blink, BlinkRule
Events      open_events, read_events, write_events, make_events, check_events, EventSource,
            EVENT_DTYPE, DEMO_RECORDING
Geometry    SensorSize, Box
Errors      EvfaceError and its subclasses: EventFormatError, CameraError, ModelError,
            RuntimeUnavailable, DeviceMismatch, ExportError, ConfigError, InputTypeError;
            the warning EventFormatWarning

Submodules, each with a help page of its own:

evface_edge.events          windows, statistics, writing packet by packet, network sender
evface_edge.representation  events → tensors
evface_edge.results         blinks, eye and mouth aspect ratio, drawing, videos, live viewers
evface_edge.head_pose       head pose from landmarks
evface_edge.landmarks       order and groups of the 98 landmarks
evface_edge.metrics         NME, failure rate, AUC, coverage of σ
evface_edge.models          bundled models
evface_edge.compare         accuracy and latency of several models
evface_edge.live            run on a camera until it is stopped
evface_runtimes             tensors in, tensors out, on each runtime

What is public: the names in `__all__` of the modules in `evface_edge.PUBLIC_MODULES`, and the
commands of `evface-edge`. Everything else is private and may change without notice.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evface_edge._lazy import lazy_names

if TYPE_CHECKING:
    from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
    from evface_edge.errors import (
        CameraError,
        ConfigError,
        DeviceMismatch,
        EventFormatError,
        EventFormatWarning,
        EvfaceError,
        ExportError,
        InputTypeError,
        ModelError,
        RuntimeUnavailable,
    )
    from evface_edge.events import (
        EVENT_DTYPE,
        EventSource,
        check_events,
        make_events,
        open_events,
        read_events,
        write_events,
    )
    from evface_edge.geometry import Box, SensorSize
    from evface_edge.head_pose import HeadPose, Intrinsics
    from evface_edge.predictor import Predictor
    from evface_edge.results import Blink, BlinkRule, FaceLandmarks, FaceState, Predictions
    from evface_edge.tracking.candidates import Candidate, CandidateSource
    from evface_edge.tracking.event_buffer import EventBuffer
    from evface_edge.tracking.policy import TrackingPolicy
    from evface_edge.tracking.smoothing import SmoothingPolicy

    __version__: str

#: A recording of a synthetic face, 3 s at 346×260 pixels, made with
#: evface-edge simulate 'synthetic:avatar?seed=1&seconds=3&focal_px=540' -o demo.npz --seed 1
DEMO_RECORDING = Path(__file__).parent / "data" / "demo.npz"

#: The names in `__all__` of these modules are the public API.
PUBLIC_MODULES = (
    "evface_edge",
    "evface_edge.events",
    "evface_edge.representation",
    "evface_edge.results",
    "evface_edge.head_pose",
    "evface_edge.landmarks",
    "evface_edge.metrics",
    "evface_edge.models",
    "evface_edge.compare",
    "evface_edge.live",
    "evface_runtimes",
)

# Module → names that are imported on first use, so that `import evface_edge` is quick.
_lazy, _names = lazy_names(
    __name__,
    {
        "card": "ModelCard TensorSpec WindowPolicy",
        "errors": "CameraError ConfigError DeviceMismatch EventFormatError EventFormatWarning "
        "EvfaceError ExportError InputTypeError ModelError RuntimeUnavailable",
        "events": "EVENT_DTYPE EventSource check_events make_events open_events read_events "
        "write_events",
        "geometry": "Box SensorSize",
        "head_pose": "HeadPose Intrinsics",
        "predictor": "Predictor",
        "results": "Blink BlinkRule FaceLandmarks FaceState Predictions",
        "tracking.candidates": "Candidate CandidateSource",
        "tracking.event_buffer": "EventBuffer",
        "tracking.policy": "TrackingPolicy",
        "tracking.smoothing": "SmoothingPolicy",
    },
)

__all__ = [
    "DEMO_RECORDING",
    "EVENT_DTYPE",
    "PUBLIC_MODULES",
    "Blink",
    "BlinkRule",
    "Box",
    "CameraError",
    "Candidate",
    "CandidateSource",
    "ConfigError",
    "DeviceMismatch",
    "EventBuffer",
    "EventFormatError",
    "EventFormatWarning",
    "EventSource",
    "EvfaceError",
    "ExportError",
    "FaceLandmarks",
    "FaceState",
    "HeadPose",
    "InputTypeError",
    "Intrinsics",
    "ModelCard",
    "ModelError",
    "Predictions",
    "Predictor",
    "RuntimeUnavailable",
    "SensorSize",
    "SmoothingPolicy",
    "TensorSpec",
    "TrackingPolicy",
    "WindowPolicy",
    "check_events",
    "make_events",
    "open_events",
    "read_events",
    "write_events",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("evface-edge")
        except metadata.PackageNotFoundError:  # the sources, without an install
            return "0+unknown"
    return _lazy(name)


def __dir__() -> list[str]:
    # help() asks by way of `inspect`, and would print every class in full.
    is_help = sys._getframe(1).f_globals.get("__name__") == "inspect"
    return sorted(globals()) if is_help else [*_names(), "__version__"]
