"""The locally adaptive decay surface: it fades only where new events arrive."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.representation.base import Cells, Representation

SCORES = ("rate", "log", "spectrum")

#: Slope and centre of the decay factor with the "log" score.
LOG_SLOPE, LOG_CENTRE = 0.75, 0.75
_LOG_SIGMA = 0.5


@dataclass(frozen=True)
class AdaptiveSurface(Representation):
    """(1, H, W) in [-1, 1]: signed event counts that decay only where new events arrive.

    Locally Adaptive Decay Surfaces (Kielty, Hanley, Corcoran, arXiv 2602.23101). The window is cut
    into slices of time. Each slice k has an image G_k of its events (ON +1, OFF -1), and the
    surface is

        S_k = G_k + D_k · S_{k-1}

    where D_k in [0, 1] is a decay factor for each patch of cells, interpolated bilinearly between
    the patch centres. A patch without events in the slice does not decay (D = 1).

    The decay factor depends on `score`:

    - "rate": D = exp(-n / reference), n = events in the patch ÷ its cells. (The authors' package
      has exp(-Δt · rate / (reference rate · τ)); Δt cancels out.)
    - "log": D = (1 + e^{-ab}) / (1 + e^{a (s - b)}), s = the mean magnitude of the Laplacian of
      Gaussian of G over the patch, a = b = 0.75.
    - "spectrum": D = the fraction of the patch's energy |FFT(G)|² at high spatial frequencies.

    The recursion, the patches and their interpolation, the three scores and the clipping are those
    of the paper and of the authors' package (event-lads 0.1). Where these leave it open, we chose:
    slices start at the first event of the window, and slices without events are skipped; the 3 × 3
    Laplacian of Gaussian has σ = 0.5 cells, sum 0 and centre 1; high frequencies are those above
    `high_frequency` × the highest frequency of the patch; patches at the right and lower edge may
    be smaller (padded with zeros for the spectrum); in a crop, patches consist of the crop's own
    cells; there is no recursive subdivision of patches.

    Attributes:
        score: "rate", "log" or "spectrum".
        slice_us: length of a slice.
        patch: side of a patch in cells.
        reference: events per cell and slice at which the "rate" factor is 1/e.
        high_frequency: lower limit of the high frequencies of the "spectrum" score, in [0, 1).
        clip: absolute value of S that is mapped to 1.
    """

    score: str = "rate"
    slice_us: int = 4_167
    patch: int = 8
    reference: float = 0.1
    high_frequency: float = 0.25
    clip: float = 5.0

    def __post_init__(self) -> None:
        checks = {
            "score": (self.score in SCORES, " or ".join(map(repr, SCORES))),
            "slice_us": (self.slice_us >= 1, "1 µs or longer"),
            "patch": (self.patch >= 1, "1 cell or more"),
            "reference": (0 < self.reference < math.inf, "a number above 0"),
            "high_frequency": (0 <= self.high_frequency < 1, "0 or more, below 1"),
            "clip": (0 < self.clip < math.inf, "a number above 0"),
        }
        for field, (valid, allowed) in checks.items():
            if not valid:
                raise ConfigError(f"AdaptiveSurface.{field}", getattr(self, field), allowed)

    @property
    def channels(self) -> int:
        return 1

    def _fill(self, events: EventArray, cells: Cells, t_us: int | None) -> bool:
        """Update the surface slice by slice."""
        from evface_edge.representation.event_kernels import fill_frame

        if (np.diff(events["t"]) < 0).any():
            return False
        surface = cells.flat[:-1].reshape(-1, cells.width)
        counted = cells._replace(flat=np.empty(2 * surface.size + 1, np.float32))
        for part in _slices(events, self.slice_us):
            counted.flat[:] = 0
            if not fill_frame(part, *counted):
                return False
            self._update(surface, counted.flat[:-1].reshape(2, *surface.shape))
        return True

    def _finish(self, cells: NDArray[np.float32]) -> None:
        from evface_edge.representation.cell_kernels import scale_and_clip

        scale_and_clip(cells.reshape(-1), np.float32(1 / self.clip))

    def _update(self, surface: NDArray[np.float32], counts: NDArray[np.float32]) -> None:
        """Apply a slice with these counts (2, h, w) to the surface (h, w), in place."""
        from evface_edge.representation.adaptive_kernels import (
            laplacian_magnitude,
            multiply_by_patch,
            patch_means,
        )

        signed = counts[1] - counts[0]
        if self.score == "rate":
            factors = np.exp(patch_means(counts[0] + counts[1], self.patch) / -self.reference)
        elif self.score == "log":
            score = patch_means(laplacian_magnitude(signed, *log_kernel()), self.patch)
            denominator = 1 + np.exp(LOG_SLOPE * (score - LOG_CENTRE))
            factors = (1 + math.exp(-LOG_SLOPE * LOG_CENTRE)) / denominator
        else:
            factors = self._high_fraction(signed)
        multiply_by_patch(surface, factors.astype(np.float32), self.patch)
        surface += signed

    def _high_fraction(self, signed: NDArray[np.float32]) -> NDArray[np.float64]:
        """Fraction of energy at high frequencies, for each patch (down, across); 1 if empty."""
        patch = self.patch
        down, across = (-(-side // patch) for side in signed.shape)
        padded = np.zeros((down * patch, across * patch), np.float32)
        padded[: signed.shape[0], : signed.shape[1]] = signed
        patches = padded.reshape(down, patch, across, patch).transpose(0, 2, 1, 3)
        fraction = np.ones((down, across))
        active = patches.any((2, 3))
        power = np.abs(np.fft.fft2(patches[active])) ** 2
        high = (power * high_frequencies(patch, self.high_frequency)).sum((1, 2))
        fraction[active] = high / power.sum((1, 2))
        return fraction


def _slices(events: EventArray, slice_us: int) -> Iterator[EventArray]:
    """The events of each slice that has any; slices start at the first event."""
    numbers = (events["t"] - events["t"][0]) // slice_us
    edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
    for first, end in itertools.pairwise(edges):
        yield events[first:end]


def log_kernel() -> tuple[float, float, float]:
    """Weights of the 3 × 3 Laplacian of Gaussian: side, corner, centre."""
    side, corner, centre = (
        (1 - square / (2 * _LOG_SIGMA**2)) * math.exp(-square / (2 * _LOG_SIGMA**2))
        for square in (1, 2, 0)
    )
    mean = (4 * side + 4 * corner + centre) / 9
    return (side - mean) / (centre - mean), (corner - mean) / (centre - mean), 1.0


def high_frequencies(patch: int, limit: float) -> NDArray[np.float32]:
    """(patch, patch) in FFT order: 1 above `limit` × the highest frequency, else 0.

    Frequency 0 is never high.
    """
    along = np.fft.fftfreq(patch)
    length = np.hypot(along[:, None], along)
    high: NDArray[np.bool_] = length > limit * length.max()
    return high.astype(np.float32)
