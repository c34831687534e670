"""The review page and its server: for a group of readers, on the loopback address unless told otherwise.

Start it with ``patchcxr review serve DIR``. Every reader signs in with a token of their own. The routes are in
:mod:`patchcxr.review.routes`, the page in ``patchcxr/review/page``. For research, not for clinical use.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from patchcxr.errors import ReviewError, require_extra
from patchcxr.review.store import ReviewStore

if TYPE_CHECKING:
    from fastapi import FastAPI

LOOPBACK: Final = ("127.0.0.1", "localhost")


def create_app(store: ReviewStore, show_patients: bool = False, hosts: Sequence[str] = LOOPBACK) -> FastAPI:
    """The review as a web application.

    Parameters
    ----------
    store
        The review.
    show_patients
        Whether readers see the patients' ids.
    hosts
        Names under which the server may be asked for; any other ``Host`` header is refused, which keeps a foreign page
        from reaching a local server through a name of its own (DNS rebinding). ``("*",)`` accepts all.

    Raises
    ------
    MissingExtraError
        If FastAPI is not installed.
    """
    require_extra("fastapi", "review")
    from patchcxr.review.routes import application

    return application(store, show_patients, hosts)


def serve(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    show_patients: bool = False,
    hosts: Sequence[str] = (),
    listening: Callable[[], object] = lambda: None,
) -> None:
    """Serve a review until interrupted.

    Parameters
    ----------
    folder
        The review's folder.
    host
        Address to listen on. Anything but a loopback address opens the review to the network; put a reverse proxy with
        HTTPS before it there, as tokens and films are sent as they are; it must pass the ``Host`` header on.
    port
        TCP port.
    show_patients
        Whether readers see the patients' ids.
    hosts
        Further names under which readers reach the server, such as that of a reverse proxy.
    listening
        Called when the address is taken: from then on readers can connect.

    Raises
    ------
    ReviewError
        If the folder holds no review that can be opened, or the address cannot be listened on.
    MissingExtraError
        If FastAPI or uvicorn is not installed.
    """
    uvicorn = require_extra("uvicorn", "review")
    ReviewStore(folder).close()  # what is wrong with the review is said before the address is taken
    with listen(host, port) as taken:
        app = create_app(ReviewStore(folder), show_patients, accepted_hosts(host, hosts))
        listening()
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=5)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[taken])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Raises
    ------
    ReviewError
        If the address is not this machine's, or the port is taken or not for this user.
    """
    if not 0 <= port < 2**16:
        raise ReviewError(f"port {port}: expected 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ReviewError(
            f"cannot listen on {host} port {port} ({error}); give another port, or end the server that has it"
        ) from error


def accepted_hosts(host: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """Names under which a server that listens on ``host`` is asked for.

    On all addresses at once (``0.0.0.0``) the names are not known; unless some are given, any name is taken, and the
    tokens alone protect the review.

    >>> accepted_hosts("127.0.0.1", ["review.example.org"])
    ('127.0.0.1', 'localhost', 'review.example.org')
    >>> accepted_hosts("0.0.0.0")
    ('*',)
    """
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere:
        return (*LOOPBACK, socket.gethostname(), *more) if more else ("*",)
    named = f"[{host}]" if ":" in host else host  # as browsers write an IPv6 address
    return tuple(dict.fromkeys((*LOOPBACK, named, *more)))
