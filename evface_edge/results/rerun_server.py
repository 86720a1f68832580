"""rerun's web viewer, served by rerun's own program in a child process.

The server inside rerun's Python library listens on every network interface; the program can be
bound to one address.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.results.viewer_page import serve_private
from evface_runtimes.telemetry import rerun_variables

LOOPBACK = "127.0.0.1"
#: A browser that connects late gets this much of the earlier data.
_SERVER_MEMORY = "512MiB"
_START_S = 30.0


@dataclass(frozen=True)
class WebPage:
    """A page that is being served.

    Attributes:
        url: to open in a browser.
        log_url: where rerun recordings are sent to.
    """

    url: str
    log_url: str


def viewer_program() -> Path:
    """The path of rerun's program, which rerun-sdk installs.

    Raises:
        RuntimeUnavailable: it is not installed.
    """
    spec = find_spec("rerun_cli")
    places = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
    for place in places:
        for name in ("rerun", "rerun.exe"):
            if (place / name).is_file():
                return place / name
    raise RuntimeUnavailable(
        "rerun's program was not found: pip install --force-reinstall 'evface-edge[web]'"
    )


@contextmanager
def serve_page(*, address: str = LOOPBACK, port: int = 9090) -> Iterator[WebPage]:
    """Serve the page until the block ends. SIGTERM ends the block as Ctrl-C does.

    Args:
        address: of this machine; with 0.0.0.0 every machine that reaches this one can see the page.
        port: of the page; 0 selects a free one. Data uses the next port, or any free one if that
            is taken.

    Raises:
        ConfigError: an address that is not of this machine, or a port that is taken.
        RuntimeUnavailable: rerun's program is not installed, or does not start.
    """
    program = viewer_program()
    port, page_port = _free_port(address, port), _free_port(LOOPBACK, 0)
    try:
        log_port = _free_port(address, port + 1)
    except ConfigError:
        log_port = _free_port(address, 0)
    command = [
        *(str(program), "--serve-web", "--bind", address, "--port", str(log_port)),
        *("--web-viewer-port", str(page_port), "--server-memory-limit", _SERVER_MEMORY),
    ]
    if address != LOOPBACK:
        command += ["--cors-allow-origin", f"http://*:{port}"]
    local = address if address not in ("0.0.0.0", "::") else LOOPBACK
    with tempfile.TemporaryFile() as log, _exit_on_sigterm():
        server = subprocess.Popen(
            command,
            env={**os.environ, **rerun_variables(), "BROWSER": "true"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C must not reach the server
        )
        try:
            _wait_for(server, LOOPBACK, page_port)
            _wait_for(server, local, log_port)
            data = f"rerun+http://{_public_host(address)}:{log_port}/proxy"
            url = f"http://{_public_host(address)}:{port}/?url={quote(data, safe='')}"
            with serve_private(address, port, page_port=page_port, data_port=log_port):
                yield WebPage(url, f"rerun+http://{local}:{log_port}/proxy")
        except _NotStarted as error:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines() or [str(error)]
            raise RuntimeUnavailable(f"rerun's server did not start: {lines[-1]}") from None
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


class _NotStarted(Exception):
    pass


def _free_port(address: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                "bind and port", f"{address}:{port}", f"a free port of this machine ({error})"
            ) from None
        return int(probe.getsockname()[1])


def _wait_for(server: subprocess.Popen[bytes], address: str, port: int) -> None:
    end_s = time.monotonic() + _START_S
    while time.monotonic() < end_s:
        if server.poll() is not None:
            raise _NotStarted(f"it ended with {server.returncode}")
        try:
            socket.create_connection((address, port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise _NotStarted(f"nothing listens on port {port} after {_START_S:.0f} s")


def _public_host(address: str) -> str:
    """The host name for a browser on another machine."""
    return socket.gethostname() if address in ("0.0.0.0", "::") else address


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that the server is stopped as well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def exit_program(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, exit_program)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
