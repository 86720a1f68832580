"""The model card: all that is needed to use an artefact rightly, kept inside the artefact."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from evface_edge.errors import ConfigError, ModelError

CARD_VERSION = 1
CARD_KEY = "evface_card"


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape (-1: any batch size) and NumPy dtype of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class WindowPolicy:
    """Which events make one input: the newest ones in the face box, few enough not to blur.

    Attributes:
        events_per_px: how many, per pixel of the crop's area on the sensor.
        min_events: but at least this many ...
        max_events: ... and at most this many, which bounds the work.
        max_duration_us: never older than this.
    """

    events_per_px: float
    min_events: int
    max_events: int
    max_duration_us: int

    def __post_init__(self) -> None:
        if not self.events_per_px > 0:
            raise ConfigError("WindowPolicy.events_per_px", self.events_per_px, "a number above 0")
        if not 1 <= self.min_events <= self.max_events:
            raise ConfigError(
                "WindowPolicy.min_events", self.min_events, f"1 to max_events ({self.max_events})"
            )
        if self.max_duration_us < 1:
            raise ConfigError(
                "WindowPolicy.max_duration_us", self.max_duration_us, "1 µs or longer"
            )

    def target_events(self, crop_area_px: float) -> int:
        """The number of events wanted for a crop of that many sensor pixels."""
        wanted = round(self.events_per_px * crop_area_px)
        return min(max(wanted, self.min_events), self.max_events)


@dataclass(frozen=True)
class ModelCard:
    """What an artefact is, what goes in, what comes out, and what it may be used for.

    Attributes:
        name: as users call it, such as "evface-s".
        version: of the weights.
        precision: "fp32", "fp16" or "int8".
        target: the export target that made the artefact, such as "onnx-int8".
        landmarks: the landmark scheme; "wflw98".
        representation: name and parameters, as `evface_edge.representation.from_config` takes it.
        crop_scale: side of the square crop ÷ longer side of the face box.
        window: which events make one input.
        inputs, outputs: of the network. Outputs: "landmarks" (-1, 98, 2) as fractions of the
            crop, "log_sigma" (-1, 98) natural logarithm of the same unit, "presence" (-1, 1) logit.
        presence_threshold: of the sigmoid of the presence logit, below which there is no face.
        sigma_limit: mean σ ÷ longer side of the face box, above which it is not a face either:
            the points of a face are known to a few percent of its size, those of a hand are not.
        built_with: package → version.
        training: free text by key: "data", "licence", "recipe", …
        calibration: for INT8: "set", "count", "seed", "sha256".
        metrics: measured figures by name, such as "nme68_normal_percent".
    """

    name: str
    version: str
    precision: str
    target: str
    representation: dict[str, Any]
    crop_scale: float
    window: WindowPolicy
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    presence_threshold: float
    sigma_limit: float
    landmarks: str = "wflw98"
    built_with: dict[str, str] = field(default_factory=dict)
    training: dict[str, str] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    card_version: int = CARD_VERSION

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, origin: str) -> ModelCard:
        """The card in `text`; `origin` names the artefact in messages.

        Raises:
            ModelError: not JSON, another card version, a field missing, unknown or out of range.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ModelError(f"{origin}: the model card is not JSON ({error})") from None
        found = values.get("card_version") if isinstance(values, dict) else None
        if found != CARD_VERSION:
            raise ModelError(
                f"{origin}: model card version {found}, this SDK reads {CARD_VERSION}; "
                "export the model again with this version of evface-edge"
            )
        try:
            values["window"] = WindowPolicy(**values["window"])
            for key in ("inputs", "outputs"):
                values[key] = tuple(
                    TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"])
                    for spec in values[key]
                )
            card = cls(**values)
        except (KeyError, TypeError, ConfigError) as error:
            raise ModelError(f"{origin}: the model card is not complete: {error}") from None
        if card.landmarks != "wflw98":
            raise ModelError(f"{origin}: landmark scheme {card.landmarks!r}, expected 'wflw98'")
        return card
