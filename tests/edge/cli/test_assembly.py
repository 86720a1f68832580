from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
import typer

from evface_edge.cli import assembly
from evface_edge.cli.table import ADDED, ROWS, Row
from evface_edge.errors import ConfigError, EventFormatWarning

HEAVY = ("PIL", "av", "cv2", "numba", "onnxruntime", "torch")


def run(*code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], *([row.name, "--help"] for row in ROWS)], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = run(
        "import sys",
        "from evface_edge.cli import main",
        f"code = main({arguments!r})",
        f"print([name for name in {HEAVY!r} if name in sys.modules])",
        "sys.exit(code)",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command(command) -> None:
    answer = command("--help")
    assert answer.code == 0
    for row in ROWS:
        assert f" {row.name} " in answer.out
        assert row.help in answer.out


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_explains_itself_with_an_example(command, row: Row) -> None:
    module, _, name = row.target.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    answer = command(row.name, "--help")
    assert answer.code == 0
    assert f"evface-edge {row.name}" in answer.out.split("Usage:")[1].split("\n", 1)[1]
    for switch in ("--debug", "--verbose", "--quiet", "--json"):
        assert switch in answer.out


def test_help_without_rich_has_no_escapes(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.core.HAS_RICH", False)
    answer = command("predict", "--help")
    assert "[web]" in answer.out
    assert "\\" not in answer.out


def test_without_a_command_it_shows_help_and_exits_2(command) -> None:
    answer = command()
    assert answer.code == 2
    assert "Commands" in answer.out + answer.err


def test_a_mistyped_command_gets_a_hint(command) -> None:
    answer = command("perdict")
    assert answer.code == 2
    assert "predict" in answer.err


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(command, option: str) -> None:
    answer = command(option)
    assert answer.code == 0
    assert answer.out.startswith("evface-edge ")


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evface_edge", "-V"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("evface-edge ")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("evface-edge pre", "predict"), ("evface-edge predict --dam", "--damage")],
)
def test_shell_completion(typed: str, expected: str) -> None:
    done = run(
        "import os, sys",
        f"os.environ['COMP_WORDS'] = {typed!r}",
        f"os.environ['COMP_CWORD'] = {str(len(typed.split()) - 1)!r}",
        "os.environ['_EVFACE_EDGE_COMPLETE'] = 'complete_bash'",
        "from evface_edge.cli import main",
        "sys.exit(main([]))",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [expected]


def test_completion_script(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    answer = command("--show-completion", "bash")
    assert answer.code == 0
    assert "_EVFACE_EDGE_COMPLETE" in answer.out
    assert "--install-completion" in command("--help").out


@pytest.fixture
def extend(monkeypatch: pytest.MonkeyPatch):
    """Make `function` a command, as another package would."""

    def add(name: str, function, module: str = "added_by_a_test") -> None:
        holder = ModuleType(module)
        holder.function = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module, holder)
        point = metadata.EntryPoint(name, f"{module}:function", assembly.ENTRY_POINTS)
        monkeypatch.setattr(
            assembly.metadata, "entry_points", lambda group: [point] if group else []
        )

    return add


def test_another_package_adds_a_command(command, extend) -> None:
    def greet(name: str, loud: bool = False) -> None:
        """Greet [somebody]."""
        typer.echo(f"hello {name}" + "!" * loud)

    extend("greet", greet)
    assert "From added_by_a_test." in command("--help").out
    assert command("greet", "you", "--loud").out == "hello you!\n"
    assert "Greet [somebody]." in command("greet", "--help").out  # brackets are no markup


def test_a_command_of_ours_cannot_be_replaced(command, extend) -> None:
    extend("models", lambda: typer.echo("replaced"))
    assert "replaced" not in command("models").out


@pytest.mark.parametrize("at_run_time", [False, True])
def test_a_missing_extra_is_named(
    command, extend, monkeypatch: pytest.MonkeyPatch, at_run_time: bool
) -> None:
    def train() -> None:
        import no_such_torch.nn  # noqa: F401

    extend("train", train)
    if not at_run_time:
        monkeypatch.delitem(sys.modules, "added_by_a_test")
        monkeypatch.setattr(
            importlib, "import_module", lambda name: exec("import no_such_torch.nn")
        )
    answer = command("train")
    assert answer.code == 1
    assert answer.err == (
        "error: `evface-edge train` needs no_such_torch, which is not installed: "
        "pip install 'evface-edge[train]'\n"
    )


def test_a_broken_import_of_our_own_is_not_blamed_on_an_extra(command, extend) -> None:
    def train() -> None:
        import evface_edge.no_such_module  # noqa: F401

    extend("train", train)
    answer = command("train")
    assert answer.code == 1
    assert "pip install" not in answer.err
    assert "bug" in answer.err


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_traceback_with_debug_alone(command, extend, place: str) -> None:
    def fail() -> None:
        raise ConfigError("field", 3, "4")

    extend("fail", fail)
    plain = command("fail")
    assert (plain.code, plain.err) == (1, "error: field = 3: expected 4\n")
    debug = command("--debug", "fail") if place == "before" else command("fail", "--debug")
    assert debug.code == 1
    assert "Traceback" in debug.err
    assert debug.err.endswith(plain.err)


def test_other_errors_are_sentences_too(command, extend, tmp_path: Path) -> None:
    extend("fail", lambda: (tmp_path / "none").read_text() and None)
    assert command("fail").err == f"error: {tmp_path / 'none'}: No such file or directory\n"
    extend("fail", lambda: {}["key"])
    answer = command("fail")
    assert answer.code == 1
    assert answer.err.startswith("error: unexpected KeyError: 'key'")
    assert len(answer.err.splitlines()) == 1


def test_interrupted(command, extend) -> None:
    def wait() -> None:
        raise KeyboardInterrupt

    extend("wait", wait)
    answer = command("wait")
    assert (answer.code, answer.out, answer.err) == (130, "", "")


def test_a_damaged_recording_is_one_line_of_warning(command, extend) -> None:
    def read() -> None:
        for _ in range(2):
            warnings.warn("recording.raw: cut off (byte 12)", EventFormatWarning, stacklevel=1)
        typer.echo("done")

    extend("read", read)
    answer = command("read")
    assert answer.code == 0
    assert answer.out == "done\n"
    assert answer.err == "warning: recording.raw: cut off (byte 12)\n" * 2


@pytest.mark.parametrize(
    ("switches", "expected"),
    [([], "w"), (["-v"], "iw"), (["-vv"], "diw"), (["-v", "-v"], "diw")],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_verbosity(command, extend, switches: list[str], expected: str, place: str) -> None:
    import logging

    def talk() -> None:
        log = logging.getLogger("evface_edge.some.module")
        log.debug("d")
        log.info("i")
        log.warning("w")

    extend("talk", talk)
    answer = command(*switches, "talk") if place == "before" else command("talk", *switches)
    assert answer.err.splitlines() == [f"evface_edge.some.module: {word}" for word in expected]


def test_every_entry_point_of_this_project_is_described() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert set(project["entry-points"][assembly.ENTRY_POINTS]) == set(ADDED)
    for _, extra in ADDED.values():
        assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet(command, recording: Path, fake_predictor, place: str) -> None:
    output = recording.parent / "a.csv"
    arguments = ["predict", recording, "-o", output]
    answer = command("-q", *arguments) if place == "before" else command(*arguments, "--quiet")
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert output.is_file()
    assert command("predict", recording, "-q", "--json").out.startswith("{")
    failed = command("predict", recording.parent / "none.raw", "-q")
    assert failed.code == 1
    assert failed.err.startswith("error: ")
    assert command("predict", recording).out != ""  # the next command is not quiet


def test_quiet_commands_of_other_packages(command, extend) -> None:
    def train() -> None:
        warnings.warn("recording.raw: cut off (byte 12)", EventFormatWarning, stacklevel=1)
        typer.echo("step 1", err=True)
        typer.echo("done")
        raise ConfigError("field", 3, "4")

    extend("train", train)
    answer = command("train", "-q")
    assert (answer.code, answer.out) == (1, "")
    warning, error = answer.err.splitlines()
    assert warning.startswith("warning: ")
    assert error.startswith("error: ")
