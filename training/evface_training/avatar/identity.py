"""Who the head is: proportions in millimetres and looks, all drawn from one seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from evface_edge.errors import ConfigError

HairStyle = Literal["bald", "short", "swept", "fringe", "long", "hat"]
HAIR_STYLES: tuple[HairStyle, ...] = ("bald", "short", "swept", "fringe", "long", "hat")

Color = tuple[float, float, float]

#: Allowed range of each proportion and the standard deviation of samples: (low, high, sigma).
_PROPORTIONS: dict[str, tuple[float, float, float]] = {
    "face_width": (0.85, 1.18, 0.045),
    "jaw_width": (0.8, 1.25, 0.06),
    "chin_length_mm": (36.0, 56.0, 2.8),
    "chin_protrusion_mm": (-4.0, 6.0, 1.5),
    "forehead_height_mm": (55.0, 90.0, 4.5),
    "eye_distance_mm": (54.0, 72.0, 2.6),
    "eye_width_mm": (25.0, 34.0, 1.3),
    "eye_height_mm": (6.5, 14.0, 1.2),
    "eye_tilt_deg": (-6.0, 10.0, 2.2),
    "nose_length_mm": (40.0, 60.0, 2.8),
    "nose_width_mm": (27.0, 48.0, 2.8),
    "nose_protrusion_mm": (14.0, 32.0, 2.2),
    "philtrum_mm": (13.0, 24.0, 1.6),
    "mouth_width_mm": (40.0, 62.0, 3.0),
    "upper_lip_mm": (3.0, 12.0, 1.6),
    "lower_lip_mm": (4.5, 14.0, 1.6),
    "brow_height_mm": (13.0, 27.0, 1.6),
    "brow_thickness_mm": (3.0, 12.0, 1.4),
    "brow_arch_mm": (0.0, 7.0, 1.2),
    "brow_ridge_mm": (0.0, 6.0, 1.0),
    "cheek_fullness_mm": (-3.0, 6.0, 1.4),
}
#: Strengths in 0 to 1.
_STRENGTHS = ("beard", "freckles", "lashes", "brow_darkness")


@dataclass(frozen=True)
class AvatarIdentity:
    """Proportions and looks of one head. Frozen and hashable: it is the key of built meshes.

    Lengths are millimetres on the skin of a neutral face, colours linear RGB reflectances in
    [0, 1]. The defaults are an average adult (proportions as in Farkas, "Anthropometry of the
    Head and Face", 1994, rounded).

    Raises:
        ConfigError: a value outside its range.
    """

    face_width: float = 1.0  # scale of all widths of the skull
    jaw_width: float = 1.0  # scale of the widths below the mouth
    chin_length_mm: float = 44.0  # lip line to the bottom of the chin
    chin_protrusion_mm: float = 0.0
    forehead_height_mm: float = 74.0  # eye line to hairline
    eye_distance_mm: float = 63.0  # between pupils
    eye_width_mm: float = 29.0
    eye_height_mm: float = 10.5
    eye_tilt_deg: float = 3.0  # outer corner higher
    nose_length_mm: float = 49.0  # root to base
    nose_width_mm: float = 35.0
    nose_protrusion_mm: float = 23.0
    philtrum_mm: float = 19.5  # base of the nose to the lip line
    mouth_width_mm: float = 50.0
    upper_lip_mm: float = 7.0
    lower_lip_mm: float = 10.0
    brow_height_mm: float = 18.5  # eye line to the middle of the brow
    brow_thickness_mm: float = 7.5
    brow_arch_mm: float = 3.0
    brow_ridge_mm: float = 3.0
    cheek_fullness_mm: float = 0.0
    skin: Color = (0.52, 0.32, 0.23)
    lips: Color = (0.40, 0.16, 0.14)
    iris: Color = (0.10, 0.07, 0.04)
    hair: Color = (0.035, 0.024, 0.018)
    clothes: Color = (0.10, 0.14, 0.22)
    hair_style: HairStyle = "short"
    brow_darkness: float = 0.95
    lashes: float = 0.6  # 1 is mascara and eyeliner
    beard: float = 0.0  # 0 shaven, 0.3 stubble, 1 full
    freckles: float = 0.1
    glasses: bool = False
    texture_seed: int = 0  # pores, freckles, hair strands

    def __post_init__(self) -> None:
        ranges = {name: (low, high) for name, (low, high, _) in _PROPORTIONS.items()}
        for name, (low, high) in (ranges | dict.fromkeys(_STRENGTHS, (0.0, 1.0))).items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"AvatarIdentity.{name}", value, f"{low:g} to {high:g}")
        for name in ("skin", "lips", "iris", "hair", "clothes"):
            color = getattr(self, name)
            if len(color) != 3 or not all(0 <= channel <= 1 for channel in color):
                raise ConfigError(f"AvatarIdentity.{name}", color, "three reflectances in 0 to 1")
        if self.hair_style not in HAIR_STYLES:
            raise ConfigError("AvatarIdentity.hair_style", self.hair_style, ", ".join(HAIR_STYLES))

    @classmethod
    def sample(cls, rng: np.random.Generator) -> AvatarIdentity:
        """A plausible adult: proportions about normal, looks from the whole human range."""

        bearded = rng.random() < 0.3
        skin, lips = _skin_and_lips(rng, lipstick=not bearded and rng.random() < 0.25)
        hair = _hair(rng)
        proportions = {
            name: float(np.clip(_DEFAULTS[name] + sigma * rng.standard_normal(), low, high))
            for name, (low, high, sigma) in _PROPORTIONS.items()
        }
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


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(AvatarIdentity)}

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
    """Skin from deep brown to pale on a line of melanin, lips redder and darker."""
    pale, deep = np.array([0.68, 0.46, 0.37]), np.array([0.11, 0.055, 0.035])
    melanin = rng.beta(1.3, 2.0)
    skin = pale ** (1 - melanin) * deep**melanin * rng.normal(1, 0.04, 3)
    lips = skin * np.array([0.92, 0.56, 0.62]) * rng.uniform(0.75, 1.0)
    if lipstick:
        lips = np.array([0.42, 0.05, 0.07]) * rng.uniform(0.6, 1.2, 3)
    return _color(skin), _color(lips)


def _iris(rng: np.random.Generator, skin: Color) -> Color:
    """Any colour with pale skin, brown with dark skin."""
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
