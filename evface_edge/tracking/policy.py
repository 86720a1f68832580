"""When a face is still, when it is gone, and how much it is smoothed."""

from __future__ import annotations

from dataclasses import dataclass, field

from evface_edge.errors import ConfigError
from evface_edge.tracking.smoothing import SmoothingPolicy


@dataclass(frozen=True)
class FollowPolicy:
    """Rules of tracking.

    Attributes:
        still_fraction: below this fraction of the wanted events, the landmarks are held.
        faint_fraction: below this fraction, doubts of the network do not end the following: noise
            alone looks like no face.
        quiet_fraction: nor do they where the face's own events come at less than this fraction of
            the rate at which they came while it was seen well: it rests before a slow background.
        stirs_by: such a face moves again if its events come at this many times the lowest rate
            since it rested; all else is noise, which may look like a face now and then.
        rest_fraction: landmarks are held where the face's own fraction of the events around it is
        below
            this: a background that moves behind a face at rest.
        fading_fraction: with less than this fraction of the face's own events in the newest
            quarter of a look, a face has just stopped, and is held where it was seen well ...
        fading_us: ... for this long at most.
        stopped_sigma, slow_sigma: with less than half of the wanted events, landmarks are taken
            whose σ is at most so many times that of a full look: at first, and after `fading_us`;
            after doubts the latter, for all.
        eyes_sigma: the eyes of a held face move on while their σ is at most so many times that of
            a full look: a face at rest blinks.
        max_hold_us: landmarks of a still face are given up after this long.
        lost_after_us: doubtful looks for so long end the following.
        passing_us: the same of a face that was held when they began: something passes before it,
            and one at rest is hard to find again.
        remember_us: a face found again this soon, near where it was lost, keeps its number.
        find_every_us: how often the face detector is asked while no face is followed and the last
            search has seen something promising.
        find_idle_every_us: the same where it has not.
        find_more_every_us: the same while some faces are followed and more are asked for.
        min_face_px: no new face is smaller than this, the longer side of its landmarks: in so few
            pixels many a texture is like a face.
        growth_px_per_s: how fast σ grows while landmarks are held.
        keep_crop_iou: the crop stays while it overlaps the face this well.
        smoothing: see there.
    """

    still_fraction: float = 0.08
    faint_fraction: float = 0.25
    quiet_fraction: float = 0.2
    stirs_by: float = 1.5
    rest_fraction: float = 0.2
    fading_fraction: float = 0.1
    fading_us: int = 500_000
    stopped_sigma: float = 1.25
    slow_sigma: float = 1.6
    eyes_sigma: float = 1.3
    max_hold_us: int = 10_000_000
    lost_after_us: int = 60_000
    passing_us: int = 500_000
    remember_us: int = 2_000_000
    find_every_us: int = 10_000
    find_idle_every_us: int = 20_000
    find_more_every_us: int = 30_000
    min_face_px: float = 28.0
    growth_px_per_s: float = 5.0
    keep_crop_iou: float = 0.85
    smoothing: SmoothingPolicy = field(default_factory=SmoothingPolicy)

    def __post_init__(self) -> None:
        for name in (
            "still_fraction",
            "faint_fraction",
            "quiet_fraction",
            "rest_fraction",
            "fading_fraction",
        ):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"FollowPolicy.{name}", getattr(self, name), "0 to below 1")
        if not 0 < self.keep_crop_iou <= 1:
            raise ConfigError("FollowPolicy.keep_crop_iou", self.keep_crop_iou, "above 0, up to 1")
        for name in ("stopped_sigma", "slow_sigma", "eyes_sigma", "stirs_by", "min_face_px"):
            if not getattr(self, name) >= 1:
                raise ConfigError(f"FollowPolicy.{name}", getattr(self, name), "1 or more")
        for name in (
            *("max_hold_us", "lost_after_us", "passing_us"),
            *("find_every_us", "find_idle_every_us", "find_more_every_us"),
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"FollowPolicy.{name}", getattr(self, name), "1 or more")
