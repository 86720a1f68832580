"""The import graph of the four packages: which may import which, and no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "evface_edge": ROOT / "evface_edge",
    "evface_runtimes": ROOT / "runtimes" / "evface_runtimes",
    "evface_training": ROOT / "training" / "evface_training",
    "evface_export": ROOT / "export" / "evface_export",
}
#: Package → the packages that it may import besides itself.
ALLOWED = {
    "evface_runtimes": set(),
    "evface_edge": {"evface_runtimes"},
    "evface_training": {"evface_edge", "evface_runtimes"},
    "evface_export": {"evface_edge", "evface_runtimes", "evface_training"},
}


def _modules() -> dict[str, Path]:
    modules = {}
    for name, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts and parts[-1] == "__init__" else parts
            modules[".".join((name, *parts))] = path
    return modules


def _imports(tree: ast.AST, modules: dict[str, Path]) -> Iterator[str]:
    """Modules of ours that are imported anywhere, in functions too; not those for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from _imports(other, modules)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                name = submodule if submodule in modules else node.module
                if name in modules:
                    yield name
        else:
            yield from _imports(node, modules)


def _graph() -> dict[str, set[str]]:
    modules = _modules()
    return {
        name: set(_imports(ast.parse(path.read_text(encoding="utf-8")), modules)) - {name}
        for name, path in modules.items()
    }


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_no_import_circle() -> None:
    graph = _graph()
    assert len(graph) > 200
    assert _circles(graph) == []


def test_a_circle_is_detected() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert _circles(graph) == [["a", "b", "c"]]


def test_packages_import_in_one_direction() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in _graph().items()
        for other in others
        if (source := module.partition(".")[0]) != (target := other.partition(".")[0])
        and target not in ALLOWED[source]
    ]
    assert wrong == []
