"""Look-ups in a review that several of its operations share."""

from __future__ import annotations

import sqlite3

from patchcxr.errors import ReviewError
from patchcxr.review import queue
from patchcxr.review.readers import is_adjudicator
from patchcxr.review.records import Candidate, Decision, Film, Task
from patchcxr.review.writes import DECISION_COLUMNS, as_decision


def kind_of(connection: sqlite3.Connection, round_: int) -> str:
    """Kind of a round; an error if there is no such round."""
    found = connection.execute("SELECT kind FROM rounds WHERE round = ?", (round_,)).fetchone()
    if found is None:
        known = [str(row[0]) for row in connection.execute("SELECT round FROM rounds ORDER BY round")]
        raise ReviewError(f"round is {round_!r}; expected one of {', '.join(known) or '(none yet)'}")
    return str(found[0])


def round_of(connection: sqlite3.Connection, reader: str, round_: int | None) -> int | None:
    """Round that a reader works on: the one given, or the last one open to the reader; None if there is none."""
    adjudicator = is_adjudicator(connection, reader)
    if round_ is None:
        found = connection.execute("SELECT max(round) FROM rounds WHERE ? OR kind != 'adjudicate'", (adjudicator,))
        number = found.fetchone()[0]
        return None if number is None else int(number)
    if kind_of(connection, round_) == "adjudicate" and not adjudicator:
        raise ReviewError(f"round {round_} is an adjudication and reader {reader!r} is no adjudicator; ask one of them")
    return round_


def film_of(connection: sqlite3.Connection, round_: int, film: str) -> Film:
    """Film of a round, with the problem that it has there."""
    row = connection.execute(
        """SELECT f.film, f.image, f.patient, f.height, f.width, f.lung_mask, r.problem FROM round_films AS r
        JOIN films AS f ON f.film = r.film WHERE r.round = ? AND r.film = ?""",
        (round_, film),
    ).fetchone()
    if row is None:
        raise ReviewError(f"film {film!r} is not in round {round_}; take one of the reader's queue")
    return Film(*row)


def candidates_of(connection: sqlite3.Connection, round_: int, film: str) -> list[Candidate]:
    """All candidates of a film in a round, in the order in which they were proposed."""
    rows = connection.execute(
        """SELECT c.candidate, c.source, c.digest, m.area FROM candidates AS c JOIN masks AS m ON m.digest = c.digest
        WHERE c.round = ? AND c.film = ? ORDER BY c.candidate""",
        (round_, film),
    )
    return [Candidate(*row) for row in rows]


def standing_decision(connection: sqlite3.Connection, reader: str, round_: int, film: str) -> Decision | None:
    """Decision of a reader on a film that stands."""
    row = connection.execute(
        f"""SELECT {DECISION_COLUMNS} FROM decisions WHERE key = (
        SELECT key FROM standing WHERE reader = ? AND round = ? AND film = ?)""",
        (reader, round_, film),
    ).fetchone()
    return None if row is None else as_decision(row)


def task_of(connection: sqlite3.Connection, seed: int, reader: str, round_: int, film: str) -> Task:
    """Film as a reader sees it; the order of its candidates is written down if it is the first time."""
    place = film_of(connection, round_, film)
    by_id = {candidate.candidate: candidate for candidate in candidates_of(connection, round_, film)}
    order = queue.recorded_order(connection, reader, round_, film)
    if order is None:
        order = queue.record_order(connection, seed, reader, round_, film, list(by_id.values()))
    shown = tuple(by_id[number] for number in order)
    kind = kind_of(connection, round_)
    return Task(round_, kind, place, shown, standing_decision(connection, reader, round_, film))


def content_digest(
    connection: sqlite3.Connection,
    film: Film,
    round_: int,
    action: str,
    candidate: int | None,
    png: bytes | None,
    start: int | None,
) -> str | None:
    """Digest of the mask that is chosen, if one is; refuse what does not fit the action or the film."""
    if film.problem is not None and action != "exclude":
        raise ReviewError(
            f"film {film.film!r} cannot be read ({film.problem}); exclude it, or mend and propose it again"
        )
    wanted = {"choose": {"candidate"}, "draw": {"png", "start"}}.get(action, set())
    given = {"candidate": candidate, "png": png, "start": start}
    for name, value in given.items():
        if value is not None and name not in wanted:
            raise ReviewError(f"{name} was given with the action {action!r}; leave it out")
    needed = {"choose": "candidate", "draw": "png"}.get(action)
    if needed and given[needed] is None:
        raise ReviewError(f"the action {action!r} needs {needed}; got none")
    digests = {one.candidate: one.digest for one in candidates_of(connection, round_, film.film)}
    for name, number in (("candidate", candidate), ("start", start)):
        if number is not None and number not in digests:
            raise ReviewError(
                f"{name} is {number!r}, which is no candidate of film {film.film!r} in round {round_}; "
                f"expected one of {', '.join(map(str, digests)) or '(none)'}"
            )
    return None if candidate is None else digests[candidate]
