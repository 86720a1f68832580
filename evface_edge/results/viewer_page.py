"""The page of rerun's web viewer, without what it sends to others.

The page requests a font from Google, and sends usage statistics to its makers from the browser.
A server in front of rerun's leaves such links out, and forbids other connections to the page by a
Content-Security-Policy.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from evface_runtimes.telemetry import RERUN_ADDRESS, rerun_is_allowed

#: A <link> is followed whatever the policy says, if only to connect early.
_LINK_OUT = re.compile(rb'<link\b[^>]*"https?://[^>]*>')
_SOURCES = "'self' 'unsafe-inline' 'unsafe-eval' blob: data:"


@contextmanager
def serve_private(address: str, port: int, *, page_port: int, data_port: int) -> Iterator[None]:
    """Serve at `address` and `port` the page that rerun serves at `page_port` on loopback.

    Args:
        data_port: of the server that the page receives its data from.
    """
    connections = ["'self'", f"http://*:{data_port}"]
    if rerun_is_allowed():
        connections.append(RERUN_ADDRESS)
    policy = f"default-src {_SOURCES}; connect-src {' '.join(connections)}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            upstream = HTTPConnection("127.0.0.1", page_port, timeout=30)
            upstream.request("GET", self.path)
            answer = upstream.getresponse()
            body = answer.read()
            upstream.close()
            kind = answer.getheader("Content-Type", "application/octet-stream")
            if kind.startswith("text/html"):
                body = _LINK_OUT.sub(b"", body)
            self.send_response(answer.status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Print no line for each request."""

    with ThreadingHTTPServer((address, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
