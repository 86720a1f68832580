"""How the rows of the table become commands, imported when they run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from importlib import metadata
from traceback import walk_tb
from typing import Annotated, Any

import typer
import typer.core
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from evface_edge.cli.switches import Switches
from evface_edge.cli.table import ADDED, ROWS, Row
from evface_edge.errors import RuntimeUnavailable

ENTRY_POINTS = "evface_edge.commands"


def assemble() -> TyperGroup:
    """The program `evface-edge`. Imports no command."""
    return _Group(
        name="evface-edge",
        help="98 facial landmarks from event cameras. Start with: evface-edge demo",
        no_args_is_help=True,
        params=[*_switch_options(), *_program_options()],
        commands={row.name: _LazyCommand(row) for row in [*ROWS, *_added_rows()]},
    )


class _Group(TyperGroup):
    """All commands; an error names the extra to install if a command's package is missing."""

    def get_help_option(self, ctx: Any) -> Any:
        return _without_type(super().get_help_option(ctx))

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
            row = command.row
            extra = row.extra or ("train" if _in_training(error) else None)
            package = missing if extra is None else f"'evface-edge[{extra}]'"
            raise RuntimeUnavailable(
                f"`evface-edge {row.name}` needs {missing}, which is not installed: "
                f"pip install {package}"
            ) from error


def _in_training(error: BaseException) -> bool:
    """Whether the error comes from the training package, which `synthetic:` sources need."""
    return any(
        frame.f_globals.get("__name__", "").startswith("evface_training")
        for frame, _ in walk_tb(error.__traceback__)
    )


class _Command(TyperCommand):
    """A command whose --help shows no type."""

    def get_help_option(self, ctx: Any) -> Any:
        return _without_type(super().get_help_option(ctx))


class _LazyCommand(TyperCommand):
    """Stands for a command in the list of commands, and imports it when it runs."""

    def __init__(self, row: Row) -> None:
        super().__init__(name=row.name, callback=None, help=row.help)
        self.row = row

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        switches = Switches() if parent is None else _switches(parent)
        return self._load(switches).make_context(info_name, args, parent, **extra)

    def _load(self, switches: Switches) -> Any:
        module, _, name = self.row.target.partition(":")
        command = _command(getattr(importlib.import_module(module), name), self.row.name)
        command.callback = _quietly(command.callback, switches)
        command.params += _switch_options()
        command.help = _escaped(_reflow(command.help or ""))
        for param in command.params:
            if getattr(param, "help", None):
                param.help = _escaped(param.help)
            if getattr(param, "is_flag", False):
                _without_type(param)
            if param.param_type_name == "argument":
                _show_name_only(param)
        return command


def _escaped(text: str) -> str:
    """Square brackets, as in evface-edge[train], are text here, not markup."""
    if not getattr(typer.core, "HAS_RICH", True):  # plain help, by TYPER_USE_RICH=0
        return text
    from rich.markup import escape

    return escape(text)


def _without_type(option: Any) -> Any:
    """An option that is shown without <bool>, which it does not take."""
    if option is not None:
        option.metavar = ""
    return option


def _show_name_only(argument: Any) -> None:
    """Show an argument as NAME, not {NAME} <str>."""
    name = argument.metavar or argument.name.upper()
    argument.metavar = name
    argument.display_type_rich = lambda ctx: ""
    more = "..." if argument.nargs != 1 else ""
    shown = name if argument.required else f"[{name}]"
    argument._usage_display_name = lambda: shown + more


def _quietly(callback: Callable[..., Any], switches: Switches) -> Callable[..., Any]:
    """A command that prints nothing with --quiet, except what --json prints."""

    def run(*arguments: Any, **options: Any) -> Any:
        with switches.output(keep_stdout=bool(options.get("as_json"))):
            return callback(*arguments, **options)

    return run


def _added_rows() -> Iterator[Row]:
    """Commands of installed packages. Names of `ROWS` cannot be replaced."""
    own = {row.name for row in ROWS}
    order = {name: index for index, name in enumerate(ADDED)}
    points = metadata.entry_points(group=ENTRY_POINTS)
    for point in sorted(points, key=lambda each: (order.get(each.name, len(order)), each.name)):
        if point.name in own:
            continue
        text, extra = ADDED.get(point.name, (f"From {point.module.partition('.')[0]}.", None))
        yield Row(point.name, point.value, text, extra)


def _reflow(text: str) -> str:
    """Each paragraph on one line, to be wrapped by the terminal; examples unchanged."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        part if part.startswith("\b") else part.replace("\n", " ") for part in paragraphs
    )


def _command(function: Any, name: str | None = None, *, completion: bool = False) -> Any:
    """The command that Typer makes of a function."""
    app = typer.Typer(add_completion=completion)
    app.command(name, cls=_Command)(function)
    return get_command(app)


# Callbacks are at module level, because Typer evaluates the annotations that name them.


def _set_verbosity(context: typer.Context, value: int) -> None:
    _switches(context).verbosity += value


def _set_quiet(context: typer.Context, value: bool) -> None:
    _switches(context).quiet |= value


def _set_debug(context: typer.Context, value: bool) -> None:
    _switches(context).debug |= value


def _switches(context: Any) -> Switches:
    return context.find_object(Switches) or Switches()


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
                help="Print more; -vv prints debug messages.",
            ),
        ] = 0,
        quiet: Annotated[
            bool,
            typer.Option("--quiet", "-q", callback=_set_quiet, help="Print errors only."),
        ] = False,
        debug: Annotated[
            bool, typer.Option("--debug", callback=_set_debug, help="Show the traceback of errors.")
        ] = False,
    ) -> None: ...

    return _hidden_options(_command(switches))


def _program_options() -> list[TyperOption]:
    """--version, and the completion options of Typer."""

    def program(
        version: Annotated[
            bool,
            typer.Option(
                "--version", "-V", callback=_show_version, is_eager=True, help="Print the version."
            ),
        ] = False,
    ) -> None: ...

    return _hidden_options(_command(program, completion=True))


def _hidden_options(command: Any) -> list[TyperOption]:
    """The options of a command, to be read by their callbacks and not passed to a function."""
    options = [param for param in command.params if isinstance(param, TyperOption)]
    for option in options:
        option.expose_value = False
        option.metavar = ""
    return options
