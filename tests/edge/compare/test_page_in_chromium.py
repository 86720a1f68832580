"""The pages in a real browser without a network: no complaint, and every image is drawn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge import DEMO_RECORDING
from evface_edge.bench.latency import Latency
from evface_edge.card_file import read_card
from evface_edge.compare import metrics
from evface_edge.compare.accuracy import Entry, Found, Instants
from evface_edge.compare.labelled import LabelledRecording
from evface_edge.compare.page import document, image, page
from evface_edge.compare.plots import draw_all

#: Of a laptop and of a telephone.
WIDTHS = (1280, 420)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Looked:
    """What a browser without a network made of a page.

    Attributes:
        said: complaints on the console and errors; asked: what it wanted beside the page itself.
        images: (natural width, drawn width) of each.
        too_wide: pixels by which the page is wider than the window.
    """

    def __init__(self, browser: Any, path: Path, width: int) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        context = browser.new_context(offline=True, viewport={"width": width, "height": 800})
        tab = context.new_page()
        tab.on("console", lambda message: self.said.append(message.text))
        tab.on("pageerror", lambda error: self.said.append(str(error)))
        tab.on("request", lambda request: self.asked.append(request.url))
        tab.goto(path.as_uri())
        self.asked = [u for u in self.asked if u != path.as_uri() and not u.startswith("data:")]
        self.images = tab.evaluate(
            "[...document.images].map(i => [i.complete ? i.naturalWidth : 0, i.width])"
        )
        self.too_wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        self.text = tab.inner_text("body")
        context.close()


@pytest.fixture(scope="module")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two models that answer with a known shift."""
    video = LabelledRecording.load(DEMO_RECORDING)
    t_us = np.arange(4) * 300_000
    truth = np.stack([video.truth(int(t)) for t in t_us])
    asked = Instants(np.zeros(4, np.int64), t_us, truth)
    results = []
    for name, shift, ms in (("evface-s-fp32", 1.0, 2.0), ("evface-s-int8", 2.0, 0.8)):
        entry = Entry.parse(name)
        latency = Latency(np.full(20, ms))
        found = (truth + np.float32(shift), np.full(4, ms))
        results.append(Found(entry, read_card(entry.path), *found, latency, "somewhere"))
    report = metrics.compare(asked, results, [video], 20.0)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(report, draw_all(report, asked, results, [video])), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_without_a_network(browser: Any, report_page: Path, width: int) -> None:
    seen = Looked(browser, report_page, width)
    assert seen.said == []
    assert seen.asked == []
    assert len(seen.images) == 5
    assert min(natural for natural, _ in seen.images) > 300
    assert all(0 < drawn <= width for _, drawn in seen.images)
    assert seen.too_wide <= 0
    assert "evface-s-int8 is fastest" in seen.text


def test_what_would_go_wrong_is_seen(browser: Any, tmp_path: Path) -> None:
    """The test itself: a broken image, a script that fails, and a file from elsewhere."""
    broken = image(b"no image", "broken") + '<img src="https://example.org/a.png">'
    path = tmp_path / "broken.html"
    path.write_text(document("broken", broken + "<script>nothing()</script>"), encoding="utf-8")
    seen = Looked(browser, path, WIDTHS[0])
    assert seen.asked == ["https://example.org/a.png"]
    assert any("nothing is not defined" in text for text in seen.said)
    assert [natural for natural, _ in seen.images] == [0, 0]
