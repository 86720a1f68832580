"""Two benchmarks, one after the other: do their ratios agree?

Milliseconds depend on what else the machine does; how one case relates to another should not. Each
case of one thread is said as a ratio to the first one of its run, measured in turns; several
threads need as many idle cores, which a busy machine does not have, and are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evface_edge.errors import ConfigError


@dataclass(frozen=True)
class Repeat:
    """One case in two runs.

    Attributes:
        case: "evface-s-int8 on onnxruntime cpu".
        first, second: ratios to the first case of the run.
    """

    case: str
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Relative to the first run; 0 is the same."""
        return self.second / self.first - 1


def compare_runs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Repeat]:
    """The cases that both runs measured, but for the first, which all are held against.

    Raises:
        ConfigError: fewer than two cases in common, so that there is no ratio.
    """
    one, other = _ratios(first), _ratios(second)
    common = [key for key in one if key in other]
    if len(common) < 2:
        raise ConfigError(
            "--repeat-check", len(common), "two measured cases of one thread, or more"
        )
    reference = common[0]
    return [
        Repeat(
            case=f"{model} on {runtime} {device}",
            first=one[key] / one[reference],
            second=other[key] / other[reference],
        )
        for key in common[1:]
        for model, runtime, device in (key,)
    ]


def _ratios(found: Mapping[str, Any]) -> dict[tuple[str, str, str], float]:
    return {
        (row["model"], row["runtime"], row["device"]): row["ratio"]
        for row in found["network"]
        if row["ratio"] is not None
    }


HEADING = ("case", "first run", "second run", "difference")


def cells(repeats: Sequence[Repeat]) -> list[list[str]]:
    """One row for each case, under `HEADING`."""
    return [
        [
            repeat.case,
            f"{repeat.first:.3f}",
            f"{repeat.second:.3f}",
            f"{repeat.difference:+.1%}",
        ]
        for repeat in repeats
    ]


def verdict(repeats: Sequence[Repeat], tolerance: float) -> tuple[bool, str]:
    """Whether the runs agree, and a sentence."""
    most = max(abs(repeat.difference) for repeat in repeats)
    agree = most <= tolerance
    return agree, (
        f"ratios of one thread differ by {most:.1%} at most: the two runs "
        f"{'agree' if agree else 'do not agree'} within {tolerance:.0%}"
    )
