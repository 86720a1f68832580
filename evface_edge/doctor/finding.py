"""The result of one check."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How it stands."""

    OK = "ok"
    MISSING = "missing"
    """Not there, and nothing else suffers: an extra, a device, a camera."""

    BROKEN = "broken"
    """Installed or needed, and of no use as it is."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: of what was looked at.
        state: how it stands.
        found: what there is, in words.
        mend: the command that helps; empty where there is nothing to do, or no command for it.
    """

    name: str
    state: State
    found: str
    mend: str = ""


def try_import(module: str) -> tuple[State, str]:
    """Import a module: ok and its version, missing, or broken and why."""
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            return State.MISSING, "not installed"
        return State.BROKEN, f"cannot be imported: it misses {error.name}"
    except Exception as error:  # a broken library raises anything: OSError, RuntimeError, …
        return State.BROKEN, f"cannot be imported: {_first_line(error)}"
    version = getattr(imported, "__version__", None)
    return State.OK, str(version) if version else "installed"


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"
