"""The options of every command: --verbose, --quiet, --debug."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

_PACKAGES = ("evface_edge", "evface_runtimes", "evface_export", "evface_training")


@dataclass
class Switches:
    """Options of every command, accepted before the command's name and after it.

    Attributes:
        verbosity: 0 shows warnings, 1 information as well, 2 debug messages as well.
        quiet: show errors only, no progress and no summary.
        debug: show the traceback of an error.
    """

    verbosity: int = 0
    quiet: bool = False
    debug: bool = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """Apply the switches until the block ends: `is_quiet`, and our packages' log on stderr."""
        global _current
        previous, _current = _current, self
        handler = _StderrHandler(self)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        loggers = [logging.getLogger(name) for name in _PACKAGES]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)
            _current = previous


_current = Switches()


def is_quiet() -> bool:
    """Whether the running command was called with --quiet."""
    return _current.quiet


def summarize(text: str) -> None:
    """Print a line of a command's summary, unless --quiet is set."""
    if not _current.quiet:
        typer.echo(text)


def report(text: str) -> None:
    """Print a line of progress on stderr, unless --quiet is set."""
    if not _current.quiet:
        typer.echo(text, err=True)


class _StderrHandler(logging.Handler):
    def __init__(self, switches: Switches) -> None:
        super().__init__()
        self._switches = switches

    def filter(self, record: logging.LogRecord) -> bool:
        if self._switches.quiet:
            return record.levelno >= logging.ERROR
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        return record.levelno >= levels[min(self._switches.verbosity, 2)]

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)
