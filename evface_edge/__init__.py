"""98 facial landmarks from event cameras, on the edge.

    from evface_edge import Predictor

    with Predictor("evface-s") as predictor:
        for face in predictor.run("recording.raw"):
            face.t_us, face.landmarks, face.sigma

Public is what stands in `__all__`, here and in `evface_edge.representation`. Each name is
imported when it is first used, so that `import evface_edge` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evface_edge.card import ModelCard
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
    from evface_edge.events import open_events, read_events, write_events
    from evface_edge.events.array import EVENT_DTYPE, check_events, make_events
    from evface_edge.events.source import EventSource
    from evface_edge.geometry import Box, SensorSize
    from evface_edge.predictor import Predictor
    from evface_edge.results import FaceLandmarks, FaceState, Predictions
    from evface_edge.tracking.policy import TrackingPolicy
    from evface_edge.tracking.smoothing import SmoothingPolicy

    __version__: str

#: Public name → the module that defines it; the same as the imports above.
_HOMES = {
    "Box": "geometry",
    "CameraError": "errors",
    "ConfigError": "errors",
    "DeviceMismatch": "errors",
    "EVENT_DTYPE": "events.array",
    "EventFormatError": "errors",
    "EventFormatWarning": "errors",
    "EventSource": "events.source",
    "EvfaceError": "errors",
    "ExportError": "errors",
    "FaceLandmarks": "results",
    "FaceState": "results",
    "InputTypeError": "errors",
    "ModelCard": "card",
    "ModelError": "errors",
    "Predictions": "results",
    "Predictor": "predictor",
    "RuntimeUnavailable": "errors",
    "SensorSize": "geometry",
    "SmoothingPolicy": "tracking.smoothing",
    "TrackingPolicy": "tracking.policy",
    "check_events": "events.array",
    "make_events": "events.array",
    "open_events": "events",
    "read_events": "events",
    "write_events": "events",
}

__all__ = [
    "EVENT_DTYPE",
    "Box",
    "CameraError",
    "ConfigError",
    "DeviceMismatch",
    "EventFormatError",
    "EventFormatWarning",
    "EventSource",
    "EvfaceError",
    "ExportError",
    "FaceLandmarks",
    "FaceState",
    "InputTypeError",
    "ModelCard",
    "ModelError",
    "Predictions",
    "Predictor",
    "RuntimeUnavailable",
    "SensorSize",
    "SmoothingPolicy",
    "TrackingPolicy",
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
            value: Any = metadata.version("evface-edge")
        except metadata.PackageNotFoundError:  # the sources, without an install
            value = "0+unknown"
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
