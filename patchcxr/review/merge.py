"""Copies of a review: a backup taken while readers work, and the union of two copies that went apart."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from patchcxr.errors import ReviewError
from patchcxr.review.schema import REBUILD
from patchcxr.review.store import FILE_NAME, ReviewStore
from patchcxr.review.writes import DECISION_COLUMNS

_SHARED: Final = {
    "rounds": "round, name, kind, readers_per_film, created",
    "round_films": "round, film, disagreement, problem, place",
    "candidates": "candidate, round, film, source, digest",
}
_COPIED: Final = {
    "masks": "digest, height, width, area, png",
    "readers": "reader, token_digest, adjudicator, added",
    "films": "film, image, patient, height, width, lung_mask, problem",
    **_SHARED,
    "orders": "reader, round, film, candidates",
    "decisions": DECISION_COLUMNS,
}


_NEWER_FILMS: Final = """
    INSERT INTO main.films SELECT * FROM other.films
    WHERE film IN (SELECT film FROM other.round_films WHERE round NOT IN (SELECT round FROM main.rounds))
    AND film IN (SELECT film FROM main.films)
    ON CONFLICT (film) DO UPDATE SET image = excluded.image, height = max(height, excluded.height),
    width = max(width, excluded.width), lung_mask = coalesce(excluded.lung_mask, lung_mask),
    problem = excluded.problem"""
"""Films that a round of the other copy alone shows in a newer state, such as one that could not be read before."""


class Merged(NamedTuple):
    """Rows that a merge added; all 0 if the store had everything."""

    decisions: int
    masks: int
    readers: int
    films: int
    rounds: int


def backup(store: ReviewStore, path: str | Path) -> Path:
    """Copy a review while it is in use, by SQLite's online backup.

    Parameters
    ----------
    store
        The review; decisions may be made meanwhile.
    path
        File that ends in ``.sqlite``, or a folder, which then is a review folder of its own.

    Returns
    -------
    pathlib.Path
        The file: whole, checked, on disk, and readable by its owner only.

    Raises
    ------
    ReviewError
        If there is such a file already, or the copy cannot be written or is damaged.
    """
    path = Path(path)
    target = path if path.suffix == ".sqlite" else path / FILE_NAME
    if target.exists():
        raise ReviewError(f"{target}: exists already, and a backup replaces nothing; give another name")
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        copy = sqlite3.connect(temporary)
        try:
            # In one step, which readers do not hold up; in several it would start anew at each of their decisions.
            store.database.connection().backup(copy)
            # One file, without a log beside it, can be moved; opened as a review it gets its log again.
            copy.execute("PRAGMA journal_mode = DELETE")
            found = copy.execute("PRAGMA quick_check").fetchone()[0]
        finally:
            copy.close()
        if found != "ok":
            raise ReviewError(f"{store.path}: the copy is damaged ({found}); check the disk, and keep earlier backups")
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise ReviewError(
            f"{target}: the backup cannot be written ({error}); free space or give another folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return target


def merge(store: ReviewStore, other: ReviewStore | str | Path) -> Merged:
    """Add to a review what another copy of it has: decisions by key, masks by pixels, readers, orders and rounds.

    Of a reader's decisions on a film, made in both copies, the one with the later time stands (by key at equal times).
    Where both copies have a reader of one name, the reader's token and rights of ``store`` stay. Merging again adds
    nothing. ``other`` is not changed, save that an older version is migrated.

    Parameters
    ----------
    store
        Gets the rows, all in one transaction.
    other
        Copy of the same review: a store or its folder.

    Raises
    ------
    ReviewError
        If ``other`` is another review, if a round or film differs in the two, or a key has another decision; then
        nothing was changed.
    """
    theirs = other if isinstance(other, ReviewStore) else ReviewStore(other)
    try:
        if theirs.store_id != store.store_id:
            raise ReviewError(
                f"{theirs.folder} is another review than {store.folder} (store_id {theirs.store_id}, not "
                f"{store.store_id}); only copies of one review can be merged"
            )
        if theirs.path.samefile(store.path):
            raise ReviewError(f"{theirs.folder} is {store.folder} itself; give another copy of the review")
        connection = store.database.connection()
        connection.execute("ATTACH DATABASE ? AS other", (f"{theirs.path.absolute().as_uri()}?mode=rw",))
        try:
            with store.database.write():
                _refuse_conflicts(connection, store.folder, theirs.folder)
                added = _copy(connection)
        finally:
            connection.execute("DETACH DATABASE other")
    except sqlite3.Error as error:
        raise ReviewError(f"{theirs.path}: cannot be merged ({error}); nothing was changed") from error
    finally:
        if theirs is not other:
            theirs.close()
    return Merged(*(added[name] for name in Merged._fields))


def _refuse_conflicts(connection: sqlite3.Connection, ours: Path, theirs: Path) -> None:
    both = "round IN (SELECT round FROM main.rounds) AND round IN (SELECT round FROM other.rounds)"
    for table, columns in _SHARED.items():
        sides = [f"SELECT {columns} FROM {side}.{table} WHERE {both}" for side in ("main", "other")]
        for first, second in (sides, sides[::-1]):
            row = connection.execute(f"{first} EXCEPT {second} LIMIT 1").fetchone()
            if row:
                names = [name.strip() for name in columns.split(",")]
                number = row[names.index("round")]
                raise ReviewError(
                    f"round {number} of {theirs} is not round {number} of {ours} (they differ in {table}); rounds must "
                    "be added in one copy only, before it is copied"
                )
    film = connection.execute(
        """SELECT a.film FROM main.films AS a JOIN other.films AS b ON a.film = b.film
        WHERE a.patient != b.patient
        OR (a.height > 0 AND b.height > 0 AND (a.height, a.width) != (b.height, b.width))"""
    ).fetchone()
    if film:
        raise ReviewError(
            f"film {film[0]!r} has another size or patient in {theirs} than in {ours}; correct one of them"
        )
    differ = " OR ".join(f"a.{name} IS NOT b.{name}" for name in DECISION_COLUMNS.split(", "))
    key = connection.execute(
        f"SELECT a.key FROM main.decisions AS a JOIN other.decisions AS b ON a.key = b.key WHERE {differ}"
    ).fetchone()
    if key:
        raise ReviewError(f"decision {key[0]!r} of {theirs} is not that of {ours}; one of them is damaged, restore it")


def _copy(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows added by table; parents come before what refers to them, decisions in the order of their times."""
    added = {}
    for table, columns in _COPIED.items():
        if table == "films":
            connection.execute(_NEWER_FILMS)
        name = columns.split(",")[0]
        order = " ORDER BY time, key" if table == "decisions" else ""
        source = f"SELECT {columns} FROM other.{table}"
        if name == "round" or table == "orders":
            added[table] = connection.execute(f"INSERT OR IGNORE INTO main.{table} ({columns}) {source}").rowcount
        else:
            new = f"{source} WHERE {name} NOT IN (SELECT {name} FROM main.{table}){order}"
            added[table] = connection.execute(f"INSERT INTO main.{table} ({columns}) {new}").rowcount
    for statement in REBUILD:
        connection.execute(statement)
    return added


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
