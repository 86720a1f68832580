"""A face whose box the caller knows: nothing is searched for or followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evface_edge.geometry import Box
from evface_edge.results import FaceLandmarks, FaceState
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import Detection, LandmarkNetwork
from evface_edge.tracking.policy import TrackingPolicy

#: Looks at most, and when a further one would change nothing.
MAX_LOOKS = 4
SETTLED_IOU = 0.75


class FixedBox:
    """The face in one box, judged anew at every instant and held while nothing moves."""

    def __init__(
        self, network: LandmarkNetwork, box: Box, *, policy: TrackingPolicy | None = None
    ) -> None:
        self._network, self._box, self._policy = network, box, policy or TrackingPolicy()
        self._last: Detection | None = None
        self._seen_us = 0

    def update(self, recent: EventBuffer, now_us: int) -> list[FaceLandmarks]:
        """The face at `now_us`: always one."""
        look = self._network.crop(recent, self._box, now_us)
        wanted = self._network.target_events(look)
        if self._last is not None and look.event_count < self._policy.still_fraction * wanted:
            age_us = now_us - self._seen_us
            if age_us <= self._policy.max_hold_us:
                growth = self._policy.sigma_growth_px_per_s * age_us * 1e-6
                return [self._result(self._last, growth, FaceState.HELD)]
        self._last = self._settle(recent, self._network.infer([look])[0], now_us)
        self._seen_us = now_us
        return [self._result(self._last, 0.0, FaceState.FOLLOWING)]

    def _settle(self, recent: EventBuffer, seen: Detection, now_us: int) -> Detection:
        """Crop again in the box of the landmarks: a box from elsewhere is seldom cut as ours is.

        Measured on 40 faces, NME-68 % after one, two, three looks: 5.0, 4.9, 5.0 with a true box;
        5.5, 5.0, 4.9 with one 1.25 × too large; 22.8, 6.8, 5.2 with one twice as large. Two looks
        that agree err in part independently, the more so when one is in a mirror. NME-68 % of
        their mean on 80 faces (jittered boxes; normal, fast, dark, still): 4.32, 4.89, 6.01, 5.72;
        with both looks the same way 4.47, 4.97, 6.12, 5.91.
        """
        for _ in range(MAX_LOOKS - 1):
            look = self._network.crop(recent, seen.box, now_us, mirrored=True)
            again = self._network.infer([look])[0]
            if again.box.iou(seen.box) >= SETTLED_IOU:
                mean = (seen.landmarks + again.landmarks) / np.float32(2)
                return replace(again, landmarks=mean)
            seen = again
        return seen

    def _result(self, seen: Detection, growth_px: float, state: FaceState) -> FaceLandmarks:
        return FaceLandmarks(
            t_us=seen.t_us,
            landmarks=seen.landmarks,
            sigma=seen.sigma + growth_px,
            presence=seen.presence,
            box=seen.box,
            state=state,
        )
