"""Tables of a review, and how a store of an older version becomes one of today.

``decisions`` is append-only and the only record of what readers did. Derived from it (see :data:`REBUILD`) and kept
beside it, so that the next film is found without reading the history, are ``standing``, ``round_films.answers``
(readers whose decision stands) and ``passed`` (place in the queue before which nothing is left for a reader).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from patchcxr.errors import ReviewError

VERSION_1: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE masks (
        digest TEXT PRIMARY KEY, height INTEGER NOT NULL, width INTEGER NOT NULL, area INTEGER NOT NULL,
        png BLOB NOT NULL)""",
    """CREATE TABLE films (
        film TEXT PRIMARY KEY, image TEXT NOT NULL, patient TEXT NOT NULL, height INTEGER NOT NULL,
        width INTEGER NOT NULL, lung_mask TEXT REFERENCES masks, problem TEXT)""",
    """CREATE TABLE rounds (
        round INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, readers_per_film INTEGER NOT NULL,
        created TEXT NOT NULL)""",
    """CREATE TABLE round_films (
        round INTEGER NOT NULL REFERENCES rounds, film TEXT NOT NULL REFERENCES films, disagreement REAL NOT NULL,
        problem TEXT, place INTEGER NOT NULL, answers INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (round, film),
        UNIQUE (round, place))""",
    """CREATE TABLE candidates (
        candidate INTEGER PRIMARY KEY, round INTEGER NOT NULL, film TEXT NOT NULL, source TEXT NOT NULL,
        digest TEXT NOT NULL REFERENCES masks, UNIQUE (round, film, source),
        FOREIGN KEY (round, film) REFERENCES round_films)""",
    """CREATE TABLE readers (
        reader TEXT PRIMARY KEY, token_digest TEXT NOT NULL UNIQUE, adjudicator INTEGER NOT NULL,
        added TEXT NOT NULL)""",
    """CREATE TABLE orders (
        reader TEXT NOT NULL REFERENCES readers, round INTEGER NOT NULL, film TEXT NOT NULL, candidates TEXT NOT NULL,
        PRIMARY KEY (reader, round, film), FOREIGN KEY (round, film) REFERENCES round_films)""",
    """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, reader TEXT NOT NULL REFERENCES readers,
        round INTEGER NOT NULL, film TEXT NOT NULL, action TEXT NOT NULL, candidate INTEGER REFERENCES candidates,
        digest TEXT REFERENCES masks, start INTEGER REFERENCES candidates, note TEXT NOT NULL, seconds REAL,
        time TEXT NOT NULL, undoes TEXT REFERENCES decisions (key) DEFERRABLE INITIALLY DEFERRED,
        FOREIGN KEY (round, film) REFERENCES round_films)""",
    "CREATE INDEX decisions_of_a_film ON decisions (round, film, reader)",
    "CREATE INDEX decisions_of_a_reader ON decisions (reader, time)",
    "CREATE INDEX decisions_undone ON decisions (undoes) WHERE undoes IS NOT NULL",
    """CREATE TABLE standing (
        reader TEXT NOT NULL, round INTEGER NOT NULL, film TEXT NOT NULL, key TEXT NOT NULL REFERENCES decisions (key),
        PRIMARY KEY (reader, round, film)) WITHOUT ROWID""",
    "CREATE INDEX standing_of_a_film ON standing (round, film)",
    """CREATE TABLE leases (
        round INTEGER NOT NULL, film TEXT NOT NULL, reader TEXT NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (round, film, reader)) WITHOUT ROWID""",
    """CREATE TABLE passed (
        reader TEXT NOT NULL, round INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (reader, round)
        ) WITHOUT ROWID""",
    "CREATE INDEX leases_of_a_reader ON leases (reader, round)",
)

STEPS: Final[tuple[Sequence[str], ...]] = (VERSION_1,)
"""Statements that lead from version i to version i + 1; version 0 is an empty file."""

SCHEMA_VERSION: Final = len(STEPS)

STANDING: Final = """
    SELECT reader, round, film, key FROM (
        SELECT reader, round, film, key,
               row_number() OVER (PARTITION BY reader, round, film ORDER BY time DESC, key DESC) AS place
        FROM decisions AS made
        WHERE action != 'undo' AND NOT EXISTS (SELECT 1 FROM decisions AS undo WHERE undo.undoes = made.key) {only})
    WHERE place = 1"""
"""Decision of each reader, round and film that stands: the last one that is no undo and is not undone."""

REBUILD: Final = (
    "DELETE FROM passed",
    "DELETE FROM standing",
    "INSERT INTO standing (reader, round, film, key)" + STANDING.format(only=""),
    """UPDATE round_films SET answers = (
        SELECT count(*) FROM standing WHERE standing.round = round_films.round AND standing.film = round_films.film)""",
)
"""Statements that derive the rest from the decisions."""


def version_of(connection: sqlite3.Connection) -> int:
    """Version of the tables in a file; 0 if it holds no review."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return 0
    found = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if found and not str(found[0]).isdigit():
        raise ReviewError(f"the review has schema version {found[0]!r}; expected a number; restore a backup")
    return int(found[0]) if found else 0


def initialise(connection: sqlite3.Connection, meta: Mapping[str, str]) -> bool:
    """Make the tables in an empty file, whole or not at all; False if it already holds a review."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        made = version_of(connection) == 0
        if made:
            _step(connection, 0, STEPS)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return made


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> int:
    """Bring the tables to the version that this package writes, in one transaction.

    Parameters
    ----------
    connection
        Of a review, in autocommit mode.
    steps
        As :data:`STEPS`.

    Returns
    -------
    int
        The version before.

    Raises
    ------
    ReviewError
        If the file holds no review, or one of a newer version.
    """
    before = version_of(connection)
    if before == 0:
        raise ReviewError("the file holds no review; make one with ReviewStore.create")
    if before > len(steps):
        raise ReviewError(
            f"the review has schema version {before}, but this patchcxr knows versions up to {len(steps)}; "
            "update patchcxr to open it"
        )
    if before < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _step(connection, version_of(connection), steps)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return before


def _step(connection: sqlite3.Connection, start: int, steps: Sequence[Sequence[str]]) -> None:
    for step in steps[start:]:
        for statement in step:
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (str(len(steps)),))
