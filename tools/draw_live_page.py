"""Draw docs/images/web.png: the live page of the demo recording, in a Chromium without a window.

    python tools/draw_live_page.py [SECONDS]

Needs the extra web, playwright, and a Chromium. Without a GPU the viewer is slow: SECONDS is how
long it gets to draw (default 90).
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from evface_edge import DEMO_RECORDING

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "web.png"
WIDTH, HEIGHT, SCALE = 1250, 900, 1.3
#: Height of the viewer's own bar, which is cut off.
BAR_PX = 42


def main(seconds: float) -> None:
    command = ["predict", str(DEMO_RECORDING), "-o", "web", "--port", "0", "--speed", "0.5"]
    server = subprocess.Popen(
        [sys.executable, "-c", "from evface_edge.cli import main; main()", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        found = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"],
            )
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE
            )
            page.goto(found[0].rstrip(",.;"))
            page.wait_for_timeout(seconds * 1000)
            clip = {"x": 0, "y": BAR_PX, "width": WIDTH, "height": HEIGHT - BAR_PX}
            page.screenshot(path=IMAGE, clip=clip, timeout=300_000)
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 90.0)
