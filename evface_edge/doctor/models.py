"""Checks of the compiled loops' cache and of the bundled models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evface_edge.doctor.check_result import CheckResult, Status
from evface_edge.errors import EvfaceError, RuntimeUnavailable

_REINSTALL = "pip install --force-reinstall --no-deps evface-edge"
_MOVE_CACHE = 'export NUMBA_CACHE_DIR="$HOME/.cache/numba"'


def _numba_cache_path() -> Path:
    from evface_edge.representation import event_kernels

    loop: Any = event_kernels.fill_voxels
    return Path(loop.stats.cache_path)


def compiled_loops(cache_path: Callable[[], Path] = _numba_cache_path) -> Iterator[CheckResult]:
    """Check that numba can cache compiled code. Otherwise every start takes seconds longer.

    Args:
        cache_path: returns numba's cache folder, without compiling.
    """
    name = "numba cache"
    try:
        folder = cache_path()
    except RuntimeError as error:  # numba: "cannot cache function …: no locator available"
        detail = str(error).partition("\n")[0]
        yield CheckResult(name, Status.BROKEN, detail, _MOVE_CACHE)
        return
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(existing, os.W_OK):
        yield CheckResult(name, Status.OK, str(folder))
    else:
        detail = f"{folder} is not writable; loops are compiled again at every start"
        yield CheckResult(name, Status.BROKEN, detail, _MOVE_CACHE)


def bundled(paths: Sequence[Path] | None = None) -> Iterator[CheckResult]:
    """Check that the bundled models exist, have model cards and can be loaded."""
    if paths is None:
        from evface_edge.models import bundled_names, files_of

        paths = [path for name in bundled_names() for path in files_of(name)]
    if not paths:
        yield CheckResult("models", Status.BROKEN, "no bundled models", _REINSTALL)
    for path in paths:
        yield _model(path)


def _model(path: Path) -> CheckResult:
    from evface_edge.card_file import read_card
    from evface_runtimes import load

    name = path.stem if path.suffix == ".onnx" else path.name
    try:
        card = read_card(path)
        with load(path) as network:
            device = f"{network.name}, {network.device}"
    except RuntimeUnavailable as error:
        return CheckResult(name, Status.MISSING, error.reason, error.fix or "")
    except (EvfaceError, OSError) as error:
        return CheckResult(name, Status.BROKEN, str(error), _REINSTALL)
    detail = f"{card.precision}, version {card.version}, loads on {device}"
    return CheckResult(name, Status.OK, detail)
