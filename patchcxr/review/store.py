"""The store of a review: films, candidate masks, readers, and every decision, in one SQLite file.

A decision is on disk before :meth:`ReviewStore.decide` returns, and no decision is ever changed: deciding again and
undoing are new rows. What a reader's decision on a film is follows from the rows, see :mod:`patchcxr.review.schema`.
The folder must lie on a local disk; SQLite's write-ahead log does not work over a network.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

import pandas as pd

from patchcxr.errors import ReviewError
from patchcxr.review import queue, readers, reads, rounds, tables, writes
from patchcxr.review.blobs import as_blob, decode_mask, mask_digest
from patchcxr.review.connection import Database, connect
from patchcxr.review.records import (
    ACTIONS,
    MAX_NOTE,
    TARGETS,
    Candidate,
    Decision,
    Film,
    Progress,
    ProposedFilm,
    Task,
)
from patchcxr.review.schema import initialise, migrate
from patchcxr.types import BoolArray

__all__ = ["ACTIONS", "MAX_NOTE", "Candidate", "Decision", "Film", "Progress", "ProposedFilm", "ReviewStore", "Task"]

FILE_NAME: Final = "review.sqlite"


class ReviewStore:
    """A review folder, open for many threads and processes at once.

    Parameters
    ----------
    folder
        That :meth:`create` made; an older version is migrated.

    Attributes
    ----------
    folder, path
        The folder, and its ``review.sqlite``.
    store_id
        The same in all copies of one review.
    target
        What is outlined: ``infection`` or ``lung``.
    seed
        From which the orders of candidates are drawn.

    Raises
    ------
    ReviewError
        If there is no review, it is damaged, or made by a newer patchcxr.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE_NAME
        if not self.path.is_file():
            raise ReviewError(f"{self.folder}: no review here ({FILE_NAME} is missing); make one with patchcxr review")
        self.database = Database(self.path)
        try:
            migrate(self.database.connection())
            meta = dict(self.database.connection().execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            self.close()
            raise ReviewError(f"{self.path}: cannot be opened as a review ({error}); restore a backup") from error
        except ReviewError:
            self.close()
            raise
        self.store_id, self.target, self.seed = meta["store_id"], meta["target"], int(meta["seed"])

    @classmethod
    def create(cls, folder: str | Path, target: str = "infection", seed: int = 0) -> ReviewStore:
        """Make an empty review; missing folders are made.

        Raises
        ------
        ReviewError
            If the target is unknown, the folder already holds a review, or it cannot be written.
        """
        if target not in TARGETS:
            raise ReviewError(f"target is {target!r}; expected one of {', '.join(TARGETS)}")
        path = Path(folder) / FILE_NAME
        meta = {"store_id": str(uuid.uuid4()), "created": writes.as_text(writes.utc_now())}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = connect(path, "rwc")
            try:
                made = initialise(connection, meta | {"target": target, "seed": str(seed)})
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise ReviewError(f"{path}: cannot be made ({error}); give a folder that can be written") from error
        if not made:
            raise ReviewError(f"{path.parent}: already holds a review; open it, or give another folder")
        path.chmod(0o600)  # patients and what readers said of them; the write-ahead log takes the same rights
        return cls(folder)

    def close(self) -> None:
        """Close the connections of all threads."""
        self.database.close()

    def __enter__(self) -> ReviewStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---- readers

    def add_reader(self, name: str, adjudicator: bool = False) -> str:
        """Add a reader, and give the token, of which only the SHA-256 is kept: it cannot be shown again.

        Raises
        ------
        ReviewError
            If the name is taken or is not 1 to 64 printable characters.
        """
        with self.database.write() as connection:
            return readers.put_reader(connection, name, adjudicator)

    def renew_token(self, name: str) -> str:
        """Give a reader a new token in place of a lost one, which no longer works; an error if there is no reader."""
        with self.database.write() as connection:
            return readers.put_token(connection, name)

    def reader_of(self, token: str) -> str | None:
        """Reader to whom a token belongs."""
        with self.database.read() as connection:
            return readers.reader_of(connection, token)

    def readers(self) -> list[str]:
        """Names of all readers, sorted."""
        with self.database.read() as connection:
            return readers.reader_names(connection)

    def is_adjudicator(self, reader: str) -> bool:
        """Whether a reader may decide where others differ; an error if there is no such reader."""
        with self.database.read() as connection:
            return readers.is_adjudicator(connection, reader)

    # ---- rounds, films, masks

    def add_mask(self, png: bytes, shape: tuple[int, int] | None = None) -> str:
        """Keep a mask, such as a film's lung mask, and give its digest (of the pixels, not of the file)."""
        blob = as_blob(png, shape)
        with self.database.write() as connection:
            return writes.put_mask(connection, blob)

    def add_round(self, name: str, kind: str, readers_per_film: int, films: Iterable[ProposedFilm]) -> int:
        """Add a round, whole or not at all, and give its number; see :mod:`patchcxr.review.rounds`.

        Parameters
        ----------
        name
            1 to 64 printable characters.
        kind
            ``choose`` among candidates, ``verify`` a network's mask, or ``adjudicate`` what readers differ on.
        readers_per_film
            Readers who must decide on a film.
        films
            At least one, each once.

        Raises
        ------
        ReviewError
            If a value cannot be used, a mask does not have its film's size, or a film has another size or patient than
            in an earlier round.
        """
        return rounds.put_round(self.database, name, kind, readers_per_film, films)

    def latest_round(self) -> int:
        """Number of the last round.

        Raises
        ------
        ReviewError
            If there is none.
        """
        with self.database.read() as connection:
            found = connection.execute("SELECT max(round) FROM rounds").fetchone()[0]
        if found is None:
            raise ReviewError(f"{self.folder}: the review has no round yet; add one with patchcxr review propose")
        return int(found)

    def rounds(self) -> pd.DataFrame:
        """``round``, ``name``, ``kind``, ``readers_per_film``, ``created``, and how many ``films`` and ``problems``."""
        with self.database.read() as connection:
            return tables.query(connection, tables.ROUNDS)

    def films(self, round: int | None = None) -> pd.DataFrame:
        """Columns of :class:`Film`; of a round also ``round``, ``disagreement`` and ``answers``, in queue order."""
        with self.database.read() as connection:
            if round is None:
                return tables.query(connection, tables.FILMS)
            reads.kind_of(connection, round)
            return tables.query(connection, tables.ROUND_FILMS, (round,))

    def candidates(self, round: int | None = None) -> pd.DataFrame:
        """``candidate``, ``round``, ``film``, ``source``, ``digest``, ``area`` (pixels); one row a film and source."""
        with self.database.read() as connection:
            return tables.query(connection, tables.CANDIDATES, (round, round))

    def mask_png(self, digest: str) -> bytes:
        """Mask as a 1-bit PNG.

        Raises
        ------
        ReviewError
            If the store has no such mask.
        """
        with self.database.read() as connection:
            found = connection.execute("SELECT png FROM masks WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            raise ReviewError(f"the store has no mask of digest {digest!r}; take one of candidates() or decisions()")
        return bytes(found[0])

    def mask(self, digest: str) -> BoolArray:
        """Mask as bool, shape (H, W) of its film.

        Raises
        ------
        ReviewError
            If the store has no such mask, or its pixels are not those that were stored.
        """
        mask = decode_mask(self.mask_png(digest), what=f"mask {digest}")
        if mask_digest(mask) != digest:
            raise ReviewError(f"{self.path}: mask {digest} is damaged; restore a backup")
        return mask

    # ---- what readers do

    def next_task(self, reader: str, round: int | None = None) -> Task | None:
        """Give the next film for a reader and lease it; None if there is none for now.

        Films that enough readers have done, or hold, are passed over; see :mod:`patchcxr.review.queue`.

        Parameters
        ----------
        reader
            Name.
        round
            By default the last one that the reader may do.

        Raises
        ------
        ReviewError
            If the reader or round is unknown, or an adjudication is not for this reader.
        """
        now = time.time()
        with self.database.read() as connection:
            number = reads.round_of(connection, reader, round)
            film = None if number is None else queue.next_film(connection, reader, number, now)
            if number is None or film is None:
                return None
            seen = queue.recorded_order(connection, reader, number, film) is not None
            if seen and queue.is_leased(connection, reader, number, film, now):
                return reads.task_of(connection, self.seed, reader, number, film)
        with self.database.write() as connection:
            film = queue.next_film(connection, reader, number, now)
            if film is None:
                return None
            queue.lease(connection, reader, number, film, now)
            queue.move_on(connection, reader, number)
            return reads.task_of(connection, self.seed, reader, number, film)

    def task(self, reader: str, film: str, round: int | None = None) -> Task:
        """Give one film to a reader, done or not.

        Raises
        ------
        ReviewError
            As of :meth:`next_task`, and if the film is not in the round.
        """
        with self.database.read() as connection:
            number = reads.round_of(connection, reader, round)
            if number is None:
                raise ReviewError(f"there is no round for reader {reader!r} yet; add one with patchcxr review propose")
            if queue.recorded_order(connection, reader, number, film) is not None:
                return reads.task_of(connection, self.seed, reader, number, film)
        with self.database.write() as connection:
            return reads.task_of(connection, self.seed, reader, number, film)

    def queue(self, reader: str, round: int | None = None) -> list[tuple[str, str]]:
        """Films in queue order with ``done``, ``open`` or ``problem``, without those that enough others have done."""
        with self.database.read() as connection:
            number = reads.round_of(connection, reader, round)
            return [] if number is None else queue.film_states(connection, reader, number)

    def progress(self, reader: str, round: int | None = None) -> Progress:
        """How far a reader is; the time a film is the median of the last 500 decisions that stand."""
        with self.database.read() as connection:
            number = reads.round_of(connection, reader, round)
            return queue.progress(connection, reader, number)

    def decide(
        self,
        reader: str,
        film: str,
        round: int,
        action: str,
        key: str,
        *,
        candidate: int | None = None,
        png: bytes | None = None,
        start: int | None = None,
        note: str = "",
        seconds: float = float("nan"),
    ) -> Decision:
        """Record a decision; it is on disk when this returns.

        A film on which others decided in the meantime is no error: every reader's work is kept.

        Parameters
        ----------
        reader, film, round
            Who decides on what.
        action
            One of :data:`ACTIONS`.
        key
            Made by the client, one a decision. The same key with the same content gives what is stored, so a decision
            can be sent again after a lost answer.
        candidate
            That is chosen (``choose`` only).
        png
            Mask that was drawn (``draw`` only), of the film's size.
        start
            Candidate from which the drawing began (``draw`` only), if any.
        note
            At most 2,000 characters.
        seconds
            That the reader took; NaN if not known.

        Raises
        ------
        ReviewError
            If the decision does not fit the film, the key belongs to another decision, or it cannot be written; then
            nothing was recorded.
        """
        writes.check_decision(action, key, note, seconds)
        with self.database.read() as connection:
            reads.round_of(connection, reader, round)
            place = reads.film_of(connection, round, film)
            digest = reads.content_digest(connection, place, round, action, candidate, png, start)
        blob = None if png is None else as_blob(png, (place.height, place.width), f"mask drawn on film {film!r}")
        digest = digest if blob is None else blob.digest
        new = Decision(key, reader, round, film, action, candidate, digest, start, note, float(seconds), "", None)
        with self.database.write() as connection:
            if blob is not None:
                writes.put_mask(connection, blob)
            return writes.append(connection, new)

    def undo(self, reader: str, key: str | None = None, *, undo_key: str) -> Decision:
        """Take back a decision by a new row; the decision before it, if any, stands again.

        Parameters
        ----------
        reader
            Whose decision it is.
        key
            Of the decision; by default the last one that the reader made and did not take back.
        undo_key
            Made by the client, one an undo; the same one again gives the stored undo.

        Raises
        ------
        ReviewError
            If there is nothing to undo, the decision is another reader's, an undo, or undone already.
        """
        writes.check_key(undo_key)
        with self.database.write() as connection:
            readers.is_adjudicator(connection, reader)
            return writes.put_undo(connection, reader, key, undo_key)

    def decisions(self, current: bool = True) -> pd.DataFrame:
        """Decisions by time: the columns of :class:`Decision` and ``source`` (of the chosen mask, several by ``|``).

        Parameters
        ----------
        current
            Only those that stand; otherwise the whole history, with the undos.
        """
        with self.database.read() as connection:
            return tables.query(connection, tables.STANDING_DECISIONS if current else tables.DECISIONS)
