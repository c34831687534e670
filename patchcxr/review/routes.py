"""What the review server answers. Readers learn a candidate by its place in their own order, never by its origin."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import math
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from patchcxr.errors import ImageError, PatchCXRError, ReviewError
from patchcxr.review.guard import Guard, failure
from patchcxr.review.pixels import FilmCache
from patchcxr.review.records import MAX_NOTE
from patchcxr.review.store import Decision, ReviewStore, Task
from patchcxr.review.views import decision_view, problem_view, progress_view, task_view, without_folders

PAGE: Final = Path(__file__).parent / "page"

router = APIRouter()


class Login(BaseModel):
    """Body of ``POST /login``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: Annotated[str, Field(max_length=200)]


class Choice(BaseModel):
    """Body of ``POST /api/decide``; ``position`` and ``start`` are places in the reader's own order, from 1.

    ``reader`` is who the page believes to be signed in; ``mask`` is a PNG as base64.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    reader: str | None = None
    film: str
    round: int
    action: Literal["choose", "draw", "reject", "unsure", "exclude"]
    key: str
    position: int | None = None
    mask: str | None = None
    start: int | None = None
    note: Annotated[str, Field(max_length=MAX_NOTE)] = ""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Undo(BaseModel):
    """Body of ``POST /api/undo``: the key of the undo, and of the decision that it takes back (default: the last)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reader: str | None = None
    undo_key: str
    key: str | None = None


