"""The status page's server: loopback alone, reading alone, a handful of addresses."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..errors import ConfigError
from .page import PAGE
from .view import View

LOOPBACK = "127.0.0.1"
HOSTS = frozenset({"127.0.0.1", "localhost"})
"""A page elsewhere that names another host must not read us through its visitor's browser."""
POLICY = (
    "default-src 'none'; img-src 'self'; connect-src 'self'; script-src 'self'; style-src 'self'"
)
MAX_THREADS_WAIT_S = 5.0
MAX_VISITORS = 64
"""At once; each has a thread, and whoever comes later is let go."""

log = logging.getLogger(__name__)


class StatusServer:
    """Serves until it is closed.

    Raises:
        ConfigError: the port is taken.
    """

    def __init__(self, view: View, port: int) -> None:
        self.view = view
        try:
            self._server = _Server((LOOPBACK, port), _handler_of(view))
        except OSError as error:
            raise ConfigError(f"status.port {port}: {error.strerror}") from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="status", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """No more answers."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, *args: Any) -> None:
        self._places = threading.Semaphore(MAX_VISITORS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, where there is room for one."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Make room afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor who hangs up is none of the flight's business."""
        log.debug("status page: a request failed", exc_info=True)


def _handler_of(view: View) -> type[BaseHTTPRequestHandler]:
    routes = _routes(view)

    class Handler(BaseHTTPRequestHandler):
        timeout = MAX_THREADS_WAIT_S
        server_version, sys_version = "geobridge", ""

        def do_GET(self) -> None:  # http.server's name
            host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
            route = routes.get(self.path.partition("?")[0])
            if host not in HOSTS:
                self._answer(403, "text/plain", b"only by 127.0.0.1 or localhost\n")
            elif route is None:
                self._answer(404, "text/plain", b"not here\n")
            else:
                self._answer(*route())

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
            log.debug(format, *args)

    return Handler


def _routes(view: View) -> dict[str, Callable[[], tuple[int, str, bytes]]]:
    def text(kind: str, content: str) -> tuple[int, str, bytes]:
        return 200, f"{kind}; charset=utf-8", content.encode()

    def health() -> tuple[int, str, bytes]:
        is_well, words = view.is_well()
        return 200 if is_well else 503, "text/plain; charset=utf-8", f"{words}\n".encode()

    def picture(data: bytes | None) -> tuple[int, str, bytes]:
        return (200, "image/jpeg", data) if data else (404, "text/plain", b"not yet\n")

    return {
        "/": lambda: text("text/html", PAGE["page.html"]),
        "/page.css": lambda: text("text/css", PAGE["page.css"]),
        "/page.js": lambda: text("text/javascript", PAGE["page.js"]),
        "/status.json": lambda: text("application/json", json.dumps(view.snapshot())),
        "/healthz": health,
        "/metrics": lambda: text("text/plain; version=0.0.4", view.metrics()),
        "/map.jpg": lambda: picture(view.overview()),
        "/frame.jpg": lambda: picture(view.frame()),
        "/reference.jpg": lambda: picture(view.reference()),
    }
