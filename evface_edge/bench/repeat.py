"""Repeatability: compare the ratios of two runs of a benchmark.

Milliseconds depend on the load of the machine; the ratio between two cases should not. Each case
with one thread is expressed as a ratio to the first one of its run. Cases with several threads need
as many idle cores and are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evface_edge.errors import ConfigError

HEADING = ("case", "first run", "second run", "difference")


@dataclass(frozen=True)
class Repeat:
    """One case in two runs: ratios to the first case of the run."""

    case: str
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Relative difference of the second run."""
        return self.second / self.first - 1

    def cells(self) -> list[str]:
        """Return a row under `HEADING`."""
        return [self.case, f"{self.first:.3f}", f"{self.second:.3f}", f"{self.difference:+.1%}"]


def compare_runs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Repeat]:
    """Return the cases that both runs measured, except the first, the reference.

    Raises:
        ConfigError: fewer than two common cases.
    """
    one, other = _ratios(first), _ratios(second)
    reference, *common = [key for key in one if key in other] or [""]
    if not common:
        raise ConfigError("--repeat-check", reference, "two or more measured cases with one thread")
    return [
        Repeat(case, one[case] / one[reference], other[case] / other[reference]) for case in common
    ]


def _ratios(results: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{row['model']} on {row['runtime']} {row['device']}": row["ratio"]
        for row in results["network"]
        if row["ratio"] is not None
    }
