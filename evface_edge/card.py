"""The model card: what is needed to use a model file correctly. It is stored in the file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evface_edge.errors import ConfigError, ModelError

CARD_VERSION = 1
LANDMARKS = "wflw98"
_EXPORT_AGAIN = "export the model again with this version of evface-edge"


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape (-1: any batch size) and NumPy dtype of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class WindowPolicy:
    """Which events make one input: the newest ones in the crop, few enough not to blur.

    Attributes:
        events_per_px: events per pixel of the crop's area on the sensor.
        min_events: at least this many events ...
        max_events: ... and at most this many, which limits the time of one inference.
        max_duration_us: no event is older than this.

    Raises:
        ConfigError: a value out of range.
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
            raise ConfigError("WindowPolicy.max_duration_us", self.max_duration_us, "1 or more")

    def target_events(self, crop_area_px: float) -> int:
        """The number of events of a full input, for a crop of this area on the sensor."""
        wanted = round(self.events_per_px * crop_area_px)
        return min(max(wanted, self.min_events), self.max_events)


@dataclass(frozen=True)
class ModelCard:
    """What a model is, its input and output, and where its weights come from.

    Attributes:
        name: such as "evface-s".
        version: of the weights.
        precision: "fp32", "fp16" or "int8".
        target: the export target, such as "onnx-int8".
        representation: name and parameters, as `evface_edge.representation.from_config` takes them.
        crop_scale: side of the square crop ÷ longer side of the face box.
        window: which events make one input.
        inputs: of the network; one tensor.
        outputs: of the network: "landmarks" (-1, 98, 2) as fractions of the crop, "log_sigma"
            (-1, 98) natural logarithm of σ as a fraction of the crop, "presence" (-1, 1) logit.
        presence_threshold: smallest probability of a face.
        sigma_limit: largest mean σ ÷ longer side of the face box. Landmarks of a face are known to
            a few percent of its size, those of other objects are not.
        landmarks: the landmark scheme, "wflw98".
        built_with: package → version.
        training: free texts: "data", "licence", "recipe", …
        calibration: for INT8: "set", "count", "seed", "sha256".
        metrics: measured values by name, such as "nme68_normal_percent".
        card_version: of this format.
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
    landmarks: str = LANDMARKS
    built_with: dict[str, str] = field(default_factory=dict)
    training: dict[str, str] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    card_version: int = CARD_VERSION

    def to_json(self) -> str:
        """The card as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, *, origin: str | Path) -> ModelCard:
        """The card in a text; `origin` is the file, for messages.

        Raises:
            ModelError: not JSON, another version, or a field that is missing, unknown or invalid.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ModelError(f"the model card is not JSON ({error})", path=origin) from None
        version = values.get("card_version") if isinstance(values, dict) else None
        if version != CARD_VERSION:
            raise _invalid(origin, "card_version", version, str(CARD_VERSION))
        try:
            values["window"] = WindowPolicy(**values["window"])
            for key in ("inputs", "outputs"):
                values[key] = tuple(
                    TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"])
                    for spec in values[key]
                )
            card = cls(**values)
        except (KeyError, TypeError, ConfigError) as error:
            raise ModelError(
                f"the model card is incomplete or invalid: {error}", path=origin, fix=_EXPORT_AGAIN
            ) from None
        if card.landmarks != LANDMARKS:
            raise _invalid(origin, "landmarks", card.landmarks, LANDMARKS)
        return card


def _invalid(origin: str | Path, field: str, value: object, expected: str) -> ModelError:
    return ModelError(
        f"the model card has {field} {value!r}, expected {expected}",
        path=origin,
        field=field,
        value=value,
        expected=expected,
        fix=_EXPORT_AGAIN,
    )
