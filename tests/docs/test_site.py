"""The docs site is built strictly, and opens without loading anything from elsewhere."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs-material is not installed (extra dev)")
pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed (extra dev)")

ROOT = Path(__file__).parents[2]

#: What a page loads when it is opened; links that a reader follows are not among them.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(https?:)?//"""
    r"""|<link\b[^>]*\bhref="(https?:)?//[^>]*rel="(?:stylesheet|preconnect|preload)"""
    r"""|<link\b[^>]*rel="(?:stylesheet|preconnect|preload)[^>]*\bhref="(https?:)?//"""
    r"""|url\(["']?(https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a broken link, anchor or reference fails the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_public_name_has_an_entry(site: Path) -> None:
    from evface_edge import PUBLIC_MODULES

    text = "".join(page.read_text("utf-8") for page in (site / "reference" / "api").rglob("*.html"))
    for module in PUBLIC_MODULES:
        exported = __import__(module, fromlist=["__all__"]).__all__
        for name in exported:
            assert f'id="{module}.{name}"' in text, f"{module}.{name}"


def test_every_command_has_a_section(site: Path) -> None:
    from evface_edge.cli.assembly import assemble

    page = (site / "reference" / "commands" / "index.html").read_text("utf-8")
    for name in assemble().commands:
        assert f'<h2 id="{name}">' in page


def test_pages_name_nothing_to_load_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 30
    for page in pages:
        assert LOADED.search(page.read_text("utf-8")) is None, page.relative_to(site)


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_browser_requests_nothing_from_elsewhere(address: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    requested: list[str] = []
    complaints: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("request", lambda request: requested.append(request.url))
        tab.on("console", lambda line: complaints.append(line.text) if line.type == "error" else 0)
        for page in ("/", "/tutorial/", "/reference/api/evface_edge/", "/explanation/tracking/"):
            tab.goto(address + page)
        browser.close()
    assert requested
    assert [url for url in requested if not url.startswith((address, "data:"))] == []
    assert complaints == []