def application(store: ReviewStore, show_patients: bool, hosts: Sequence[str]) -> FastAPI:
    """The application of :func:`patchcxr.review.server.create_app`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store, app.state.show_patients, app.state.films = store, show_patients, FilmCache()
    app.state.sources = lru_cache(maxsize=64)(lambda number: tuple(store.candidates(number)["source"].unique()))
    app.state.problems = lru_cache(maxsize=64)(lambda number: _problems(store, number))
    app.include_router(router)
    app.mount("/page", StaticFiles(directory=PAGE))
    app.add_exception_handler(PatchCXRError, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_middleware(Guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return app


def _refused(request: Request, error: Exception) -> JSONResponse:
    # A disk that is full or locked passes; the page keeps what was decided and sends it again.
    return failure(503 if isinstance(error.__cause__, sqlite3.Error) else 400, without_folders(str(error)))


def _not_understood(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return failure(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    return failure(error.status_code, str(error.detail))


def _problems(store: ReviewStore, number: int) -> dict[str, str]:
    films = store.films(number)
    films = films[films["problem"].notna()]
    sources = store.candidates(number)["source"].unique()
    rows = zip(films["film"], films["problem"], films["image"], strict=True)
    return {film: problem_view(problem, image, sources) for film, problem, image in rows}


def _store(request: Request) -> ReviewStore:
    store: ReviewStore = request.app.state.store
    return store


def cookie_name(store: ReviewStore) -> str:
    """Name of the cookie of a review; cookies do not tell ports apart, and a machine may serve several reviews."""
    return f"patchcxr_review_{hashlib.sha256(store.store_id.encode()).hexdigest()[:12]}"


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else request.cookies.get(cookie_name(_store(request)), "")


def signed_in(request: Request) -> str:
    """Name of the reader whose token the request carries; 401 without one."""
    token = _token(request)
    reader = _store(request).reader_of(token) if token else None
    if reader is None:
        raise HTTPException(401, "not signed in, or the token is not known; sign in with the token you were given")
    return reader


Reader = Annotated[str, Depends(signed_in)]
Store = Annotated[ReviewStore, Depends(_store)]


@router.get("/")
def page() -> FileResponse:
    """The page; it holds nothing of the review."""
    return FileResponse(PAGE / "index.html")


@router.get("/status")
def status_page(store: Store, reader: Reader) -> FileResponse:
    """The status page, for adjudicators."""
    _only_adjudicators(store, reader)
    return FileResponse(PAGE / "status.html")


@router.get("/api/status")
def status(store: Store, reader: Reader) -> dict[str, Any]:
    """Progress and agreement, for adjudicators."""
    from patchcxr.review.status import (
        review_status,
    )  # loads SciPy, which would double the time that the server starts in

    _only_adjudicators(store, reader)
    return review_status(store, reader)


def _only_adjudicators(store: ReviewStore, reader: str) -> None:
    if not store.is_adjudicator(reader):
        raise HTTPException(403, "the status page is for adjudicators; ask one of them")


@router.post("/login")
def login(body: Login, request: Request, response: Response) -> dict[str, str]:
    """Sign in by token: the answer sets a cookie that scripts cannot read."""
    store, token = _store(request), body.token.strip()
    reader = store.reader_of(token)
    if reader is None:
        raise HTTPException(401, "the token is not known; copy the whole of it, or ask for a new one")
    secure = request.url.scheme == "https"
    # Thirty days: a round of reading, without a session that lasts for ever.
    response.set_cookie(cookie_name(store), token, max_age=30 * 86400, httponly=True, samesite="strict", secure=secure)
    return {"reader": reader}


@router.post("/logout")
def logout(store: Store, response: Response) -> dict[str, bool]:
    """Take the cookie back."""
    response.delete_cookie(cookie_name(store), httponly=True, samesite="strict")
    return {"signed_out": True}


@router.get("/api/me")
def me(store: Store, reader: Reader) -> dict[str, Any]:
    """Who is signed in, what is outlined, and the rounds that this reader may do, the last one first."""
    return {
        "reader": reader,
        "adjudicator": store.is_adjudicator(reader),
        "target": store.target,
        "rounds": _rounds(store, reader),
    }


def _rounds(store: ReviewStore, reader: str) -> list[dict[str, Any]]:
    rounds = store.rounds()
    mine = rounds if store.is_adjudicator(reader) else rounds[rounds["kind"] != "adjudicate"]
    return mine[["round", "name", "kind"]].iloc[::-1].to_dict("records")


@router.get("/api/next")
def next_film(request: Request, store: Store, reader: Reader, round: int | None = None) -> dict[str, Any]:
    """The next film to decide on, or ``{"film": null}`` with the progress."""
    task = store.next_task(reader, round)
    if task is None:
        return {"film": None, "progress": progress_view(store.progress(reader, round))}
    return _view(request, reader, task)


@router.get("/api/queue")
def queue(request: Request, store: Store, reader: Reader, round: int | None = None) -> dict[str, Any]:
    """The reader's films in order: ``film``, ``state`` and, of a problem, the ``reason``."""
    states = store.queue(reader, round)
    if not any(state == "problem" for _, state in states):
        return {"queue": [{"film": film, "state": state} for film, state in states]}
    number = _rounds(store, reader)[0]["round"] if round is None else round
    problems = request.app.state.problems(number)
    return {
        "queue": [
            {"film": film, "state": state} | ({"reason": problems.get(film, "")} if state == "problem" else {})
            for film, state in states
        ]
    }


@router.get("/api/pixels/{film:path}")
def pixels(request: Request, film: str, store: Store, reader: Reader, round: int | None = None) -> Response:
    """Grey levels of a film as little-endian uint16, row by row; the headers say its size, bits and window."""
    found = _task(store, reader, film, round).film
    try:
        payload = request.app.state.films.get(found.image, (found.height, found.width))
    except ImageError as error:
        raise HTTPException(400, problem_view(str(error), found.image, ())) from None
    accepts = "gzip" in request.headers.get("accept-encoding", "")
    headers = payload.headers | {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if accepts else {})
    body = payload.gzipped if accepts else gzip.decompress(payload.gzipped)
    return Response(body, media_type="application/octet-stream", headers=headers)


@router.get("/api/film/{film:path}")
def film(request: Request, film: str, store: Store, reader: Reader, round: int | None = None) -> dict[str, Any]:
    """One film of the reader, done or not."""
    return _view(request, reader, _task(store, reader, film, round))


