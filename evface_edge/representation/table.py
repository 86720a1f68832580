"""The table of representations: to add one, add a file and a row."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from evface_edge.errors import ConfigError
from evface_edge.representation.adaptive import AdaptiveSurface
from evface_edge.representation.base import Representation
from evface_edge.representation.frame import EventFrame
from evface_edge.representation.statistics import EventStatistics
from evface_edge.representation.surface import MultiScaleSurface, TimeSurface
from evface_edge.representation.voxel import VoxelGrid

REPRESENTATIONS: dict[str, type[Representation]] = {
    "adaptive_surface": AdaptiveSurface,
    "event_frame": EventFrame,
    "event_statistics": EventStatistics,
    "multi_scale_surface": MultiScaleSurface,
    "time_surface": TimeSurface,
    "voxel_grid": VoxelGrid,
}


def from_config(config: Mapping[str, Any]) -> tuple[Representation, tuple[int, int]]:
    """Return the representation of a model card and its output size (width, height).

    Args:
        config: "name", "width", "height" and the parameters of the representation.

    Raises:
        ConfigError: an unknown name or parameter, or a missing size.
    """
    parameters = dict(config)
    name = parameters.pop("name", None)
    kind = REPRESENTATIONS.get(str(name))
    if kind is None:
        near = difflib.get_close_matches(str(name), REPRESENTATIONS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError("representation.name", name, f"one of {', '.join(REPRESENTATIONS)}{hint}")
    try:
        size = int(parameters.pop("width")), int(parameters.pop("height"))
        return kind(**parameters), size
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError("representation", dict(config), f"width, height, … ({error})") from None


def to_config(representation: Representation, output_size: tuple[int, int]) -> dict[str, Any]:
    """Return the mapping for a model card; `from_config` reads it back.

    Args:
        output_size: (width, height).

    Raises:
        ConfigError: a representation that is not in the table.
    """
    names = {kind: name for name, kind in REPRESENTATIONS.items()}
    kind = type(representation)
    if kind not in names:
        raise ConfigError("representation", kind.__name__, f"one of {', '.join(REPRESENTATIONS)}")
    width, height = output_size
    parameters = dataclasses.asdict(representation)  # type: ignore[call-overload]
    return {"name": names[kind], "width": width, "height": height, **parameters}
