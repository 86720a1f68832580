"""Settings of tracking that depend on the application."""

from __future__ import annotations

from dataclasses import dataclass, field

from evface_edge.errors import ConfigError
from evface_edge.tracking.smoothing import SmoothingPolicy


@dataclass(frozen=True)
class TrackingPolicy:
    """When a face is searched for, held and given up.

    Attributes:
        min_face_px: a new face is at least this large, longer side of its landmarks, pixels. On
            fewer pixels, many textures resemble a face.
        search_interval_us: time between two searches while no face is followed and the last
            search left a box to retry. Without one it is twice as long; while one face is
            followed and more are searched for, three times.
        still_fraction: with fewer events than this fraction of a full input, the face is still:
            its landmarks are held, and the network does not run.
        max_hold_us: landmarks of a still face are held for this long at most.
        lost_after_us: a moving face is lost when the network finds no face for this long.
        occlusion_us: the same for a face that was still before, because something else may pass
            in front of it.
        keep_id_us: a face that is found again within this time, near where it was lost, keeps
            its number.
        sigma_growth_px_per_s: growth of σ while landmarks are held.
        smoothing: strength of the Kalman filter.

    Raises:
        ConfigError: a value out of range.
    """

    min_face_px: float = 28.0
    search_interval_us: int = 10_000
    still_fraction: float = 0.08
    max_hold_us: int = 10_000_000
    lost_after_us: int = 60_000
    occlusion_us: int = 500_000
    keep_id_us: int = 2_000_000
    sigma_growth_px_per_s: float = 5.0
    smoothing: SmoothingPolicy = field(default_factory=SmoothingPolicy)

    def __post_init__(self) -> None:
        allowed = {
            "still_fraction": (0 <= self.still_fraction < 1, "0 to below 1"),
            "keep_id_us": (self.keep_id_us >= 0, "0 or more"),
            "sigma_growth_px_per_s": (self.sigma_growth_px_per_s >= 0, "0 or more"),
        } | {
            name: (getattr(self, name) >= 1, "1 or more")
            for name in (
                *("min_face_px", "search_interval_us"),
                *("max_hold_us", "lost_after_us", "occlusion_us"),
            )
        }
        for name, (valid, expected) in allowed.items():
            if not valid:
                raise ConfigError(f"TrackingPolicy.{name}", getattr(self, name), expected)
