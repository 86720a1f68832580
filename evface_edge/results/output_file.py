"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from evface_edge.errors import ConfigError


def check_output(path: str | Path, suffixes: Collection[str]) -> Path:
    """The path of an output, once it is clear that it can be written; nothing is written yet.

    Args:
        path: of the file to be.
        suffixes: those that are known, such as {".csv", ".json"}.

    Raises:
        ConfigError: an unknown suffix, a folder that does not exist, or a folder in its place.
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
    """A name to write to: it becomes `path` when the block ends, and is gone when it fails.

    The file lies beside `path`, hidden, so that the last step is a rename within one file system.
    """
    target = path.resolve()  # write through a symbolic link, not over it
    part = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
