"""Output files that appear complete or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from evface_edge.errors import ConfigError


def check_output(path: str | Path, suffixes: Collection[str]) -> Path:
    """Check early that an output can be written; nothing is written yet.

    Args:
        path: of the output file.
        suffixes: the allowed ones, such as {".csv", ".json"}.

    Raises:
        ConfigError: an unknown suffix, a folder that does not exist, or `path` is a folder.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ConfigError("output", str(path), f"a file ending in {' or '.join(sorted(suffixes))}")
    if not path.parent.is_dir():
        raise ConfigError("output", str(path), f"a folder that exists; create {path.parent} first")
    if path.is_dir():
        raise ConfigError("output", str(path), "the name of a file; this is a folder")
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path, renamed to `path` when the block ends and deleted when it fails.

    It is a hidden file in the same folder, so that renaming stays within one file system.
    """
    target = path.resolve()  # write to the target of a symbolic link, keep the link
    part = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
