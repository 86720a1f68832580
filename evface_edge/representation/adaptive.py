"""A surface that forgets where things happen and remembers where they do not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation.base import (
    CropCells,
    Representation,
)
from evface_edge.representation.incremental import Incremental

if TYPE_CHECKING:
    from evface_edge.representation.incremental_kernels import PlacedArray

SCORES = ("rate", "log", "spectrum")

#: Steepness and centre of the fall of the factor with the "log" score.
LOG_STEEPNESS, LOG_CENTRE = 0.75, 0.75
LOG_SIGMA = 0.5


@dataclass(frozen=True)
class AdaptiveSurface(Representation):
    """(1, H, W) in [-1, 1]: signed events that fade where, and only where, new ones come.

    Locally Adaptive Decay Surfaces (Kielty, Hanley, Corcoran, arXiv 2602.23101). The window is cut
    into slices of time; each slice k has an image G_k of its events (ON +1, OFF -1 a cell), and
    the surface is

        S_k = G_k + D_k · S_{k-1},

    where D_k, between 0 and 1, is a decay factor for each patch of cells, interpolated bilinearly
    between the patches' centres. A patch without events in the slice keeps what it has (D = 1).

    From the paper and the authors' package (event-lads 0.1): this recursion, the patches and
    their interpolation, the three scores with their form below, and clipping for output.

    - "rate": D = exp(-n / reference), n the number of events in the patch ÷ its cells. (The
      package writes exp(-Δt · rate / (reference rate · τ)); Δt drops out.)
    - "log": D = (1 + e^{-ab}) / (1 + e^{a (s - b)}), s the mean of the magnitude of the Laplacian
      of Gaussian of G over the patch, a = b = 0.75.
    - "spectrum": D = the fraction of the patch's energy |FFT(G)|² at high spatial frequencies.

    Our own choices, where the sources are silent or leave it open: slices are counted from the
    first event of the window; only slices with events exist; the 3 × 3 kernel of the Laplacian of
    Gaussian has σ = 0.5 cells, sums to 0 and is 1 in the centre; high frequencies are those above
    `high_frequency` × the highest that the patch has; a patch at the right or lower edge
    may be smaller (for its spectrum it is filled up with zeros); in a crop, patches are of the
    crop's own cells; the recursive division into ever smaller patches is left out.

    Attributes:
        score: "rate", "log" or "spectrum".
        slice_us: length of a slice.
        patch: side of a patch, in cells.
        reference: events per cell and slice at which the "rate" factor is 1/e.
        high_frequency: where the "spectrum" score's high frequencies begin, 0 to 1.
        clip: the absolute value of S that becomes 1.
    """

    score: str = "rate"
    slice_us: int = 4_167
    patch: int = 8
    reference: float = 0.1
    high_frequency: float = 0.25
    clip: float = 5.0

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise ConfigError("AdaptiveSurface.score", self.score, " or ".join(map(repr, SCORES)))
        if self.slice_us < 1:
            raise ConfigError("AdaptiveSurface.slice_us", self.slice_us, "1 µs or longer")
        if self.patch < 1:
            raise ConfigError("AdaptiveSurface.patch", self.patch, "1 cell or more")
        for field in ("reference", "clip"):
            if not 0 < getattr(self, field) < math.inf:
                raise ConfigError(
                    f"AdaptiveSurface.{field}", getattr(self, field), "a number above 0"
                )
        if not 0 <= self.high_frequency < 1:
            raise ConfigError(
                "AdaptiveSurface.high_frequency", self.high_frequency, "0 or more, below 1"
            )

    @property
    def channels(self) -> int:
        return 1

    def _fill(
        self, events: EventArray, cells: NDArray[np.float32], t_us: int | None, clear: bool = True
    ) -> bool:
        from evface_edge.representation.count_kernels import fill_frame

        return self._integrate(events, cells, fill_frame)

    def _fill_crop(self, events: EventArray, crop: CropCells, t_us: int | None) -> bool:
        from evface_edge.representation.crop_kernels import crop_frame

        def count(part: EventArray, counts: NDArray[np.float32]) -> bool:
            spare = np.zeros(counts.size + 1, np.float32)
            sound = crop_frame(part, crop.box, crop.width, counts[0].size, spare)
            counts[:] = spare[:-1].reshape(counts.shape)
            return sound

        return self._integrate(events, crop.flat[:-1].reshape(1, -1, crop.width), count)

    def _integrate(
        self,
        events: EventArray,
        cells: NDArray[np.float32],
        count: Callable[[EventArray, NDArray[np.float32]], bool],
    ) -> bool:
        if (np.diff(events["t"]) < 0).any():
            return False
        cells[:] = 0
        counts = np.empty((2, *cells.shape[1:]), np.float32)
        for _, part in _slices(events, int(events[0]["t"]), self.slice_us):
            if not count(part, counts):
                return False
            cells[0] = self._after(cells[0], counts)
        return True

    def incremental(
        self,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None = None,
        *,
        duration_us: int | None = None,
    ) -> RunningSurface:
        """Exact, over all events since the first; `duration_us` must be None.

        There is no form for a window that slides: to take a slice off again, all factors since
        would have to be divided out, which they cannot where they are 0, and the slices, counted
        from the first event of the window, would move.
        """
        return RunningSurface(self, area, output_size, duration_us)

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        from evface_edge.representation.kernels import scale_and_clip

        scale_and_clip(cells.reshape(-1), np.float32(1 / self.clip))
        return cells

    def _after(
        self, surface: NDArray[np.float32], counts: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The surface (h, w) after a slice with these counts (2, h, w)."""
        from evface_edge.representation.adaptive_kernels import (
            fade,
            laplacian_magnitude,
            patch_means,
        )

        signed = counts[1] - counts[0]
        if self.score == "rate":
            factors = np.exp(patch_means(counts[0] + counts[1], self.patch) / -self.reference)
        elif self.score == "log":
            score = patch_means(laplacian_magnitude(signed, *log_kernel()), self.patch)
            fall = 1 + np.exp(LOG_STEEPNESS * (score - LOG_CENTRE))
            factors = (1 + math.exp(-LOG_STEEPNESS * LOG_CENTRE)) / fall
        else:
            factors = self._high_fraction(signed)
        after = surface.copy()
        fade(after, factors.astype(np.float32), self.patch)
        after += signed
        return after

    def _high_fraction(self, signed: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each patch (down, across); 1 where it is empty."""
        patch = self.patch
        down, across = (-(-side // patch) for side in signed.shape)
        full = np.zeros((down * patch, across * patch), np.float32)
        full[: signed.shape[0], : signed.shape[1]] = signed
        patches = full.reshape(down, patch, across, patch).transpose(0, 2, 1, 3)
        fraction = np.ones((down, across))
        active = patches.any((2, 3))
        power = np.abs(np.fft.fft2(patches[active])) ** 2
        high = (power * high_frequencies(patch, self.high_frequency)).sum((1, 2))
        fraction[active] = high / power.sum((1, 2))
        return fraction


class RunningSurface(Incremental):
    """The surface of all closed slices, and the counts of the open one."""

    _representation: AdaptiveSurface

    def __init__(
        self,
        representation: AdaptiveSurface,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None,
        duration_us: int | None,
    ) -> None:
        super().__init__(representation, area, output_size, duration_us)
        if duration_us is not None:
            raise ConfigError(
                "duration_us", duration_us, "None: a slice that has faded cannot be taken off again"
            )
        self._surface = np.zeros((self._height, self._width), np.float32)
        self._open = np.zeros((2, self._height, self._width), np.float32)
        self._slice = 0

    def _add(self, placed: PlacedArray) -> None:
        from evface_edge.representation.incremental_kernels import add_counts

        for number, part in _slices(placed, self._first_us, self._representation.slice_us):
            if number > self._slice:
                self._surface = self._representation._after(self._surface, self._open)
                self._open[:] = 0
                self._slice = number
            add_counts(part, 1, self._open.reshape(2, -1))

    def _cells(self, now_us: int) -> NDArray[np.float32]:
        return self._representation._after(self._surface, self._open)


def _slices(events: EventArray, start_us: int, slice_us: int) -> Iterator[tuple[int, EventArray]]:
    """Number and events of each slice that has any; slices are counted from start_us."""
    numbers = (events["t"] - start_us) // slice_us
    edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
    for first, end in itertools.pairwise(edges):
        yield int(numbers[first]), events[first:end]


def log_kernel() -> tuple[float, float, float]:
    """Weights of the 3 × 3 Laplacian of Gaussian: beside, diagonal, centre."""
    values = [
        (1 - square / (2 * LOG_SIGMA**2)) * math.exp(-square / (2 * LOG_SIGMA**2))
        for square in (1, 2, 0)
    ]
    mean = (4 * values[0] + 4 * values[1] + values[2]) / 9
    side, corner, centre = ((value - mean) / (values[2] - mean) for value in values)
    return side, corner, centre


def high_frequencies(patch: int, fraction: float) -> NDArray[np.float32]:
    """(patch, patch) in the order of an FFT: 1 above `fraction` of the highest frequency, 0 below.

    The frequency 0 is never high.
    """
    along = np.fft.fftfreq(patch)
    length = np.hypot(along[:, None], along)
    high: NDArray[np.bool_] = length > fraction * length.max()
    return high.astype(np.float32)
