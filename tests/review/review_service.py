"""A small review with known masks, its server, and a client that speaks to it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from patchcxr.review.blobs import encode_mask
from patchcxr.review.store import Film, ProposedFilm, ReviewStore

SHAPE = (200, 240)
FILMS = [f"film {letter}" for letter in "abcdef"]
SOURCES = ("manual", "network-alpha", "network-beta")
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


def rectangle(top, left, bottom, right, shape=SHAPE):
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


MASKS = {
    "manual": rectangle(40, 30, 140, 100),
    "network-alpha": rectangle(60, 40, 160, 110),
    "network-beta": rectangle(50, 130, 150, 210),
}


def film_levels(shape=SHAPE, bits=12):
    """A ramp with a bright square: every level of it is known."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    levels = (rows * 5 + columns * 7).astype(np.uint16) + 100
    levels[10:20, 10:20] = 2**bits - 1
    return levels


def make_review(folder, films=("film a", "film b", "film c"), readers_per_film=2, kind="choose", masks=None, extra=()):
    """A review of 12-bit films on disk; ``extra`` are further proposed films."""
    folder = Path(folder)
    store = ReviewStore.create(folder / "review", seed=1)
    png = {source: encode_mask(mask) for source, mask in (MASKS if masks is None else masks).items()}
    proposed = []
    for index, film in enumerate(films):
        path = folder / f"image{index}.png"
        cv2.imwrite(str(path), film_levels())
        place = Film(film, str(path), f"patient-{index}", *SHAPE, None, None)
        proposed.append(ProposedFilm(place, png, 1 - index / 100, None))
    store.add_round("round one", kind, readers_per_film, [*proposed, *extra])
    return store


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Service:
    """A server in a process of its own, which can be killed and started again on the same port."""

    def __init__(self, folder, **options):
        self.folder, self.options, self.port, self.process = Path(folder), options, free_port(), None
        self.base = f"http://127.0.0.1:{self.port}"

    def start(self):
        code = (
            "import json, sys; from patchcxr.review.server import serve; serve(sys.argv[1], **json.loads(sys.argv[2]))"
        )
        options = json.dumps({"port": self.port, **self.options})
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(self.folder), options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stdout.read().decode())
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server did not start within 60 s")

    def kill(self):
        """End the server as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self.process is not None:
            self.process.stdout.close()
        self.process = None

    def client(self, token=None):
        return Client(self.port, token)


class InThread:
    """A server in a thread of this process: starts at once, cannot be killed."""

    def __init__(self, store, **options):
        import uvicorn

        from patchcxr.review.server import create_app

        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(create_app(store, **options), host="127.0.0.1", port=self.port, log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def client(self, token=None):
        return Client(self.port, token)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *error):
        self.server.should_exit = True
        self.thread.join(timeout=30)


@contextmanager
def serving(folder, **options):
    service = Service(folder, **options)
    try:
        yield service.start()
    finally:
        service.kill()


class Client:
    """Requests with a reader's token over one kept connection."""

    def __init__(self, port, token=None):
        self.port, self.token = port, token
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, method, path, body=None, headers=None):
        headers = {"Accept-Encoding": "identity"} | (headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer, answer.read()

    def get(self, path):
        answer, body = self.send("GET", path)
        assert answer.status == 200, body
        return json.loads(body)

    def post(self, path, body):
        answer, data = self.send("POST", path, body)
        return answer.status, json.loads(data)

    def mask(self, film, position):
        answer, body = self.send("GET", f"/api/mask/{quote(film, safe='')}/{position}")
        assert answer.status == 200, body
        return cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED) > 0

    def close(self):
        self.connection.close()


def as_base64(mask):
    return base64.b64encode(encode_mask(mask)).decode()


def ready(page, film=None):
    """Wait until a film may be decided on."""
    from playwright.sync_api import expect

    if film is not None:
        expect(page.locator("#film-name")).to_have_text(film)
    expect(page.locator("#choosing")).to_have_attribute("data-mode", "choosing")
    page.wait_for_timeout(350)  # a new film takes no decision for a moment


def name_of(page):
    return page.locator("#film-name").inner_text()


def made(store, film, reader="ann"):
    table = store.decisions()
    return table[(table["film"] == film) & (table["reader"] == reader)]


def screen_of(page, point):
    """Place on the screen of a film position (x, y), while the whole film is shown as :meth:`Viewer.fit` does."""
    box = page.locator("#film").bounding_box()
    scale = min((box["width"] - 16) / SHAPE[1], (box["height"] - 16) / SHAPE[0])
    left, top = (box["width"] - SHAPE[1] * scale) / 2, (box["height"] - SHAPE[0] * scale) / 2
    return box["x"] + left + point[0] * scale, box["y"] + top + point[1] * scale


def grey_at(page, point):
    x, y = screen_of(page, point)
    box = page.locator("#film").bounding_box()
    return page.evaluate(
        "([x, y]) => document.getElementById('film').getContext('2d').getImageData(x, y, 1, 1).data[0]",
        [round(x - box["x"]), round(y - box["y"])],
    )
