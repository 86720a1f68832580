"""Live landmarks on a Jetson without a screen: TensorRT, a web page, a systemd service.

    python examples/jetson_live.py                       # the bundled recording, as a camera
    python examples/jetson_live.py --camera 'camera:prophesee?reconnect=1' \\
        --model evface-s-trt-int8.engine --bind 0.0.0.0 --port 9090

Build the engine on the device with `evface-edge build-engine`; other models run as well. Prints one
line a second, and notifies systemd that it is ready and alive. `examples/jetson_live.service`
starts it at boot, see docs/how-to/jetson.md. Not tested on a Jetson.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from contextlib import ExitStack
from typing import Annotated

import typer

from evface_edge import DEMO_RECORDING, EventSource, FaceLandmarks, Predictor, open_events
from evface_edge.live import describe_losses, until_stopped
from evface_edge.results import Viewer, ViewFrames, open_web_page, show_results

PAGE_FPS = 10.0


def notify_systemd(state: str) -> None:
    """sd_notify(3): READY=1, WATCHDOG=1 or STOPPING=1; nothing if systemd did not start this."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        # An address that begins with @ is in the abstract namespace, without a file.
        channel.sendto(state.encode(), address.replace("@", "\0", 1))


class Status:
    """Prints one line a second, and notifies systemd that the program is alive."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._start_s = time.monotonic()
        self._states: Counter[str] = Counter()

    def add(self, faces: list[FaceLandmarks]) -> None:
        self._states[faces[0].state.value if faces else "no face"] += 1
        elapsed_s = time.monotonic() - self._start_s
        if elapsed_s < 1:
            return
        states = ", ".join(f"{name} {count}" for name, count in self._states.most_common())
        losses = describe_losses(self._source.counters)
        typer.echo(f"{self._states.total() / elapsed_s:5.0f} results/s  {states}  lost: {losses}")
        notify_systemd("WATCHDOG=1")
        self._start_s = time.monotonic()
        self._states.clear()


def main(
    camera: Annotated[
        str, typer.Option(help="Use the camera with this URI.")
    ] = f"replay:{DEMO_RECORDING}",
    model: Annotated[str, typer.Option(help="Use this engine or other model.")] = "evface-s",
    rate_hz: Annotated[float, typer.Option(help="Set the results per second.")] = 100,
    web: Annotated[bool, typer.Option(help="Serve a web page.")] = True,
    bind: Annotated[
        str, typer.Option(help="Serve at this address; 0.0.0.0 is every network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Serve at this port; 0 selects a free one.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(help="Stop after N seconds; by default at Ctrl-C.")
    ] = None,
) -> None:
    viewers: list[Viewer] = []
    with ExitStack() as stack:
        predictor = stack.enter_context(Predictor(model, rate_hz=rate_hz))
        if web:
            viewer, page = stack.enter_context(open_web_page(address=bind, port=port, live=True))
            viewers.append(viewer)
            typer.echo(f"open {page.url}")
        typer.echo(predictor.describe())
        predictor.warmup()  # before the camera is opened, so that no events wait for it
        opened = stack.enter_context(open_events(camera))
        source = stack.enter_context(until_stopped(opened, seconds=seconds))
        notify_systemd("READY=1")
        frames, status = ViewFrames(source, fps=PAGE_FPS), Status(source)
        for _, faces in show_results(predictor.stream(frames.source), frames, viewers):
            status.add(faces)
        notify_systemd("STOPPING=1")
        source.raise_error()


if __name__ == "__main__":
    typer.run(main)
