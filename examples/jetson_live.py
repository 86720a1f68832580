"""Live landmarks on a Jetson without a screen: TensorRT, a page for browsers, made for systemd.

    python examples/jetson_live.py                       # the bundled recording, as a camera
    python examples/jetson_live.py --camera 'camera:prophesee?reconnect=1' \\
        --model evface-s-trt-int8.engine --bind 0.0.0.0 --port 9090

The engine is built on the device (`evface-edge build-engine`); any other model runs too, as the
default does on ONNX Runtime. `examples/jetson_live.service` starts it with the machine, and
docs/how-to/jetson.md describes that, the power modes and the clocks. Prints one line a second and
notifies systemd when it is ready and while it runs. Never run on a Jetson so far.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from evface_edge import FaceLandmarks, Predictor, open_events
from evface_edge.cli.demo import RECORDING
from evface_edge.cli.live import losses
from evface_edge.events.source import Counters
from evface_edge.results.moments import Moments
from evface_edge.results.screens import Screen, show_results

IMAGES_HZ = 10.0


def tell_systemd(word: str) -> None:
    """sd_notify(3): READY=1, WATCHDOG=1 …; nothing where systemd did not start this."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        # A name that begins with @ is one without a file.
        channel.sendto(word.encode(), address.replace("@", "\0", 1))


class Pulse:
    """One line a second, and a sign of life for systemd with each."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()
        self._states: list[str] = []

    def beat(self, faces: list[FaceLandmarks], counters: Counters) -> None:
        self._states.append(faces[0].state.value if faces else "no face")
        now_s = time.monotonic()
        if now_s - self._said_s < 1:
            return
        rate = len(self._states) / (now_s - self._said_s)
        states = ", ".join(f"{name} {n}" for name, n in Counter(self._states).most_common())
        typer.echo(f"{rate:5.0f} results/s  {states}  lost: {losses(counters)}")
        tell_systemd("WATCHDOG=1")
        self._said_s, self._states = now_s, []


@contextmanager
def page(web: bool, bind: str, port: int) -> Iterator[list[Screen]]:
    """The page for browsers, if it is wanted."""
    with ExitStack() as stack:
        if not web:
            yield []
            return
        from evface_edge.results.rerun_screen import page as serve

        screen, served = stack.enter_context(serve(address=bind, port=port, live=True))
        typer.echo(f"look at {served.url}")
        yield [screen]


def main(
    camera: Annotated[str, typer.Option(help="Its URI.")] = f"replay:{RECORDING}",
    model: Annotated[str, typer.Option(help="An engine, or another model.")] = "evface-s",
    rate_hz: Annotated[float, typer.Option(help="Results a second.")] = 100,
    web: Annotated[bool, typer.Option(help="Whether there is a page.")] = True,
    bind: Annotated[str, typer.Option(help="0.0.0.0: the network may look.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of the page; 0 takes a free one.")] = 0,
    seconds: Annotated[float, typer.Option(help="For how long; default: until stopped.")] = 1e9,
) -> None:
    with Predictor(model, rate_hz=rate_hz) as predictor, page(web, bind, port) as screens:
        typer.echo(predictor.describe())
        predictor.warmup()  # before the camera is opened, so that no event has to wait for it
        with open_events(camera) as source:
            tell_systemd("READY=1")
            moments, pulse = Moments(source, fps=IMAGES_HZ), Pulse()
            end_s = time.monotonic() + seconds
            results = predictor.stream(moments.source)
            for _, faces in show_results(results, moments, screens):
                pulse.beat(faces, source.counters)
                if time.monotonic() > end_s:
                    break
            tell_systemd("STOPPING=1")


if __name__ == "__main__":
    typer.run(main)
