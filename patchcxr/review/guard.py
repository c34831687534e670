"""What every request to the review server passes: origin, size and headers of safety."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT: Final = 20 * 2**20
"""Bytes of a request, beyond which it is refused; the largest is a drawn mask."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every answer: no foreign script, no framing, and nothing of a patient in the browser's disk cache."""


class _TooLarge(Exception):
    """More bytes came than were announced or are allowed."""


class Guard:
    """ASGI middleware: refuses foreign origins, writes that are not JSON, and large bodies; adds :data:`HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = _refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        read = 0

        async def receive_some() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY_LIMIT:
                raise _TooLarge
            return message

        try:
            await self.app(scope, receive_some, send_with_headers)
        except _TooLarge:
            if not started:
                await _too_large()(scope, receive, send_with_headers)


def _refusal(method: str, headers: Headers) -> JSONResponse | None:
    """The answer to a request that goes no further."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return failure(403, f"the request comes from {origin}; only this server's own page may use it")
    if method not in ("GET", "HEAD"):
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            return failure(415, f"the body is {kind or 'of no stated type'}; send application/json")
    length = headers.get("content-length", "0")
    return _too_large() if length.isdigit() and int(length) > BODY_LIMIT else None


def _too_large() -> JSONResponse:
    return failure(413, f"the request is larger than {BODY_LIMIT} bytes; send a mask as one-bit PNG")


def failure(status: int, message: str) -> JSONResponse:
    """An error as all routes answer it: ``{"error": message}``."""
    readable = message.encode(errors="backslashreplace").decode()  # it may quote half a surrogate pair
    return JSONResponse({"error": readable}, status_code=status)
