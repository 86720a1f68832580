"""Two benchmarks, one after the other: do their ratios agree?

Milliseconds depend on what else the machine does; how one case relates to another should not. Each
case is said as a ratio to the first one of its run, both taken of the fastest tenth of the least
disturbed round.
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
        case: "evface-s-int8 on onnxruntime cpu"; threads: that it ran on.
        first, second: ratios to the first case of the run.
    """

    case: str
    threads: int
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Relative to the first run; 0 is the same."""
        return self.second / self.first - 1

    @property
    def judged(self) -> bool:
        """Several threads need as many idle cores, which a busy machine does not have."""
        return self.threads == 1


def compare_runs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Repeat]:
    """The cases that both runs measured, but for the first, which all are held against.

    Raises:
        ConfigError: fewer than two cases in common, so that there is no ratio.
    """
    one, other = _fast(first), _fast(second)
    common = [key for key in one if key in other]
    if len(common) < 2:
        raise ConfigError("--repeat-check", len(common), "two measured cases or more")
    reference = common[0]
    return [
        Repeat(
            case=f"{model} on {runtime} {device}",
            threads=threads,
            first=one[key] / one[reference],
            second=other[key] / other[reference],
        )
        for key in common[1:]
        for model, runtime, device, threads in (key,)
    ]


def _fast(found: Mapping[str, Any]) -> dict[tuple[str, str, str, int], float]:
    return {
        (row["model"], row["runtime"], row["device"], row["threads"]): row["fast_ms"]
        for row in found["network"]
        if row["status"] == "ok"
    }


HEADING = ("case", "threads", "first run", "second run", "difference")


def cells(repeats: Sequence[Repeat]) -> list[list[str]]:
    """One row for each case, under `HEADING`."""
    return [
        [
            repeat.case,
            str(repeat.threads),
            f"{repeat.first:.3f}",
            f"{repeat.second:.3f}",
            f"{repeat.difference:+.1%}" + ("" if repeat.judged else ", not judged"),
        ]
        for repeat in repeats
    ]


def verdict(repeats: Sequence[Repeat], tolerance: float) -> tuple[bool, str]:
    """Whether the runs agree, and a sentence."""
    judged = [abs(repeat.difference) for repeat in repeats if repeat.judged]
    if not judged:
        return False, "nothing to judge: no second case of one thread"
    agree = max(judged) <= tolerance
    return agree, (
        f"ratios of one thread differ by {max(judged):.1%} at most: the two runs "
        f"{'agree' if agree else 'do not agree'} within {tolerance:.0%}"
    )
