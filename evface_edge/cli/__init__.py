"""The command line, `evface-edge`: one file for each command, imported when it runs.

Exit codes: 0 success, 1 an error in one sentence, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

import typer

from evface_edge.errors import EventFormatWarning, EvfaceError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: after the program's name; by default those of this process.
    """
    from evface_edge.cli.assembly import assemble
    from evface_edge.cli.switches import Switches

    switches = Switches()
    default_show = warnings.showwarning
    stderr = sys.stderr  # also with --quiet

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, EventFormatWarning):
            typer.echo(f"warning: {message}", file=stderr)
        else:
            default_show(message, category, filename, lineno, file, line)

    with warnings.catch_warnings(), switches.logging():
        warnings.simplefilter("always", EventFormatWarning)
        warnings.showwarning = show
        try:
            assemble().main(args=arguments, prog_name="evface-edge", obj=switches)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            if switches.debug:
                _show_traceback(error)
            typer.echo(f"error: {_sentence(error)}", err=True)
            return 1
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, EvfaceError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    kind = type(error).__name__
    return f"unexpected {kind}: {error}; this is a bug: please report it with the output of --debug"


def _show_traceback(error: Exception) -> None:
    import traceback

    sys.stderr.write("".join(traceback.format_exception(error)))
