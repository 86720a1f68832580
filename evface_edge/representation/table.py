"""The table of representations; adding one is adding a row and a file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from evface_edge.errors import ConfigError
from evface_edge.representation.base import Representation
from evface_edge.representation.frame import EventFrame
from evface_edge.representation.surface import TimeSurface
from evface_edge.representation.voxel import VoxelGrid

REPRESENTATIONS: dict[str, type[Representation]] = {
    "event_frame": EventFrame,
    "time_surface": TimeSurface,
    "voxel_grid": VoxelGrid,
}


def from_config(config: Mapping[str, Any]) -> tuple[Representation, tuple[int, int]]:
    """The representation that a model card names, and its output size (width, height).

    Args:
        config: "name", "width", "height", and the parameters of that representation.

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
