"""Regressions: metrics that are worse than in an earlier comparison, beyond a tolerance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evface_edge.compare.metrics import VERSION
from evface_edge.errors import ConfigError


@dataclass(frozen=True)
class Tolerance:
    """Accepted degradation.

    Attributes:
        nme: of NME-98, relative.
        failures: of FR@10 and of the instants without a face, in percentage points.
        latency: of the network's p10 ÷ that of the first model of the same run, relative. The
            ratio makes runs on different or busy machines comparable.
    """

    nme: float = 0.02
    failures: float = 1.0
    latency: float = 0.10

    def __post_init__(self) -> None:
        for field in ("nme", "failures", "latency"):
            if not getattr(self, field) >= 0:
                raise ConfigError(f"tolerance {field}", getattr(self, field), "0 or more")


def load_baseline(path: Path) -> dict[str, Any]:
    """Read an earlier compare.json.

    Raises:
        ConfigError: no such file, or not a compare.json of this version.
    """
    try:
        baseline = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("--baseline", str(path), f"a file ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError("--baseline", str(path), f"JSON ({error})") from None
    if not isinstance(baseline, dict) or baseline.get("version") != VERSION:
        raise ConfigError(
            "--baseline", str(path), f"a compare.json of version {VERSION}; run compare again"
        )
    return baseline


def regressions(
    report: Mapping[str, Any], baseline: Mapping[str, Any], tolerance: Tolerance
) -> list[str]:
    """Return one sentence for each metric that became worse.

    Raises:
        ConfigError: the baseline has other instants or other labels.
    """
    if report["data"]["sha256"] != baseline["data"]["sha256"]:
        raise ConfigError(
            "--baseline",
            f"{baseline['data']['recordings']}, {baseline['data']['instants']} instants",
            f"a baseline of the same data and --rate-hz: {report['data']['recordings']}, "
            f"{report['data']['instants']} instants",
        )
    models = {model["model"]: model for model in report["models"]}
    worse = []
    for old in baseline["models"]:
        name = old["model"]
        if name not in models:
            worse.append(f"{name}: missing in this comparison")
            continue
        worse += [f"{name}: {text}" for text in _accuracy(models[name], old, tolerance)]
    return worse + _latency(report, baseline, tolerance)


def _accuracy(new: Mapping[str, Any], old: Mapping[str, Any], tolerance: Tolerance) -> list[str]:
    worse = []
    now, before = new["nme98_percent"][0], old["nme98_percent"][0]
    if before is not None and (now is None or now > before * (1 + tolerance.nme)):
        shown = "no face" if now is None else f"{now:.3f} %"
        worse.append(f"NME-98 {shown}, was {before:.3f} % (tolerance {tolerance.nme:.1%})")
    for name, now, before in (
        ("FR@10", new["fr10_percent"][0], old["fr10_percent"][0]),
        ("instants without a face", new["without_face_percent"], old["without_face_percent"]),
    ):
        if now > before + tolerance.failures:
            worse.append(
                f"{name} {now:.2f} %, was {before:.2f} % (tolerance {tolerance.failures:g} points)"
            )
    return worse


def _latency(
    report: Mapping[str, Any], baseline: Mapping[str, Any], tolerance: Tolerance
) -> list[str]:
    first = baseline["models"][0]["model"]
    now, before = _relative(report, first), _relative(baseline, first)
    return [
        f"{name}: latency {now[name]:.3f} × that of {first}, was {ratio:.3f} × "
        f"(tolerance {tolerance.latency:.0%})"
        for name, ratio in before.items()
        if name in now and now[name] > ratio * (1 + tolerance.latency)
    ]


def _relative(report: Mapping[str, Any], first: str) -> dict[str, float]:
    fast = {model["model"]: model["network_fast_ms"] for model in report["models"]}
    return {name: value / fast[first] for name, value in fast.items()} if first in fast else {}
