"""Fixtures for all tests."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Name of a script without its suffix → the module, made anew each time."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # its dataclasses look themselves up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="module")
def load_folder() -> Iterator[Callable[[str], dict[str, ModuleType]]]:
    """Name of a folder of scripts, which is no package → its modules, but the command's."""
    path, modules = list(sys.path), set(sys.modules)

    def load(folder: str) -> dict[str, ModuleType]:
        sys.path.insert(0, str(SCRIPTS / folder))
        names = {path.stem for path in (SCRIPTS / folder).glob("*.py")} - {"__main__"}
        return {name: importlib.import_module(name) for name in sorted(names)}

    yield load
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(SCRIPTS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Faces and recordings that are not part of the repository; the test is skipped without."""
    sibling = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EVFACE_SHARED_DATA", sibling))
    if not folder.is_dir():
        pytest.skip(f"no face and event recordings at {folder} (set EVFACE_SHARED_DATA)")
    return folder
