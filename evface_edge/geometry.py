"""Sizes and boxes in sensor pixels: width before height, x before y."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, InputTypeError


@dataclass(frozen=True, order=True)
class SensorSize:
    """Width and height of a sensor in pixels, 1 to 65,536 each (x and y have 16 bits).

    Raises:
        ConfigError: a side out of range.
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        for field, value in (("width", self.width), ("height", self.height)):
            if not 1 <= value <= 65536:
                raise ConfigError(f"SensorSize.{field}", value, "1 to 65536 pixels")

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"


@dataclass(frozen=True)
class Box:
    """An axis-aligned box: left edge x, top edge y, width and height, in pixels.

    A *face box* is the tight box around the 98 landmarks. Centres of pixels are at integers: the
    column x covers [x - 0.5, x + 0.5).

    Raises:
        ConfigError: a number that is not finite, or a width or height of 0 or less.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        for field in ("x", "y", "width", "height"):
            if not math.isfinite(getattr(self, field)):
                raise ConfigError(f"Box.{field}", getattr(self, field), "a finite number of pixels")
        for field in ("width", "height"):
            if getattr(self, field) <= 0:
                raise ConfigError(f"Box.{field}", getattr(self, field), "a number above 0")

    @property
    def center(self) -> tuple[float, float]:
        """x and y of the centre."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def longer_side(self) -> float:
        """The larger of width and height."""
        return max(self.width, self.height)

    def square(self, scale: float) -> Box:
        """The square with the same centre whose side is `scale` × the longer side."""
        side = scale * self.longer_side
        center_x, center_y = self.center
        return Box(center_x - side / 2, center_y - side / 2, side, side)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        overlap = self._overlap(other)
        return overlap / (self.width * self.height + other.width * other.height - overlap)

    def fraction_inside(self, other: Box) -> float:
        """The fraction of this box that lies inside another, 0 to 1."""
        return self._overlap(other) / (self.width * self.height)

    def _overlap(self, other: Box) -> float:
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(across, 0.0) * max(down, 0.0)

    @classmethod
    def around(cls, points: NDArray[np.floating]) -> Box:
        """The tight box around points (N, 2); at least one pixel wide and high."""
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return cls(left, top, max(right - left, 1.0), max(bottom - top, 1.0))


#: A SensorSize, or (width, height).
Size: TypeAlias = SensorSize | tuple[int, int]
#: A Box, or (x, y, width, height).
BoxLike: TypeAlias = Box | tuple[float, float, float, float]


def to_size(value: Any) -> SensorSize:
    """A SensorSize, or width and height in a tuple or list.

    Raises:
        InputTypeError: anything else.
        ConfigError: a size out of range.
    """
    if isinstance(value, SensorSize):
        return value
    numbers = _numbers("size", value, "two integers (width, height)", 2, Integral)
    if numbers is None:
        raise InputTypeError("size", value, "a SensorSize, or two integers (width, height)")
    return SensorSize(int(numbers[0]), int(numbers[1]))


def to_box(value: Any) -> Box:
    """A Box, or x, y, width and height in a tuple, list or array.

    Raises:
        InputTypeError: anything else.
        ConfigError: a box without area, or a number that is not finite.
    """
    if isinstance(value, Box):
        return value
    numbers = _numbers("box", value, "four numbers (x, y, width, height)", 4, Real)
    if numbers is None:
        raise InputTypeError("box", value, "a Box, or four numbers (x, y, width, height) in pixels")
    x, y, width, height = (float(number) for number in numbers)
    return Box(x, y, width, height)


def _numbers(field: str, value: Any, expected: str, count: int, kind: type) -> list[Any] | None:
    numbers = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(numbers, (tuple, list)):
        return None
    if not all(isinstance(n, kind) and not isinstance(n, bool) for n in numbers):
        return None
    if len(numbers) != count:
        short = len(numbers) <= 8
        raise InputTypeError(field, numbers if short else value, expected, show_value=short)
    return list(numbers)
