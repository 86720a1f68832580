"""The folder of what is made once: engines, and clips for calibration."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """`$XDG_CACHE_HOME/evface-edge/<kind>`, by default in `~/.cache`; made if absent.

    Raises:
        OSError: the folder cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG Base Directory Specification says that relative paths are ignored.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    folder = root / "evface-edge" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder
