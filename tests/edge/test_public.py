"""The public API: what is exported, what it costs to import, and what examples and docs use."""

from __future__ import annotations

import ast
import importlib
import os
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import evface_edge
from evface_edge import PUBLIC_MODULES

ROOT = Path(__file__).parents[2]
PACKAGES = ("evface_edge", "evface_runtimes", "evface_training", "evface_export")
HEAVY = ("PIL", "av", "cv2", "numba", "onnxruntime", "torch")


def heavy_modules_after(statement: str) -> list[str]:
    """The modules of `HEAVY` that a new interpreter has imported after `statement`."""
    code = f"{statement}\nimport sys\nprint(*[n for n in {HEAVY!r} if n in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "import evface_edge",
        "from evface_edge import EVENT_DTYPE, SensorSize, Box, EventSource, EvfaceError",
        "from evface_edge import Predictions, FaceLandmarks, HeadPose, Blink",
        "import evface_edge.results, evface_edge.metrics, evface_edge.models, evface_edge.compare",
    ],
)
def test_imports_are_light(statement: str) -> None:
    assert heavy_modules_after(statement) == []


def test_the_test_above_can_fail() -> None:
    assert "PIL" in heavy_modules_after("import evface_edge, PIL")


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_name_exists(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert len(names) == len(set(names))
    for name in names:
        assert not name.startswith("_")
        assert getattr(importlib.import_module(module), name) is not None


@pytest.mark.parametrize("module", ["evface_edge", "evface_edge.results", "evface_edge.compare"])
def test_type_checkers_see_the_same_names(module: str) -> None:
    """Lazy names are imported for type checkers from the module that defines them."""
    package = importlib.import_module(module)
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text())
    seen = {
        alias.name: statement.module
        for statement in ast.walk(tree)
        if isinstance(statement, ast.ImportFrom) and statement.module is not None
        for alias in statement.names
    }
    for name in set(package.__all__) & set(seen):
        home = importlib.import_module(str(seen[name]))
        assert getattr(home, name) is getattr(package, name)
    constants = {"DEMO_RECORDING", "PUBLIC_MODULES"}
    assert set(package.__all__) - constants <= set(seen)


def annotations(value: object) -> Iterator[object]:
    """Annotations of a function, or of the attributes and public methods of a class."""
    yield from getattr(value, "__annotations__", {}).values()
    if isinstance(value, type):
        for name, member in vars(value).items():
            if name == "__init__" or not name.startswith("_"):
                function = getattr(member, "fget", getattr(member, "__func__", member))
                yield from getattr(function, "__annotations__", {}).values()


def private_types(module: str, name: str) -> set[str]:
    """Types of our packages in the signatures of a public name that are not public themselves."""
    value = getattr(importlib.import_module(module), name)
    home = sys.modules.get(getattr(value, "__module__", ""))
    words = {word for text in annotations(value) for word in re.findall(r"\w+", str(text))}
    found = {getattr(home, word, None) for word in words if not word.startswith("_")}
    ours = {each for each in found if isinstance(each, type) and _package(each) in PACKAGES}
    return {each.__name__ for each in ours} - PUBLIC_NAMES


def _package(value: type) -> str:
    return value.__module__.split(".")[0]


PUBLIC_NAMES = {name for each in PUBLIC_MODULES for name in importlib.import_module(each).__all__}


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_types_in_public_signatures_are_public(module: str) -> None:
    for name in importlib.import_module(module).__all__:
        # A Recording is made by `open_events`, not by its constructor.
        allowed = {"Contents", "Format"} if name == "Recording" else set()
        assert private_types(module, name) <= allowed, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Predicator"):
        _ = evface_edge.Predicator  # type: ignore[attr-defined]


def test_errors_are_one_tree() -> None:
    for name in evface_edge.__all__:
        value = getattr(evface_edge, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, (evface_edge.EvfaceError, Warning))


@pytest.mark.parametrize("module", ["evface_edge", "evface_edge.results", "evface_edge.compare"])
def test_dir_lists_the_public_names(module: str) -> None:
    listed = dir(importlib.import_module(module))
    assert set(importlib.import_module(module).__all__) <= set(listed)
    assert len(listed) == len(set(listed))


def test_help_fits_two_screens() -> None:
    text = pydoc.render_doc(evface_edge, renderer=pydoc.plaintext)
    assert len(text.splitlines()) <= 100
    for module in PUBLIC_MODULES[1:]:
        assert module in text
    for name in evface_edge.__all__:
        assert re.search(rf"\b{name}\b", text), name


def python_code() -> dict[str, str]:
    """Every example, and every Python block of README.md and docs/: name → code."""
    code = {path.name: path.read_text() for path in (ROOT / "examples").glob("*.py")}
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        blocks = re.findall(r"^```python[^\n]*\n(.*?)^```", path.read_text(), re.S | re.M)
        for number, block in enumerate(blocks, 1):
            code[f"{path.relative_to(ROOT)}, block {number}"] = block
    return code


def private_imports(code: str) -> Iterator[str]:
    """What a piece of code imports from our packages that is not public."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in PACKAGES:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in PUBLIC_MODULES:
                    continue
                public = node.module in PUBLIC_MODULES and alias.name in _names(str(node.module))
                if not public:
                    yield whole
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in PACKAGES:
                    modules.add(alias.name)
                    if alias.name not in PUBLIC_MODULES:
                        yield alias.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = node.value.id
            if module in modules and node.attr not in _names(module):
                yield f"{module}.{node.attr}"


def _names(module: str) -> set[str]:
    children = {name.removeprefix(f"{module}.") for name in PUBLIC_MODULES}
    return {"__version__", *children, *importlib.import_module(module).__all__}


def test_examples_and_docs_use_public_names_only() -> None:
    code = python_code()
    assert len(code) > 10
    found = {name: list(private_imports(text)) for name, text in code.items()}
    assert {name: private for name, private in found.items() if private} == {}


def test_private_imports_are_found() -> None:
    code = (
        "import evface_runtimes, evface_edge.cli\n"
        "from evface_edge import Predictor, _lazy\n"
        "from evface_edge.results.drawing import face_image\n"
        "from evface_edge.results import face_image\n"
        "evface_runtimes.load('a.onnx')\n"
        "evface_runtimes.table\n"
    )
    assert set(private_imports(code)) == {
        "evface_edge.cli",
        "evface_edge._lazy",
        "evface_edge.results.drawing.face_image",
        "evface_runtimes.table",
    }
