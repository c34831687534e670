"""Which film a reader sees next, and the order of its candidates.

Films on which the networks differ most come first, then by film id; films with a problem come last. A film that is
handed out is leased for a while, so that two readers do not get one film where one reading is enough. A lease only
saves work: a decision on a film that another reader holds is taken all the same, and a clock that jumps can end a lease
early but never make one last.
"""

from __future__ import annotations

import json
import random
import sqlite3
import statistics
import time
from typing import Final

from patchcxr.review.records import Candidate, Progress

LEASE_SECONDS: Final = 15 * 60.0
RECENT: Final = 500
"""Decisions of which :func:`progress` takes the median time."""

_OF_READER: Final = "SELECT 1 FROM standing AS s WHERE s.reader = :reader AND s.round = :round AND s.film = f.film"
_NEEDED: Final = "(SELECT readers_per_film FROM rounds WHERE round = :round)"
_LIVE: Final = "l.until > :now AND l.until <= :now + :lease"
_FROM_PLACE: Final = f"""
    FROM round_films AS f WHERE f.round = :round AND f.answers < {_NEEDED} AND NOT EXISTS ({_OF_READER})
    AND f.place >= coalesce((SELECT place FROM passed WHERE reader = :reader AND round = :round), 0)"""
_HELD: Final = f"""
    SELECT f.film FROM leases AS l CROSS JOIN round_films AS f ON f.round = l.round AND f.film = l.film
    WHERE l.reader = :reader AND l.round = :round AND {_LIVE} AND f.answers < {_NEEDED} AND NOT EXISTS ({_OF_READER})"""
_NEXT: Final = f"""
    SELECT f.film {_FROM_PLACE} AND f.answers + (
        SELECT count(*) FROM leases AS l
        WHERE l.round = :round AND l.film = f.film AND l.reader != :reader AND {_LIVE}) < {_NEEDED}
    ORDER BY f.place LIMIT 1"""


def queue_order(disagreement: float, problem: str | None, film: str) -> tuple[bool, float, str]:
    """Sort key of the queue of a round."""
    return problem is not None, -disagreement, film


def next_film(connection: sqlite3.Connection, reader: str, round_: int, now: float) -> str | None:
    """First film of the queue that needs this reader and that enough others do not hold; its own lease goes first.

    Parameters
    ----------
    connection
        Of the store.
    reader, round_
        Who, and in which round.
    now
        Seconds since 1970.
    """
    values = {"reader": reader, "round": round_, "now": now, "lease": LEASE_SECONDS}
    found = connection.execute(_HELD, values).fetchone() or connection.execute(_NEXT, values).fetchone()
    return str(found[0]) if found else None


def move_on(connection: sqlite3.Connection, reader: str, round_: int) -> None:
    """Note from which place on films are left for a reader, so that those before are not looked at again.

    Leases do not count: they end without a trace. An undo moves back, see :func:`patchcxr.review.writes.append`.
    """
    values = {"reader": reader, "round": round_}
    found = connection.execute(f"SELECT f.place {_FROM_PLACE} ORDER BY f.place LIMIT 1", values).fetchone()
    if found:
        connection.execute("INSERT OR REPLACE INTO passed VALUES (?, ?, ?)", (reader, round_, found[0]))


def lease(connection: sqlite3.Connection, reader: str, round_: int, film: str, now: float | None = None) -> None:
    """Hand a film to a reader, whose other leases of the round end."""
    until = (time.time() if now is None else now) + LEASE_SECONDS
    connection.execute("DELETE FROM leases WHERE reader = ? AND round = ?", (reader, round_))
    connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (round_, film, reader, until))


def is_leased(connection: sqlite3.Connection, reader: str, round_: int, film: str, now: float) -> bool:
    """Whether the reader holds the film for at least half of a lease from now."""
    found = connection.execute(
        "SELECT until FROM leases WHERE round = ? AND film = ? AND reader = ?", (round_, film, reader)
    ).fetchone()
    return found is not None and LEASE_SECONDS / 2 < found[0] - now <= LEASE_SECONDS


def film_states(connection: sqlite3.Connection, reader: str, round_: int) -> list[tuple[str, str]]:
    """Films that the reader has done (``done``) or may do (``open``, ``problem``), in the order of the queue."""
    rows = connection.execute(
        f"""SELECT f.film, CASE WHEN EXISTS ({_OF_READER}) THEN 'done' WHEN f.problem IS NOT NULL THEN 'problem'
            WHEN f.answers < r.readers_per_film THEN 'open' END AS state, f.answers < r.readers_per_film
        FROM round_films AS f JOIN rounds AS r ON r.round = f.round WHERE f.round = :round ORDER BY f.place""",
        {"reader": reader, "round": round_},
    )
    return [(film, state) for film, state, needed in rows if state == "done" or needed]


def counts(connection: sqlite3.Connection, reader: str, round_: int) -> tuple[int, int]:
    """Films that the reader has done, and those that the reader may still do."""
    row = connection.execute(
        """SELECT (SELECT count(*) FROM standing WHERE reader = :reader AND round = :round),
        (SELECT count(*) FROM round_films AS f WHERE f.round = :round AND f.answers < r.readers_per_film)
        - (SELECT count(*) FROM standing AS s JOIN round_films AS f ON f.round = s.round AND f.film = s.film
           WHERE s.reader = :reader AND s.round = :round AND f.answers < r.readers_per_film)
        FROM rounds AS r WHERE r.round = :round""",
        {"reader": reader, "round": round_},
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def progress(connection: sqlite3.Connection, reader: str, round_: int | None) -> Progress:
    """How far a reader is in a round; see :meth:`ReviewStore.progress`."""
    if round_ is None:
        return Progress(0, 0, float("nan"), 0.0)
    done, left = counts(connection, reader, round_)
    recent = connection.execute(
        """SELECT seconds FROM decisions AS d WHERE reader = ? AND round = ? AND seconds IS NOT NULL
        AND EXISTS (SELECT 1 FROM standing AS s WHERE s.reader = d.reader AND s.round = d.round
                    AND s.film = d.film AND s.key = d.key)
        ORDER BY time DESC, id DESC LIMIT ?""",
        (reader, round_, RECENT),
    ).fetchall()
    each = statistics.median(row[0] for row in recent) if recent else float("nan")
    return Progress(done, left, each, each * left if left else 0.0)


def distinct(candidates: list[Candidate]) -> list[Candidate]:
    """Candidates of which no two have the same mask: the first of each."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.digest, candidate)
    return list(first.values())


def recorded_order(connection: sqlite3.Connection, reader: str, round_: int, film: str) -> list[int] | None:
    """Candidate ids in the order in which the reader saw them; None before the first showing."""
    found = connection.execute(
        "SELECT candidates FROM orders WHERE reader = ? AND round = ? AND film = ?", (reader, round_, film)
    ).fetchone()
    return json.loads(found[0]) if found else None


def record_order(
    connection: sqlite3.Connection, seed: int, reader: str, round_: int, film: str, candidates: list[Candidate]
) -> list[int]:
    """Draw the order of a film's candidates for a reader, and write it down unless there is one.

    The draw depends on the id of the store as well as on its seed: readers know the seed, the film and their name, and
    who knew all that it depends on could tell the origin of each mask.
    """
    order = [candidate.candidate for candidate in distinct(candidates)]
    secret = connection.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()[0]
    random.Random(f"{secret}\n{seed}\n{round_}\n{reader}\n{film}").shuffle(order)
    connection.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", (reader, round_, film, json.dumps(order)))
    return recorded_order(connection, reader, round_, film) or []
