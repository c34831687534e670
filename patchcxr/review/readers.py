"""The readers of a review and their tokens."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from typing import Final

from patchcxr.errors import ReviewError
from patchcxr.review.records import checked_name
from patchcxr.review.writes import as_text, utc_now

TOKEN_BYTES: Final = 24


def put_reader(connection: sqlite3.Connection, name: str, adjudicator: bool) -> str:
    """Add a reader and give the token; see :meth:`ReviewStore.add_reader`."""
    checked_name(name, "name of the reader")
    if connection.execute("SELECT 1 FROM readers WHERE reader = ?", (name,)).fetchone():
        raise ReviewError(f"reader {name!r} is in the review already; give another name, or renew the token")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    connection.execute(
        "INSERT INTO readers VALUES (?, ?, ?, ?)", (name, _digest(token), int(adjudicator), as_text(utc_now()))
    )
    return token


def put_token(connection: sqlite3.Connection, name: str) -> str:
    """Give a reader a new token, which replaces the old one."""
    is_adjudicator(connection, name)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    connection.execute("UPDATE readers SET token_digest = ? WHERE reader = ?", (_digest(token), name))
    return token


def reader_of(connection: sqlite3.Connection, token: str) -> str | None:
    """Reader to whom a token belongs."""
    found = connection.execute("SELECT reader FROM readers WHERE token_digest = ?", (_digest(token),)).fetchone()
    return str(found[0]) if found else None


def reader_names(connection: sqlite3.Connection) -> list[str]:
    """Names of all readers, sorted."""
    return [str(row[0]) for row in connection.execute("SELECT reader FROM readers ORDER BY reader")]


def is_adjudicator(connection: sqlite3.Connection, reader: str) -> bool:
    """Whether a reader may adjudicate; an error if there is no such reader."""
    found = connection.execute("SELECT adjudicator FROM readers WHERE reader = ?", (reader,)).fetchone()
    if found is None:
        known = ", ".join(reader_names(connection)) or "(none)"
        raise ReviewError(f"reader {reader!r} is not in the review; expected one of {known}, or add the reader")
    return bool(found[0])


def _digest(token: str) -> str:
    """SHA-256 of a token; a token is random, so it needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
