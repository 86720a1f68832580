"""Every command line of the docs names commands, options, files and extras that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import BENCHMARKS
from evface_edge.cli.assembly import assemble
from tools.docs_pages import PAGES, ROOT, name, shell_lines

CURRENT = [page for page in PAGES if page.name not in ("names.md", "CHANGELOG.md")]
COMMANDS = assemble().commands


def commands_of(line: str) -> list[list[str]]:
    """The arguments of each `evface-edge …` in a line, without comments and other programs."""
    calls = []
    for part in re.split(r"&&|\||;", line.replace("--no-python ", "")):
        words = shlex.split(part.replace("<repository>", "repository"), comments=True)
        for at, word in enumerate(words):
            if word == "evface-edge" or word.endswith("/bin/evface-edge"):
                calls.append(words[at + 1 :])
                break
    return [call for call in calls if call and not call[0].startswith(("-", "["))]


def options_of(command: str) -> set[str]:
    context: Any = COMMANDS[command].make_context(command, [], resilient_parsing=True)
    return {
        name for param in context.command.params for name in (*param.opts, *param.secondary_opts)
    }


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    for line in shell_lines(page):
        for command, *arguments in commands_of(line):
            assert command in COMMANDS, line
            used = {word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}
            assert used <= options_of(command) | {"--help"}, line


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_commands_in_the_text_exist(page: Path) -> None:
    for command in re.findall(r"`evface-edge ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
        assert command in COMMANDS


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_files_and_benchmarks_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"[\s`(/]((?:examples|tools|scripts|benchmarks)/[\w./-]+\w)", text):
        assert (ROOT / path).exists(), path
    for benchmark in re.findall(r"python -m benchmarks (\w+)", text):
        assert benchmark in BENCHMARKS


def test_a_wrong_option_is_found() -> None:
    (call,) = commands_of("evface-edge predict recording.raw --no-such  # a comment")
    assert call[0] == "predict"
    assert "--no-such" not in options_of("predict")


def test_extras_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(re.findall(r"^([\w-]+) = \[", project.split("optional-dependencies]")[1], re.M))
    for page in CURRENT:
        for found in re.findall(r"'\.\[([\w,-]+)\]'", page.read_text(encoding="utf-8")):
            assert set(found.split(",")) <= extras


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_named_source_files_exist(page: Path) -> None:
    packages = "evface_edge|runtimes|export|training|docs"
    text = page.read_text(encoding="utf-8")
    for path in re.findall(rf"`((?:{packages})/[\w/.-]+)`", text):
        assert (ROOT / path).exists(), path
