"""The table of commands, and how a row becomes a command."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from evface_edge.errors import RuntimeUnavailable

ENTRY_POINTS = "evface_edge.commands"


@dataclass(frozen=True)
class Row:
    """A command.

    Attributes:
        name: as it is typed.
        target: "module:function"; the module is imported when the command is called.
        help: one line for the list of commands, which is shown without importing anything.
        extra: the optional dependencies that the command needs, as pip names them.
    """

    name: str
    target: str
    help: str
    extra: str | None = None


ROWS: tuple[Row, ...] = (
    Row("demo", "evface_edge.cli.demo:demo", "See landmarks on the recording that came along."),
    Row("predict", "evface_edge.cli.predict:predict", "Find the landmarks in a recording."),
    Row("view", "evface_edge.cli.view:view", "Look at events alone."),
    Row("info", "evface_edge.cli.info:info", "Say what is in a recording."),
    Row("convert", "evface_edge.cli.convert:convert", "Write a recording in another format."),
    Row("models", "evface_edge.cli.models:models", "List the models that came along."),
    Row("bench", "evface_edge.cli.bench:bench", "Measure how fast models are on this machine."),
    Row(
        "compare",
        "evface_edge.cli.compare:compare",
        "Hold models against each other: accuracy and latency.",
        "report",
    ),
    Row("doctor", "evface_edge.cli.doctor:doctor", "Say what is missing, and what mends it."),
)

#: What other packages bring: name → (help, extra). Their targets are entry points.
ADDED: dict[str, tuple[str, str]] = {
    "simulate": ("Turn faces in a video or image into events.", "train"),
    "finalize": ("Average checkpoints and fit the uncertainty, before export.", "train"),
    "ablate": ("Run the ablation study.", "train"),
    "calibration-set": ("Make the clips that INT8 export is calibrated with.", "train"),
    "train": ("Train a model.", "train"),
    "evaluate": ("Measure a model on faces whose landmarks are known.", "train"),
    "export": ("Export a trained model to run on a device.", "export"),
    "build-engine": ("Build a TensorRT engine from an exported model, on the device.", "tensorrt"),
}


@dataclass
class Switches:
    """What holds for every command; given before the command or after it."""

    verbosity: int = 0
    debug: bool = False

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Show what our packages log on stderr: info from -v on, everything from -vv on."""
        handler = _Echo(self)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        loggers = [
            logging.getLogger(name)
            for name in ("evface_edge", "evface_runtimes", "evface_export", "evface_training")
        ]
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


class _Echo(logging.Handler):
    def __init__(self, switches: Switches) -> None:
        super().__init__()
        self._switches = switches

    def filter(self, record: logging.LogRecord) -> bool:
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        return record.levelno >= levels[min(self._switches.verbosity, 2)]

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


class _Group(TyperGroup):
    """All commands; says which extra to install when one of them misses a package."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except ModuleNotFoundError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            missing = (error.name or "").partition(".")[0]
            if not isinstance(command, _LazyCommand) or missing.startswith("evface_"):
                raise
            raise RuntimeUnavailable(_advice(command.row, missing)) from error


class _LazyCommand(TyperCommand):
    """Stands for a command in the list of commands, and fetches it when it is called."""

    def __init__(self, row: Row) -> None:
        super().__init__(name=row.name, callback=None, help=row.help)
        self.row = row

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        return self._load().make_context(info_name, args, parent, **extra)

    def _load(self) -> Any:
        from rich.markup import escape

        module, _, name = self.row.target.partition(":")
        app = typer.Typer(add_completion=False)
        app.command(self.row.name)(getattr(importlib.import_module(module), name))
        command = get_command(app)
        command.params += _switch_options()
        # Square brackets, as in evface-edge[train], are text here, not markup.
        command.help = escape(_reflow(command.help or ""))
        for param in command.params:
            if getattr(param, "help", None):
                param.help = escape(param.help)  # type: ignore[attr-defined]
        return command


def assemble() -> TyperGroup:
    """The whole of `evface-edge`. Imports no command."""
    return _Group(
        name="evface-edge",
        help="98 facial landmarks from event cameras. Start with: evface-edge demo",
        no_args_is_help=True,
        params=[*_switch_options(), _version_option()],
        commands={row.name: _LazyCommand(row) for row in [*ROWS, *_added_rows()]},
    )


def _added_rows() -> Iterator[Row]:
    own = {row.name for row in ROWS}
    for point in sorted(metadata.entry_points(group=ENTRY_POINTS), key=_order):
        if point.name in own:
            continue  # our own commands cannot be replaced
        text, extra = ADDED.get(point.name, (f"From {point.module.partition('.')[0]}.", None))
        yield Row(point.name, point.value, text, extra)


def _order(point: metadata.EntryPoint) -> tuple[int, str]:
    return (list(ADDED).index(point.name) if point.name in ADDED else len(ADDED)), point.name


def _reflow(text: str) -> str:
    """Each paragraph on one line, to be broken where the terminal ends; examples as they are."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        part if part.startswith("\b") else part.replace("\n", " ") for part in paragraphs
    )


def _advice(row: Row, missing: str) -> str:
    if row.extra is not None:
        install = f"pip install 'evface-edge[{row.extra}]'"
    else:
        install = f"pip install {missing}"
    return f"`evface-edge {row.name}` needs {missing}, which is not installed: {install}"


def _set_verbosity(context: typer.Context, value: int) -> None:
    switches = context.find_object(Switches)
    if switches is not None:
        switches.verbosity += value


def _set_debug(context: typer.Context, value: bool) -> None:
    switches = context.find_object(Switches)
    if switches is not None:
        switches.debug |= value


def _show_version(value: bool) -> None:
    if value:
        from evface_edge import __version__

        typer.echo(f"evface-edge {__version__}")
        raise typer.Exit


def _switch_options() -> list[TyperOption]:
    def switches(
        verbose: Annotated[
            int,
            typer.Option(
                "--verbose",
                "-v",
                count=True,
                callback=_set_verbosity,
                show_default=False,
                metavar="",
                help="Say more; twice: say all.",
            ),
        ] = 0,
        debug: Annotated[
            bool,
            typer.Option("--debug", callback=_set_debug, help="Show the traceback of an error."),
        ] = False,
    ) -> None: ...

    return _options(switches)


def _version_option() -> TyperOption:
    def version(
        version: Annotated[
            bool,
            typer.Option("--version", callback=_show_version, is_eager=True, help="Say which."),
        ] = False,
    ) -> None: ...

    return _options(version)[0]


def _options(function: Any) -> list[TyperOption]:
    """The options that Typer makes of a signature, to be read by their callbacks alone."""
    app = typer.Typer(add_completion=False)
    app.command()(function)
    options = [param for param in get_command(app).params if isinstance(param, TyperOption)]
    for option in options:
        option.expose_value = False
    return options
