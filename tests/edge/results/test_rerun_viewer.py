from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.events.array import make_events
from evface_edge.geometry import SensorSize
from evface_edge.results import FaceState
from evface_edge.results.drawing import (
    BACKGROUND,
    EVENT_COLOURS,
    STATE_COLOURS,
    event_image,
)
from evface_edge.results.view_frames import ViewFrame
from evface_runtimes import telemetry

pytest.importorskip("rerun")

from evface_edge.results import rerun_server, rerun_viewer

SIZE = SensorSize(40, 30)


def view_frame(t_us: int, faces: Any) -> ViewFrame:
    number = np.arange(60)
    events = make_events(number + t_us - 100, number % 40, number % 30, number % 2)
    return ViewFrame(t_us, t_us / 1e6, events, 20_000, faces)


def column(store: Any, entity: str, component: str) -> tuple[list[float], list[Any]]:
    """Times in seconds and values of one component, read by rerun."""
    times: list[float] = []
    values: list[Any] = []
    for chunk in store.stream():
        if chunk.entity_path != entity:
            continue
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            if name.endswith(component):
                at = batch.column("time").cast("int64").to_pylist()
                for t_ns, value in zip(at, batch.column(name).to_pylist(), strict=True):
                    if value is not None:
                        times.append(t_ns / 1e9)
                        values.append(value)
    order = np.argsort(times, kind="stable")
    return [times[k] for k in order], [values[k] for k in order]


@pytest.fixture
def recorded(make_face, tmp_path: Path) -> Any:
    """Two faces; one is held and then lost."""
    from rerun.chunk import RrdReader

    first = make_face(1_000_000)
    held = make_face(1_000_000, face_id=4, state=FaceState.HELD)
    path = tmp_path / "a.rrd"
    with rerun_viewer.open_rrd(path) as viewer:
        viewer.add_result(1_000_000, [first, held])
        viewer.add_frame(view_frame(1_000_000, [first, held]), SIZE)
        viewer.add_result(2_000_000, [first])
        viewer.add_frame(view_frame(2_000_000, [first]), SIZE)
        assert not path.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["a.rrd"]
    return RrdReader(path).store(), first


def test_times_and_values_of_curves(recorded: Any) -> None:
    store, face = recorded
    times, values = column(store, "/aspect_ratio/3/ear_right", "Scalars:scalars")
    assert times == [1.0, 2.0]
    assert values == [[pytest.approx(face.eye_aspect_ratio[0])]] * 2
    times, values = column(store, "/pose/3/yaw_deg", "Scalars:scalars")
    assert values == [[pytest.approx(face.head_pose().yaw_deg)]] * 2
    times, _ = column(store, "/presence/4", "Scalars:scalars")
    assert times == [1.0]


def test_names_of_curves(recorded: Any) -> None:
    names = {}
    for chunk in recorded[0].stream():
        batch = chunk.to_record_batch()
        for field in batch.schema.names:
            if field.endswith("SeriesLines:names"):
                (names[chunk.entity_path],) = batch.column(field).to_pylist()
    assert names["/aspect_ratio/3/ear_right"] == ["right eye"]
    assert names["/pose/3/yaw_deg"] == ["yaw"]
    assert names["/presence/4"] == names["/sigma_px/4"] == ["face 4"]


def test_changes_of_state_are_logged(recorded: Any) -> None:
    store, _ = recorded
    assert column(store, "/state/3", "TextLog:text") == ([1.0], [["face 3: following"]])
    times, texts = column(store, "/state/4", "TextLog:text")
    assert (times, texts) == ([1.0, 2.0], [["face 4: held"], ["face 4: lost"]])


def test_positions_of_landmarks_box_and_axes(recorded: Any) -> None:
    store, face = recorded
    _, values = column(store, "/camera/face/3/landmarks", "Points2D:positions")
    np.testing.assert_allclose(values[0], face.landmarks + 0.5, rtol=1e-6)
    _, centers = column(store, "/camera/face/3/box", "Boxes2D:centers")
    x, y = face.box.center
    np.testing.assert_allclose(centers[0][0], [x + 0.5, y + 0.5], rtol=1e-6)
    _, labels = column(store, "/camera/face/3/box", "Boxes2D:labels")
    assert labels[0] == ["face 3 · following · 75%"]
    _, circles = column(store, "/camera/face/3/sigma", "LineStrips2D:strips")
    radius = np.linalg.norm(np.array(circles[0][9]) - (face.landmarks[9] + 0.5), axis=1)
    np.testing.assert_allclose(radius, face.sigma[9], rtol=1e-4)
    _, arrows = column(store, "/camera/face/3/head", "Arrows2D:vectors")
    head = face.head_pose()
    # The tip of the forward axis, 60 mm from the origin, under parallel projection.
    forward = (head.rotation @ [0, 0, 60])[:2] * head.scale_px_per_mm
    np.testing.assert_allclose(arrows[0][2], forward, rtol=1e-5)


def test_a_lost_face_is_cleared(recorded: Any) -> None:
    store, _ = recorded
    times, values = column(store, "/camera/face/4", "Clear:is_recursive")
    assert (times, values) == ([2.0], [[True]])


def test_the_image_of_events(recorded: Any) -> None:
    store, _ = recorded
    times, blobs = column(store, "/camera/events", "EncodedImage:blob")
    assert times == [1.0, 2.0]
    with Image.open(io.BytesIO(bytes(blobs[0][0]))) as image:
        shown = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(shown, event_image(view_frame(1_000_000, []).events, SIZE))


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="odd"), rerun_viewer.open_rrd(tmp_path / "a.rrd"):
        raise ValueError("odd")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError) as caught, rerun_viewer.open_rrd(tmp_path / "a.csv"):
        pass
    assert caught.value.field == "output"


