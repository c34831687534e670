"""New rounds: films and candidate masks enter a review.

Masks are written as they come, in short transactions, and the round itself in one at the end. So a round appears whole
or not at all, and readers of an earlier round never wait while films are read. Masks of a round that failed stay; they
are named by their pixels and harm nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from patchcxr.errors import ReviewError
from patchcxr.review.blobs import MaskBlob, as_blob
from patchcxr.review.connection import Database
from patchcxr.review.queue import queue_order
from patchcxr.review.records import KINDS, Film, ProposedFilm, checked_name
from patchcxr.review.writes import as_text, put_mask, utc_now

MASKS_AT_A_TIME: Final = 256


class _Row(NamedTuple):
    film: Film
    disagreement: float
    problem: str | None
    digests: dict[str, str]


def put_round(database: Database, name: str, kind: str, readers_per_film: int, films: Iterable[ProposedFilm]) -> int:
    """Write a round with its films and candidates; see :meth:`ReviewStore.add_round`."""
    if kind not in KINDS:
        raise ReviewError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if readers_per_film < 1:
        raise ReviewError(f"readers_per_film is {readers_per_film}; expected at least 1")
    checked_name(name, "name of the round")
    rows = _with_masks_kept(database, films)
    if not rows:
        raise ReviewError("the round has no film; give at least one")
    with database.write() as connection:
        number = int(connection.execute("SELECT coalesce(max(round), 0) + 1 FROM rounds").fetchone()[0])
        connection.execute(
            "INSERT INTO rounds VALUES (?, ?, ?, ?, ?)", (number, name, kind, readers_per_film, as_text(utc_now()))
        )
        rows.sort(key=lambda row: queue_order(row.disagreement, row.problem, row.film.film))
        for place, row in enumerate(rows):
            _put_film(connection, number, place, row)
    return number


def _with_masks_kept(database: Database, films: Iterable[ProposedFilm]) -> list[_Row]:
    rows: dict[str, _Row] = {}
    waiting: list[MaskBlob] = []
    for proposed in films:
        row, blobs = _checked(proposed)
        if row.film.film in rows:
            raise ReviewError(f"film {row.film.film!r} occurs twice in the round; give each film its own id")
        rows[row.film.film] = row
        waiting += blobs
        if len(waiting) >= MASKS_AT_A_TIME:
            _keep(database, waiting)
            waiting = []
    _keep(database, waiting)
    return list(rows.values())


def _keep(database: Database, blobs: list[MaskBlob]) -> None:
    with database.write() as connection:
        for blob in blobs:
            put_mask(connection, blob)


def _checked(proposed: ProposedFilm) -> tuple[_Row, list[MaskBlob]]:
    film, problem = proposed.film, proposed.problem or proposed.film.problem
    if not film.film or not film.film.isprintable():
        raise ReviewError(f"film id is {film.film!r}; expected printable characters, at least one")
    if not 0 <= proposed.disagreement <= 1:
        raise ReviewError(f"film {film.film!r}: disagreement is {proposed.disagreement}; expected a number in [0, 1]")
    if problem is not None:
        return _Row(film, proposed.disagreement, problem, {}), []
    if film.height < 1 or film.width < 1:
        raise ReviewError(f"film {film.film!r} has {film.height} x {film.width} pixels; give its size or its problem")
    blobs = {}
    for source, png in sorted(proposed.candidates.items()):
        checked_name(source.removeprefix("reader:"), f"film {film.film!r}: source")
        blobs[source] = as_blob(png, (film.height, film.width), f"film {film.film!r}, mask of {source}")
    digests = {source: blob.digest for source, blob in blobs.items()}
    return _Row(film, proposed.disagreement, None, digests), list(blobs.values())


def _put_film(connection: sqlite3.Connection, number: int, place: int, row: _Row) -> None:
    film = row.film
    _check_known(connection, film)
    connection.execute(
        """INSERT INTO films VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (film) DO UPDATE SET image = excluded.image,
        height = max(height, excluded.height), width = max(width, excluded.width),
        lung_mask = coalesce(excluded.lung_mask, lung_mask), problem = excluded.problem""",
        film,
    )
    connection.execute(
        "INSERT INTO round_films (round, film, disagreement, problem, place) VALUES (?, ?, ?, ?, ?)",
        (number, film.film, row.disagreement, row.problem, place),
    )
    connection.executemany(
        "INSERT INTO candidates (round, film, source, digest) VALUES (?, ?, ?, ?)",
        [(number, film.film, source, digest) for source, digest in row.digests.items()],
    )


def _check_known(connection: sqlite3.Connection, film: Film) -> None:
    """Refuse a film that an earlier round has with another size or patient, or a lung mask that does not fit it."""
    if film.lung_mask is not None:
        mask = connection.execute("SELECT height, width FROM masks WHERE digest = ?", (film.lung_mask,)).fetchone()
        if mask is None:
            raise ReviewError(
                f"film {film.film!r}: the store has no lung mask of digest {film.lung_mask}; put it there with add_mask"
            )
        if film.height and tuple(mask) != (film.height, film.width):
            raise ReviewError(
                f"film {film.film!r} has {film.height} x {film.width} pixels but its lung mask {mask[0]} x {mask[1]}; "
                "resize the mask with preprocessing.geometry.resize_mask"
            )
    known = connection.execute("SELECT height, width, patient FROM films WHERE film = ?", (film.film,)).fetchone()
    if known is None:
        return
    if known[0] and film.height and (film.height, film.width) != tuple(known[:2]):
        raise ReviewError(
            f"film {film.film!r} has {film.height} x {film.width} pixels, but {known[0]} x {known[1]} in an earlier "
            "round; give the same film or another id"
        )
    if film.patient != known[2]:
        raise ReviewError(
            f"film {film.film!r} is of patient {film.patient!r}, but of {known[2]!r} in an earlier round; "
            "correct the cohort or give the film another id"
        )