@router.get("/api/last")
def last(store: Store, reader: Reader, round: int) -> dict[str, str | None]:
    """``key`` of the reader's last decision of a round that stands, which an undo may take back; null if none."""
    with store.database.read() as connection:
        found = connection.execute(
            """SELECT d.key FROM standing AS s JOIN decisions AS d ON d.key = s.key
            WHERE s.reader = ? AND s.round = ? ORDER BY d.id DESC LIMIT 1""",
            (reader, round),
        ).fetchone()
    return {"key": found[0] if found else None}


@router.get("/api/mask/{film:path}/{position}")
def mask(film: str, position: int, store: Store, reader: Reader, round: int | None = None) -> Response:
    """PNG of the candidate at a place of the reader's own order; place 0 is the reader's own drawn mask."""
    task = _task(store, reader, film, round)
    if position == 0:
        digest = task.decision.digest if task.decision is not None and task.decision.action == "draw" else None
    else:
        digest = task.candidates[position - 1].digest if 0 < position <= len(task.candidates) else None
    if digest is None:
        raise HTTPException(404, f"film {film!r} has no mask at place {position}; it has {len(task.candidates)}")
    return Response(store.mask_png(digest), media_type="image/png")


@router.post("/api/decide")
def decide(body: Choice, store: Store, reader: Reader) -> dict[str, Any]:
    """Record a decision; the answer comes when it is on disk."""
    _same_reader(reader, body.reader)
    task = _task(store, reader, body.film, body.round)
    if task.film.problem is not None and body.action != "exclude":
        raise HTTPException(400, f"film {body.film!r} cannot be read; exclude it, nothing was stored")
    stored = store.decide(
        reader,
        body.film,
        body.round,
        body.action,
        body.key,
        candidate=_candidate(task, body.position),
        png=None if body.mask is None else _png(body.mask),
        start=_candidate(task, body.start),
        note=body.note,
        seconds=math.nan if body.seconds is None else body.seconds,
    )
    return _stored(store, reader, stored, task)


@router.post("/api/undo")
def undo(body: Undo, store: Store, reader: Reader) -> dict[str, Any]:
    """Take a decision back; the answer names its film."""
    _same_reader(reader, body.reader)
    stored = store.undo(reader, body.key, undo_key=body.undo_key)
    return _stored(store, reader, stored, _task(store, reader, stored.film, stored.round))


def _same_reader(reader: str, page: str | None) -> None:
    # Another reader may have signed in from the same browser; a page left open must not decide in that name.
    if page is not None and page != reader:
        raise HTTPException(401, f"this browser is signed in as {reader}, but the page is of {page}; sign in again")


def _stored(store: ReviewStore, reader: str, decision: Decision, task: Task) -> dict[str, Any]:
    progress = store.progress(reader, decision.round)
    return {"stored": decision_view(decision, task.candidates), "progress": progress_view(progress)}


def _task(store: ReviewStore, reader: str, film: str, number: int | None) -> Task:
    try:
        return store.task(reader, film, number)
    except ReviewError as error:
        if isinstance(error.__cause__, sqlite3.Error):
            raise
        raise HTTPException(404, str(error)) from None


def _view(request: Request, reader: str, task: Task) -> dict[str, Any]:
    state = request.app.state
    sources = state.sources(task.round) if task.film.problem is not None else ()
    return task_view(task, state.store.progress(reader, task.round), state.show_patients, sources)


def _candidate(task: Task, position: int | None) -> int | None:
    """Candidate at a place of the reader's order."""
    if position is None:
        return None
    if not 0 < position <= len(task.candidates):
        raise HTTPException(
            400,
            f"place {position} of film {task.film.film!r}; expected 1 to {len(task.candidates)}, nothing was stored",
        )
    return task.candidates[position - 1].candidate


def _png(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise HTTPException(400, "mask is not base64; send the bytes of a PNG file as base64") from None
