"""Tables of what a review holds, without the masks themselves."""

from __future__ import annotations

import sqlite3

import pandas as pd

from patchcxr.review.records import SEPARATOR
from patchcxr.review.writes import DECISION_COLUMNS

ROUNDS = """
    SELECT round, name, kind, readers_per_film, created,
        (SELECT count(*) FROM round_films AS f WHERE f.round = r.round) AS films,
        (SELECT count(*) FROM round_films AS f WHERE f.round = r.round AND f.problem IS NOT NULL) AS problems
    FROM rounds AS r ORDER BY round"""

FILMS = "SELECT film, image, patient, height, width, lung_mask, problem FROM films ORDER BY film"

ROUND_FILMS = """
    SELECT f.film, f.image, f.patient, f.height, f.width, f.lung_mask, r.problem, r.round, r.disagreement, r.answers
    FROM round_films AS r JOIN films AS f ON f.film = r.film WHERE r.round = ?
    ORDER BY r.place"""

CANDIDATES = """
    SELECT c.candidate, c.round, c.film, c.source, c.digest, m.area FROM candidates AS c
    JOIN masks AS m ON m.digest = c.digest WHERE ? IS NULL OR c.round = ? ORDER BY c.round, c.film, c.candidate"""

_SOURCE = f"""CASE WHEN d.action = 'choose' THEN (SELECT group_concat(source, '{SEPARATOR}') FROM (
        SELECT source FROM candidates AS c WHERE c.round = d.round AND c.film = d.film AND c.digest = d.digest
        ORDER BY source)) END AS source"""
_COLUMNS = ", ".join(f"d.{name.strip()}" for name in DECISION_COLUMNS.split(","))

DECISIONS = f"SELECT {_COLUMNS}, {_SOURCE} FROM decisions AS d ORDER BY d.time, d.key"
STANDING_DECISIONS = (
    f"SELECT {_COLUMNS}, {_SOURCE} FROM standing AS s JOIN decisions AS d ON d.key = s.key ORDER BY d.time, d.key"
)

_WHOLE = ("round", "readers_per_film", "films", "problems", "height", "width", "answers", "area")
_MAYBE_WHOLE = ("candidate", "start")
_NUMBERS = ("seconds", "disagreement")


def query(connection: sqlite3.Connection, sql: str, values: tuple[object, ...] = ()) -> pd.DataFrame:
    """Result of a query with the same column types whether or not it has rows."""
    cursor = connection.execute(sql, values)
    table = pd.DataFrame.from_records(cursor.fetchall(), columns=[column[0] for column in cursor.description])
    kinds = dict.fromkeys(_WHOLE, "int64") | dict.fromkeys(_MAYBE_WHOLE, "Int64") | dict.fromkeys(_NUMBERS, "float64")
    table = table.astype({name: kinds.get(name, "object") for name in table.columns})
    text = [name for name in table.columns if name not in kinds]
    return table.assign(**{name: table[name].where(table[name].notna(), None) for name in text})
