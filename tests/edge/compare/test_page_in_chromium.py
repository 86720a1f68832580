"""The report page in a real browser without a network: no errors, and all images are shown."""

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
from evface_edge.compare.accuracy import Entry, Instants, ModelResult
from evface_edge.compare.labelled import LabelledRecording
from evface_edge.compare.page import document, image, page
from evface_edge.compare.plots import draw_all

#: Of a laptop and of a phone.
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


class Visit:
    """A page in a browser without a network.

    Attributes:
        messages: messages on the console and errors.
        requests: URLs requested beside the page itself.
        images: (natural width, drawn width) of each.
        overflow_px: pixels by which the page is wider than the window.
        text: text of the page.
    """

    def __init__(self, browser: Any, path: Path, width: int) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(offline=True, viewport={"width": width, "height": 800})
        tab = context.new_page()
        tab.on("console", lambda message: self.messages.append(message.text))
        tab.on("pageerror", lambda error: self.messages.append(str(error)))
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.goto(path.as_uri())
        self.requests = [
            u for u in self.requests if u != path.as_uri() and not u.startswith("data:")
        ]
        self.images = tab.evaluate(
            "[...document.images].map(i => [i.complete ? i.naturalWidth : 0, i.width])"
        )
        self.overflow_px = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        self.text = tab.inner_text("body")
        context.close()


@pytest.fixture(scope="module")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two models with a known shift."""
    video = LabelledRecording.load(DEMO_RECORDING)
    t_us = np.arange(4) * 300_000
    truth = np.stack([video.truth(int(t)) for t in t_us])
    instants = Instants(np.zeros(4, np.int64), t_us, truth)
    results = []
    for name, shift, ms in (("evface-s-fp32", 1.0, 2.0), ("evface-s-int8", 2.0, 0.8)):
        entry = Entry.parse(name)
        latency = Latency(np.full(20, ms))
        shifted, update_ms = truth + np.float32(shift), np.full(4, ms)
        card = read_card(entry.path)
        results.append(ModelResult(entry, card, shifted, update_ms, latency, "somewhere"))
    report = metrics.compare(instants, results, [video], 20.0)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(report, draw_all(report, instants, results, [video])), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_without_a_network(browser: Any, report_page: Path, width: int) -> None:
    visit = Visit(browser, report_page, width)
    assert visit.messages == []
    assert visit.requests == []
    assert len(visit.images) == 5
    assert min(natural for natural, _ in visit.images) > 300
    assert all(0 < drawn <= width for _, drawn in visit.images)
    assert visit.overflow_px <= 0
    assert "evface-s-int8" in visit.text


def test_errors_of_a_page_are_detected(browser: Any, tmp_path: Path) -> None:
    """The test itself: a broken image, a script that fails, and an external file."""
    broken = image(b"no image", "broken") + '<img src="https://example.org/a.png">'
    path = tmp_path / "broken.html"
    path.write_text(document("broken", broken + "<script>nothing()</script>"), encoding="utf-8")
    visit = Visit(browser, path, WIDTHS[0])
    assert visit.requests == ["https://example.org/a.png"]
    assert any("nothing is not defined" in text for text in visit.messages)
    assert [natural for natural, _ in visit.images] == [0, 0]
