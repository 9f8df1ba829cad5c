"""Services of others: slowly, patiently, and with one clear line when they refuse."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import write_bytes
from geobridge.onboard.errors import ConfigError, DataError

from ...datasets.decode import UnreadableError, decode

ATTEMPTS, TIMEOUT_S, LONGEST_WAIT_S = 6, 60.0, 60.0
MAX_BYTES = 64 << 20
PIECE_BYTES = 1 << 20
AGENT = "geobridge-uav (builds data sets)"
_LATER = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_BROKEN = (urllib.error.URLError, TimeoutError, ConnectionError)
"""Of a server; what else goes wrong while a file is written is the disk's."""
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def key_of(variable: str, whose: str) -> str:
    """A key from the environment.

    Raises:
        ConfigError: it is not there.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"{whose}: the environment variable {variable} holds no key")
    return key


class Service:
    """One server, asked at most so many times a second however many threads ask.

    Args:
        name: what it is called in a complaint; keys in a url never show.
        rate_hz: requests per second.
        headers: with every request.
    """

    def __init__(self, name: str, rate_hz: float, headers: dict[str, str] | None = None) -> None:
        self.name = name
        self._headers = {"User-Agent": AGENT} | (headers or {})
        self._step_s, self._next_s = 1.0 / rate_hz, 0.0
        self._lock = threading.Lock()

    def json(self, url: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """An object.

        Raises:
            DataError: the server refuses, cannot be reached, or answers something else.
        """
        raw = self.bytes(url, query)
        try:
            tree = json.loads(raw)
        except ValueError:
            tree = None
        if not isinstance(tree, dict):
            raise DataError(f"{self.name}: expected a JSON object, found {begin(raw)}")
        return tree

    def bytes(self, url: str, query: dict[str, Any] | None = None) -> bytes:
        """What it answers.

        Raises:
            DataError: the server refuses, cannot be reached, or sends too much.
        """
        asked = f"{url}?{urllib.parse.urlencode(query)}" if query else url
        for attempt in range(1, ATTEMPTS + 1):
            self._pace()
            try:
                with self._open(asked) as answer:
                    raw: bytes = answer.read(MAX_BYTES + 1)
                    length = answer.length or 0
                if length > 0 and len(raw) <= MAX_BYTES:
                    raise ConnectionError("the answer ends too early")
                if len(raw) > MAX_BYTES:
                    raise DataError(f"{self.name}: answers with more than {MAX_BYTES >> 20} MB")
                return raw
            except (OSError, http.client.HTTPException) as error:
                self._wait_or_raise(error, attempt)
        raise AssertionError("unreachable")

    def download(self, url: str, path: Path, most_bytes: int) -> bool:
        """A large file, going on where it stopped; False if it is larger than that.

        Raises:
            DataError: the server refuses or cannot be reached.
        """
        if path.exists():
            return True
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".partial-{path.name}")
        for attempt in range(1, ATTEMPTS + 1):
            self._pace()
            try:
                if not self._piecewise(url, partial, most_bytes):
                    return False
                partial.replace(path)
                return True
            except (*_BROKEN, http.client.HTTPException) as error:
                self._wait_or_raise(error, attempt)
        raise AssertionError("unreachable")

    def _piecewise(self, url: str, partial: Path, most_bytes: int) -> bool:
        begun = partial.stat().st_size if partial.exists() else 0
        with self._open(url, {"Range": f"bytes={begun}-"} if begun else {}) as answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                begun = 0  # it sends all of it again
            length = answer.headers.get("Content-Length", "")
            whole = begun + int(length) if length.isdecimal() else None
            if whole is not None and whole > most_bytes:
                return False
            with partial.open("ab" if begun else "wb") as file:
                while piece := answer.read(PIECE_BYTES):
                    file.write(piece)
                    begun += len(piece)
                    if begun > most_bytes:
                        return False
        if whole is not None and begun < whole:
            raise ConnectionError("the file ends too early")
        return True

    def _open(self, url: str, more: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(url, headers=self._headers | (more or {}))
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)

    def _pace(self) -> None:
        with self._lock:
            due_s = max(self._next_s, time.monotonic())
            self._next_s = due_s + self._step_s
        time.sleep(max(0.0, due_s - time.monotonic()))

    def _wait_or_raise(self, error: Exception, attempt: int) -> None:
        if isinstance(error, urllib.error.HTTPError):
            body = begin(error.read(300))
            if error.code in _REFUSED or error.code not in _LATER:
                raise DataError(f"{self.name}: answers {error.code}: {body}") from None
            asked = error.headers.get("Retry-After", "")
            why = f"answers {error.code}: {body}"
        else:
            asked, why = "", str(getattr(error, "reason", error) or type(error).__name__)
        if attempt == ATTEMPTS:
            raise DataError(f"{self.name}: {why}, {ATTEMPTS} times; run again later") from None
        seconds = float(asked) if asked.isdecimal() else 0.5 * 2**attempt
        time.sleep(min(seconds, LONGEST_WAIT_S))


def keep_picture(raw: bytes, path: Path, whose: str) -> None:
    """Write a picture that a service sent.

    Raises:
        DataError: it is none.
    """
    try:
        decode(raw, 16, 16)
    except UnreadableError:
        raise DataError(f"{whose}: expected a picture, found {begin(raw)}") from None
    write_bytes(path, raw)


def begin(raw: bytes) -> str:
    """How an answer begins, for complaints."""
    text = " ".join(raw[:160].decode("ascii", "replace").split())
    return repr(text) if text else "nothing"
