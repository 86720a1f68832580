"""Output files that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from evface_edge.errors import ConfigError

#: Numbers of the errors of a full disk.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_output(path: str | Path, suffixes: Collection[str]) -> Path:
    """Check early that an output can be written; nothing is written yet.

    Args:
        path: of the output file.
        suffixes: the allowed ones, such as {".csv", ".json"}.

    Raises:
        ConfigError: an unknown suffix, a folder that does not exist or cannot be written, or
            `path` is a folder.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ConfigError("output", str(path), f"a file ending in {', '.join(sorted(suffixes))}")
    check_folder(path)
    if path.is_dir():
        raise ConfigError("output", str(path), "the name of a file; this is a folder")
    return path


def check_folder(path: Path) -> None:
    """Check that the folder of an output exists and can be written.

    Raises:
        ConfigError: it does not exist, or cannot be written.
    """
    folder = path.resolve().parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise ConfigError("output", str(path), f"a folder that exists; create {folder} first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            "output",
            str(path),
            "a folder that can be written",
            path=path,
            fix="choose another folder",
            reason=f"the folder {folder} cannot be written",
        )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path, renamed to `path` when the block ends and deleted when it fails.

    It is a hidden file in the same folder, so that renaming stays within one file system.

    Raises:
        OSError: the file cannot be written; it names `path`.
    """
    target = path.resolve()  # write to the target of a symbolic link, keep the link
    part = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        with naming(part):
            yield part
        os.replace(part, target)
    except OSError as error:
        if error.errno is None or str(error.filename) != str(part):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of a full disk, which name no file, this path."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
