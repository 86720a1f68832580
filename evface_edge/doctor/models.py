"""Compiled loops and the models that came along."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evface_edge.doctor.finding import Finding, State
from evface_edge.errors import EvfaceError

_REINSTALL = "pip install --force-reinstall --no-deps evface-edge"
_MOVE_CACHE = 'export NUMBA_CACHE_DIR="$HOME/.cache/numba"'


def _cache_of_a_loop() -> Path:
    from evface_edge.representation import kernels

    loop: Any = kernels.fill_voxels
    return Path(loop.stats.cache_path)


def compiled_loops(cache_path: Callable[[], Path] | None = None) -> Iterator[Finding]:
    """Whether numba can keep what it compiles: without, every start takes many seconds longer.

    Args:
        cache_path: compiles nothing; returns the folder that numba chose.
    """
    try:
        folder = (cache_path or _cache_of_a_loop)()
    except RuntimeError as error:  # numba: "cannot cache function …: no locator available"
        yield Finding("numba cache", State.BROKEN, str(error).partition("\n")[0], _MOVE_CACHE)
        return
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(existing, os.W_OK):
        yield Finding("numba cache", State.OK, str(folder))
    else:
        text = f"{folder} cannot be written; every start compiles anew"
        yield Finding("numba cache", State.BROKEN, text, _MOVE_CACHE)


def bundled(paths: Sequence[Path] | None = None) -> Iterator[Finding]:
    """Whether the models that came along are there, have their cards, and open."""
    if paths is None:
        from evface_edge.models import bundled_names, find_model

        paths = [find_model(name) for name in bundled_names()]
    if not paths:
        yield Finding("models", State.BROKEN, "none came along", _REINSTALL)
    for path in paths:
        yield _model(path)


def _model(path: Path) -> Finding:
    from evface_edge.card_file import read_card
    from evface_runtimes import load

    try:
        card = read_card(path)
        with load(path) as network:
            on = f"{network.name}, {network.device}"
    except (EvfaceError, OSError) as error:
        return Finding(path.stem, State.BROKEN, str(error), _REINSTALL)
    return Finding(path.stem, State.OK, f"{card.precision}, version {card.version}, opens on {on}")
