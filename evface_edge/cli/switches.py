"""The options of every command: --verbose, --quiet, --debug."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import typer

_PACKAGES = ("evface_edge", "evface_runtimes", "evface_export", "evface_training")


@dataclass
class Switches:
    """Options of every command, accepted before the command's name and after it.

    Attributes:
        verbosity: 0 shows warnings, 1 information as well, 2 debug messages as well.
        quiet: show errors and warnings only.
        debug: show the traceback of an error.
    """

    verbosity: int = 0
    quiet: bool = False
    debug: bool = False

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Show what our packages log on stderr, until the block ends."""
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

    @contextmanager
    def output(self, *, keep_stdout: bool) -> Iterator[None]:
        """With --quiet, discard stderr until the block ends, and stdout unless it is kept."""
        with ExitStack() as stack:
            if self.quiet:
                sink = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(redirect_stderr(sink))
                if not keep_stdout:
                    stack.enter_context(redirect_stdout(sink))
            yield


class _StderrHandler(logging.Handler):
    def __init__(self, switches: Switches) -> None:
        super().__init__()
        self._switches = switches
        self._stderr = sys.stderr  # also with --quiet

    def filter(self, record: logging.LogRecord) -> bool:
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        return record.levelno >= levels[min(self._switches.verbosity, 2)]

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), file=self._stderr)