def test_no_window_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(RuntimeUnavailable, match="WAYLAND_DISPLAY"), rerun_viewer.open_window():
        pass


def test_the_viewers_of_rerun_connect_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import rerun

    seen = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("ALL_PROXY", raising=False)
    monkeypatch.delenv("FORCE_RERUN_ANALYTICS", raising=False)
    monkeypatch.setattr(rerun, "spawn", lambda **_: seen.append(dict(os.environ)))
    with rerun_viewer.open_window():
        assert seen[0]["CI"] == "1"
        assert seen[0]["ALL_PROXY"].startswith("http://127.0.0.1:")
        assert "ALL_PROXY" not in os.environ
    with (
        rerun_server.serve_page(port=0) as page,
        urllib.request.urlopen(page.url, timeout=20) as answer,
    ):
        policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert 'href="https:' not in text
    assert "connect-src 'self' http://*:" in policy
    assert "https:" not in policy


def test_a_user_may_allow_statistics_of_rerun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_RERUN_ANALYTICS", "1")
    assert telemetry.rerun_variables() == {}
    with (
        rerun_server.serve_page(port=0) as page,
        urllib.request.urlopen(page.url, timeout=20) as answer,
    ):
        assert telemetry.RERUN_ADDRESS in answer.headers["Content-Security-Policy"]


def test_a_missing_rerun_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with (
        pytest.raises(RuntimeUnavailable, match=r"evface-edge\[web\]"),
        rerun_viewer.open_rrd(tmp_path / "a.rrd"),
    ):
        pass


@pytest.fixture
def served(make_face) -> Iterator[rerun_server.WebPage]:
    face = make_face(1_000_000)
    with rerun_viewer.open_web_page(address="127.0.0.1", port=0) as (viewer, page):
        viewer.add_result(1_000_000, [face])
        viewer.add_frame(view_frame(1_000_000, [face]), SIZE)
        yield page


def listeners(port: int) -> set[str]:
    """The addresses with a listener at a port, in the notation of the kernel."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, number = line.split()[1].rsplit(":", 1)
            if int(number, 16) == port and line.split()[3] == "0A":
                found.add(address)
    return found


def test_the_page_is_served_on_loopback_only_until_the_block_ends(make_face) -> None:
    with rerun_viewer.open_web_page(address="127.0.0.1", port=0) as (_, page):
        url = urlsplit(page.url)
        (data,) = parse_qs(url.query)["url"]
        assert data == page.log_url
        ports = [url.port, urlsplit(data.removeprefix("rerun+")).port]
        for port in ports:
            assert port is not None
            assert listeners(port) == {"0100007F"}
        with urllib.request.urlopen(f"http://127.0.0.1:{url.port}/", timeout=20) as answer:
            assert "re_viewer.js" in answer.read().decode()
    assert not any(listeners(port) for port in ports if port is not None)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"127.0.0.1:{port}"),
            rerun_server.serve_page(port=port),
        ):
            pass


def test_data_uses_the_next_port_if_it_is_free() -> None:
    for _ in range(5):  # another program may use either port
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            second.bind(("127.0.0.1", 0))
            taken = second.getsockname()[1]
            first.close()
            if taken == port + 1:
                continue
            second.listen()
            with rerun_server.serve_page(port=taken - 1) as page:
                assert urlsplit(page.url).port == taken - 1
                assert urlsplit(page.log_url.removeprefix("rerun+")).port != taken
            with rerun_server.serve_page(port=port) as page:
                if urlsplit(page.log_url.removeprefix("rerun+")).port == port + 1:
                    return
    pytest.fail("the next port was never taken")


def test_a_server_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "rerun"
    program.write_text("#!/bin/sh\necho odd library >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(rerun_server, "viewer_program", lambda: program)
    with pytest.raises(RuntimeUnavailable, match="odd library"), rerun_server.serve_page(port=0):
        pass


def test_sigterm_stops_the_server() -> None:
    code = (
        "import threading\n"
        "from evface_edge.results.rerun_server import serve_page\n"
        "with serve_page(port=0) as page:\n"
        "    print(page.url, flush=True)\n"
        "    threading.Event().wait()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        port = urlsplit(child.stdout.readline().decode()).port
        assert port is not None
        assert listeners(port)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 128 + signal.SIGTERM
    assert not listeners(port)


def test_the_page_in_a_browser(served: rerun_server.WebPage, tmp_path: Path) -> None:
    """rerun's viewer needs WebGL, which Chromium renders in software here."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    switches = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=program, args=[*switches, "--ignore-gpu-blocklist"]
        )
        tab = browser.new_page(viewport={"width": 800, "height": 500})
        hosts: set[str | None] = set()
        tab.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        tab.goto(served.url)
        end_s = time.monotonic() + 120
        fractions: dict[str, float] = {}
        while time.monotonic() < end_s:
            tab.wait_for_timeout(2000)
            with Image.open(io.BytesIO(tab.screenshot(timeout=60_000))) as image:
                pixels = np.asarray(image.convert("RGB")).astype(int)
            fractions = {
                name: float((abs(pixels - colour).max(axis=2) < 12).mean())
                for name, colour in (
                    ("background", BACKGROUND),
                    ("box", STATE_COLOURS[FaceState.FOLLOWING]),
                    ("events", EVENT_COLOURS[4]),  # one event that made the pixel brighter
                )
            }
            if min(fractions.values()) > 0.001:  # the image may come after the box
                break
        browser.close()
    assert hosts == {"127.0.0.1"}
    # The image of events covers most of its half of the page.
    assert fractions["background"] > 0.2
    assert fractions["box"] > 0.001
    assert fractions["events"] > 0.001
