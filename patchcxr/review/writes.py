"""Statements that change a review: rounds, decisions and undos. Each runs inside a transaction of the caller."""

from __future__ import annotations

import math
import re
import sqlite3
from datetime import UTC, datetime, timedelta

from patchcxr.errors import ReviewError
from patchcxr.review.blobs import MaskBlob
from patchcxr.review.records import ACTIONS, MAX_KEY, MAX_NOTE, Decision
from patchcxr.review.schema import STANDING

DECISION_COLUMNS = "key, reader, round, film, action, candidate, digest, start, note, seconds, time, undoes"


def utc_now() -> datetime:
    """The time that decisions get."""
    return datetime.now(UTC)


def as_text(when: datetime) -> str:
    """Time as text that sorts by time."""
    return when.isoformat(timespec="microseconds")


def put_mask(connection: sqlite3.Connection, blob: MaskBlob) -> str:
    """Keep a mask once, and give its digest."""
    connection.execute(
        "INSERT OR IGNORE INTO masks (digest, height, width, area, png) VALUES (?, ?, ?, ?, ?)",
        (blob.digest, blob.height, blob.width, blob.area, blob.png),
    )
    return blob.digest


def check_decision(action: str, key: str, note: str, seconds: float) -> None:
    """Refuse what no decision can have; parameters as of :meth:`ReviewStore.decide`."""
    if action not in ACTIONS:
        raise ReviewError(f"action is {action!r}; expected one of {', '.join(ACTIONS)}")
    check_key(key)
    if len(note) > MAX_NOTE:
        raise ReviewError(f"the note has {len(note)} characters; expected at most {MAX_NOTE}")
    if math.isinf(seconds) or seconds < 0:
        raise ReviewError(f"seconds is {seconds}; expected a number from 0, or NaN where it is not known")


def check_key(key: str) -> None:
    """Refuse a key that is not a short word."""
    if not isinstance(key, str) or not re.fullmatch(rf"[A-Za-z0-9_.:-]{{1,{MAX_KEY}}}", key):
        raise ReviewError(f"key is {key!r}; expected 1 to {MAX_KEY} letters, digits or _.:- , such as a UUID")


def stored_decision(connection: sqlite3.Connection, key: str) -> Decision | None:
    """Decision or undo of this key."""
    row = connection.execute(f"SELECT {DECISION_COLUMNS} FROM decisions WHERE key = ?", (key,)).fetchone()
    return None if row is None else as_decision(row)


def as_decision(row: tuple[object, ...]) -> Decision:
    """Row of :data:`DECISION_COLUMNS` as a record."""
    found = Decision(*row)  # type: ignore[arg-type]
    return found._replace(seconds=math.nan) if found.seconds is None else found


def same_content(a: Decision, b: Decision) -> bool:
    """Whether two decisions say the same, whenever they were made."""
    return a._replace(seconds=0.0, time="") == b._replace(seconds=0.0, time="")


def append(connection: sqlite3.Connection, new: Decision) -> Decision:
    """Write a decision, unless its key is there already; only then is it a repeat, and must say the same.

    Its time is later than that of what the reader last did, even if the clock was set back, so that the order of a
    reader's decisions is the order of their times.
    """
    stored = stored_decision(connection, new.key)
    if stored is not None:
        if not same_content(stored, new):
            which = f" ({stored.action} of film {stored.film!r})" if stored.reader == new.reader else ""
            raise ReviewError(
                f"nothing was recorded: key {new.key!r} belongs to another decision{which}; give each decision a key "
                "of its own"
            )
        return stored
    last = connection.execute("SELECT max(time) FROM decisions WHERE reader = ?", (new.reader,)).fetchone()[0]
    when = utc_now()
    if last is not None:
        when = max(when, datetime.fromisoformat(last) + timedelta(microseconds=1))
    new = new._replace(time=as_text(when))
    connection.execute(
        f"INSERT INTO decisions ({DECISION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        new._replace(seconds=None if math.isnan(new.seconds) else new.seconds),  # type: ignore[arg-type]
    )
    _restand(connection, new.reader, new.round, new.film)
    return new


def _restand(connection: sqlite3.Connection, reader: str, round_: int, film: str) -> None:
    """Derive anew which decision of a reader, round and film stands, and how many readers have one."""
    place = (reader, round_, film)
    connection.execute("DELETE FROM standing WHERE reader = ? AND round = ? AND film = ?", place)
    only = "AND reader = ? AND round = ? AND film = ?"
    stands = connection.execute("INSERT INTO standing (reader, round, film, key)" + STANDING.format(only=only), place)
    if not stands.rowcount:
        # The film is open again, for this reader and perhaps for others who had passed it.
        connection.execute(
            """UPDATE passed SET place = min(place, (SELECT place FROM round_films WHERE round = ? AND film = ?))
            WHERE round = ?""",
            (round_, film, round_),
        )
    connection.execute(
        """UPDATE round_films SET answers = (SELECT count(*) FROM standing WHERE round = ? AND film = ?)
        WHERE round = ? AND film = ?""",
        (round_, film, round_, film),
    )
    connection.execute("DELETE FROM leases WHERE reader = ? AND round = ? AND film = ?", place)


def put_undo(connection: sqlite3.Connection, reader: str, key: str | None, undo_key: str) -> Decision:
    """Write an undo; see :meth:`ReviewStore.undo`."""
    stored = stored_decision(connection, undo_key)
    if stored is not None:
        if (stored.action, stored.reader) == ("undo", reader) and key in (None, stored.undoes):
            return stored
        raise ReviewError(
            f"nothing was undone: key {undo_key!r} belongs to another decision; give the undo its own key"
        )
    if key is None:
        last = connection.execute(
            """SELECT key FROM decisions AS d WHERE reader = ? AND action != 'undo' AND NOT EXISTS (
            SELECT 1 FROM decisions AS u WHERE u.undoes = d.key) ORDER BY time DESC, id DESC LIMIT 1""",
            (reader,),
        ).fetchone()
        if last is None:
            raise ReviewError(f"reader {reader!r} has no decision that could be undone; decide on a film first")
        key = str(last[0])
    undone = stored_decision(connection, key)
    if undone is None or undone.reader != reader:
        raise ReviewError(f"reader {reader!r} has no decision with key {key!r}; give the key of one of their decisions")
    if undone.action == "undo":
        raise ReviewError(f"key {key!r} is an undo, which cannot be undone; decide on film {undone.film!r} again")
    if connection.execute("SELECT 1 FROM decisions WHERE undoes = ?", (key,)).fetchone():
        raise ReviewError(f"the decision with key {key!r} is undone already; decide on film {undone.film!r} again")
    undo = Decision(
        undo_key, reader, undone.round, undone.film, "undo", None, None, None, "", math.nan, "", undoes=key
    )  # fmt: skip
    return append(connection, undo)
