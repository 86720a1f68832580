"""The measures of `evface_edge.metrics`, under the name that training has for them."""

from evface_edge.metrics import (
    COVERED,
    LIMIT,
    Floats,
    Roc,
    area_under_ced,
    coverage,
    failure_rate,
    flicker,
    nme5,
    nme68,
    nme98,
    point_errors,
    roc,
    sigma_ratio,
)

__all__ = [
    "COVERED",
    "LIMIT",
    "Floats",
    "Roc",
    "area_under_ced",
    "coverage",
    "failure_rate",
    "flicker",
    "nme5",
    "nme68",
    "nme98",
    "point_errors",
    "roc",
    "sigma_ratio",
]
