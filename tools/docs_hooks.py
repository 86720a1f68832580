"""Hooks of `mkdocs build`: the pages that are made from the code.

reference/commands.md has every command, reference/api/MODULE.md every public module.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from evface_edge import PUBLIC_MODULES
from evface_edge.cli.assembly import assemble

COMMANDS_PAGE = "reference/commands.md"
COMMANDS_HEAD = """\
# Commands

This page is made from the commands when the site is built. `evface-edge COMMAND --help` prints the
same. Every command also takes `-v` (verbose; `-vv`: debug), `-q` (quiet) and `--debug` (traceback
of an error).
"""
#: Options of every command.
COMMON = {"--verbose", "--debug", "--quiet", "--help"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of commands and a page for each public module."""
    pages = {COMMANDS_PAGE: commands_page()}
    pages |= {f"reference/api/{module}.md": module_page(module) for module in PUBLIC_MODULES}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def module_page(module: str) -> str:
    """The docstring of a module, and all names in its `__all__`."""
    names = "".join(f"        - {name}\n" for name in import_module(module).__all__)
    return f"""\
# {module}

::: {module}
    options:
      show_root_heading: false
      members:
{names}"""


def commands_page() -> str:
    """Every command: what it does, its arguments, its options."""
    group = assemble()
    names = list(group.commands)
    lines = [COMMANDS_HEAD, "| command | what it does |", "|---|---|"]
    for name in names:
        summary = group.commands[name].help
        lines.append(f"| [`{name}`](#{name}) | {summary} |")
    for name in names:
        # A lazy entry of the group gives its context the command that it stands for.
        context = group.commands[name].make_context(name, [], resilient_parsing=True)
        lines += ["", f"## {name}", "", *_command(context.command, context)]
    return "\n".join(lines) + "\n"


def _command(command: Any, context: Any) -> list[str]:
    text, marker, examples = (command.help or "").partition("\b")
    lines = [_plain(text).strip().replace("<", "&lt;"), ""]
    if marker:
        block = "\n".join(line.strip() for line in _plain(examples).strip().splitlines()[1:])
        lines += ["```bash", block.replace(r"\n", "\n"), "```", ""]
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param
        for param in command.params
        if param.param_type_name == "option" and not COMMON & set(param.opts)
    ]
    for title, params in (("argument", arguments), ("option", options)):
        if not params:
            continue
        lines += [f"| {title} | meaning |", "|---|---|"]
        for param in params:
            names, meaning = map(_plain, param.get_help_record(context))
            lines.append(f"| `{names}` | {_cell(meaning)} |")
        lines.append("")
    return lines


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def _plain(text: str) -> str:
    """Without the escapes that the terminal's markup needs."""
    return re.sub(r"\\(\[)", r"\1", text)
