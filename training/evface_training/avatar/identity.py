"""The identity of an avatar: proportions in millimetres and appearance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from evface_edge.errors import ConfigError

HairStyle = Literal["bald", "short", "swept", "fringe", "long", "hat"]
HAIR_STYLES: tuple[HairStyle, ...] = ("bald", "short", "swept", "fringe", "long", "hat")

Color = tuple[float, float, float]


def _proportion(default: float, low: float, high: float, sigma: float) -> float:
    """Return a field with its allowed range and the standard deviation of samples."""
    metadata = {"low": low, "high": high, "sigma": sigma}
    value: float = field(default=default, metadata=metadata)
    return value


def _strength(default: float) -> float:
    value: float = field(default=default, metadata={"low": 0.0, "high": 1.0})
    return value


@dataclass(frozen=True)
class AvatarIdentity:
    """Proportions and appearance of one avatar. Hashable: it is the key of built meshes.

    Lengths are millimetres on the skin of a neutral face, colours linear RGB reflectances in
    [0, 1]. The defaults are an average adult (proportions as in Farkas, "Anthropometry of the
    Head and Face", 1994, rounded).

    Raises:
        ConfigError: a value outside its range.
    """

    face_width: float = _proportion(1.0, 0.85, 1.18, 0.045)  # scale of all widths of the skull
    jaw_width: float = _proportion(1.0, 0.8, 1.25, 0.06)  # scale of the widths below the mouth
    chin_length_mm: float = _proportion(44.0, 36.0, 56.0, 2.8)  # lip line to the bottom of the chin
    chin_protrusion_mm: float = _proportion(0.0, -4.0, 6.0, 1.5)
    forehead_height_mm: float = _proportion(74.0, 55.0, 90.0, 4.5)  # eye line to hairline
    eye_distance_mm: float = _proportion(63.0, 54.0, 72.0, 2.6)  # between pupils
    eye_width_mm: float = _proportion(29.0, 25.0, 34.0, 1.3)
    eye_height_mm: float = _proportion(10.5, 6.5, 14.0, 1.2)
    eye_tilt_deg: float = _proportion(3.0, -6.0, 10.0, 2.2)  # outer corner higher
    nose_length_mm: float = _proportion(49.0, 40.0, 60.0, 2.8)  # root to base
    nose_width_mm: float = _proportion(35.0, 27.0, 48.0, 2.8)
    nose_protrusion_mm: float = _proportion(23.0, 14.0, 32.0, 2.2)
    philtrum_mm: float = _proportion(19.5, 13.0, 24.0, 1.6)  # base of the nose to the lip line
    mouth_width_mm: float = _proportion(50.0, 40.0, 62.0, 3.0)
    upper_lip_mm: float = _proportion(7.0, 3.0, 12.0, 1.6)
    lower_lip_mm: float = _proportion(10.0, 4.5, 14.0, 1.6)
    brow_height_mm: float = _proportion(18.5, 13.0, 27.0, 1.6)  # eye line to the middle of the brow
    brow_thickness_mm: float = _proportion(7.5, 3.0, 12.0, 1.4)
    brow_arch_mm: float = _proportion(3.0, 0.0, 7.0, 1.2)
    brow_ridge_mm: float = _proportion(3.0, 0.0, 6.0, 1.0)
    cheek_fullness_mm: float = _proportion(0.0, -3.0, 6.0, 1.4)
    skin: Color = (0.52, 0.32, 0.23)
    lips: Color = (0.40, 0.16, 0.14)
    iris: Color = (0.10, 0.07, 0.04)
    hair: Color = (0.035, 0.024, 0.018)
    clothes: Color = (0.10, 0.14, 0.22)
    hair_style: HairStyle = "short"
    brow_darkness: float = _strength(0.95)
    lashes: float = _strength(0.6)  # 1 is mascara and eyeliner
    beard: float = _strength(0.0)  # 0 shaven, 0.3 stubble, 1 full
    freckles: float = _strength(0.1)
    glasses: bool = False
    texture_seed: int = 0  # pores, freckles, hair strands

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.metadata:
                low, high = one.metadata["low"], one.metadata["high"]
                value = getattr(self, one.name)
                if not (math.isfinite(value) and low <= value <= high):
                    raise ConfigError(f"AvatarIdentity.{one.name}", value, f"{low:g} to {high:g}")
        for name in ("skin", "lips", "iris", "hair", "clothes"):
            color = getattr(self, name)
            if len(color) != 3 or not all(0 <= channel <= 1 for channel in color):
                raise ConfigError(f"AvatarIdentity.{name}", color, "three reflectances in 0 to 1")
        if self.hair_style not in HAIR_STYLES:
            raise ConfigError("AvatarIdentity.hair_style", self.hair_style, ", ".join(HAIR_STYLES))

    @classmethod
    def sample(cls, rng: np.random.Generator) -> AvatarIdentity:
        """Draw a plausible adult: normal proportions, appearance from the whole human range."""
        bearded = rng.random() < 0.3
        skin, lips = _skin_and_lips(rng, lipstick=not bearded and rng.random() < 0.25)
        hair = _hair(rng)
        proportions: dict[str, Any] = {}
        for one in fields(cls):
            if "sigma" in one.metadata:
                value = one.default + one.metadata["sigma"] * rng.standard_normal()
                low, high = one.metadata["low"], one.metadata["high"]
                proportions[one.name] = float(np.clip(value, low, high))
        return cls(
            **proportions,
            skin=skin,
            lips=lips,
            iris=_iris(rng, skin),
            hair=hair,
            clothes=_color(rng.uniform(0.02, 0.7, 3)),
            hair_style=HAIR_STYLES[int(rng.choice(6, p=[0.08, 0.28, 0.2, 0.14, 0.22, 0.08]))],
            brow_darkness=float(rng.uniform(0.6, 1.0)),
            lashes=float(rng.uniform(0.2, 0.6) if bearded else rng.uniform(0.2, 1.0)),
            beard=float(rng.uniform(0.15, 1.0)) if bearded else 0.0,
            freckles=float(rng.beta(1, 4)),
            glasses=bool(rng.random() < 0.2),
            texture_seed=int(rng.integers(2**31)),
        )


# Dark brown, brown, hazel, green, blue, grey.
_IRISES: tuple[Color, ...] = (
    (0.045, 0.025, 0.015),
    (0.10, 0.055, 0.025),
    (0.16, 0.11, 0.04),
    (0.13, 0.17, 0.08),
    (0.12, 0.20, 0.32),
    (0.22, 0.25, 0.27),
)


def _color(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Color:
    red, green, blue = (float(value) for value in np.clip(values, 0.005, 0.95))
    return red, green, blue


def _skin_and_lips(rng: np.random.Generator, lipstick: bool) -> tuple[Color, Color]:
    """Draw skin from deep brown to pale on a line of melanin, and redder and darker lips."""
    pale, deep = np.array([0.68, 0.46, 0.37]), np.array([0.11, 0.055, 0.035])
    melanin = rng.beta(1.3, 2.0)
    skin = pale ** (1 - melanin) * deep**melanin * rng.normal(1, 0.04, 3)
    lips = skin * np.array([0.92, 0.56, 0.62]) * rng.uniform(0.75, 1.0)
    if lipstick:
        lips = np.array([0.42, 0.05, 0.07]) * rng.uniform(0.6, 1.2, 3)
    return _color(skin), _color(lips)


def _iris(rng: np.random.Generator, skin: Color) -> Color:
    """Draw any colour with pale skin, brown with dark skin."""
    kinds = len(_IRISES) if skin[0] > 0.4 else 2
    return _IRISES[int(rng.integers(kinds))]


def _hair(rng: np.random.Generator) -> Color:
    tones = np.array(
        [
            [0.012, 0.010, 0.009],  # black
            [0.05, 0.028, 0.016],  # brown
            [0.16, 0.075, 0.035],  # red
            [0.36, 0.23, 0.11],  # blond
            [0.42, 0.41, 0.40],  # grey
        ]
    )
    tone = tones[rng.choice(5, p=[0.34, 0.32, 0.14, 0.11, 0.09])]
    return _color(tone * rng.uniform(0.8, 1.2))
