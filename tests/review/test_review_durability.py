"""What is said to be recorded is on disk: after kill -9, with many writers, on a full disk."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from review_films import choose, draw, key, png, proposed, review, say

from patchcxr.errors import ReviewError
from patchcxr.review import writes
from patchcxr.review.store import ReviewStore

WRITER = """
import sys, uuid
from patchcxr.review.store import ReviewStore
folder, reader, films, drawing = sys.argv[1:]
store = ReviewStore(folder)
png = bytes.fromhex(drawing)
number = 0
while True:
    key = str(uuid.uuid4())
    if number % 5 == 4:
        store.undo(reader, undo_key=key)
    elif number % 2:
        store.decide(reader, f"f{number % int(films)}", 1, "draw", key, png=png)
    else:
        store.decide(reader, f"f{number % int(films)}", 1, "reject", key)
    sys.stdout.write(key + "\\n")
    sys.stdout.flush()
    number += 1
"""


def writer(folder, reader, films):
    command = [sys.executable, "-c", WRITER, str(folder), reader, str(films), png(3).hex()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def integrity(store):
    with store.database.read() as connection:
        faults = connection.execute("PRAGMA foreign_key_check").fetchall()
        return faults or connection.execute("PRAGMA integrity_check").fetchone()[0]


def test_every_decision_that_was_confirmed_outlives_a_killed_writer(tmp_path):
    store = review(tmp_path / "r", *(proposed(f"f{i}", a=1) for i in range(7)), readers=("ann", "bob"))
    store.close()
    confirmed, chance = [], random.Random(1)
    for _ in range(2):
        processes = [writer(store.folder, reader, 7) for reader in ("ann", "bob")]
        # Both write at once; each is killed after a random number of confirmed decisions, in the midst of the next.
        for process in processes:
            lines = [process.stdout.readline() for _ in range(chance.randint(1, 60))]
            threading.Event().wait(chance.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().splitlines(keepends=True)
            process.stdout.close()
            assert process.wait() == -signal.SIGKILL
            confirmed += [line.strip() for line in (*lines, *rest) if line.endswith("\n")]
    with ReviewStore(store.folder) as found:
        recorded = list(found.decisions(current=False)["key"])
        assert len(recorded) == len(set(recorded))
        assert set(confirmed) <= set(recorded)
        # At most the decision that was under way when its writer died is there without having been confirmed.
        assert len(recorded) - len(confirmed) <= 4
        assert len(confirmed) == len(set(confirmed)) >= 4
        assert integrity(found) == "ok"
        say(found, "ann", "f0", "unsure")


def test_decisions_of_eight_threads_are_all_there_once(tmp_path):
    readers = [f"reader {i}" for i in range(8)]
    with review(tmp_path / "r", *(proposed(f"f{i}", a=1) for i in range(5)), readers=readers, per_film=8) as store:
        start = threading.Barrier(8)

        def work(reader):
            start.wait()
            keys = []
            while (task := store.next_task(reader)) is not None:
                name = f"{reader} {task.film.film}".replace(" ", "-")
                for _ in range(2):
                    store.decide(reader, task.film.film, 1, "draw", name, png=png(3))
                keys.append(name)
            return keys

        with ThreadPoolExecutor(8) as pool:
            keys = [key for made in pool.map(work, readers) for key in made]
        assert len(set(keys)) == 40
        assert sorted(store.decisions()["key"]) == sorted(keys)
        assert store.films(1)["answers"].tolist() == [8] * 5
        assert integrity(store) == "ok"


def test_one_key_sent_by_many_threads_at_once_is_recorded_once(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1)) as store:
        start = threading.Barrier(6)

        def send(_):
            start.wait()
            return store.decide("ann", "f", 1, "draw", "k", png=png(2), seconds=1.0)

        with ThreadPoolExecutor(6) as pool:
            answers = set(pool.map(send, range(6)))
        assert len(answers) == len(store.decisions(current=False)) == 1


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path):
    store = review(tmp_path / "r", proposed("f0", a=1))
    processes = [writer(store.folder, reader, 1) for reader in ("ann", "bob")]
    said = [[process.stdout.readline().strip() for _ in range(40)] for process in processes]
    for process in processes:
        process.kill()
        process.stdout.close()
        process.wait()
    recorded = store.decisions(current=False)
    for reader, keys in zip(("ann", "bob"), said, strict=True):
        assert recorded.loc[recorded["reader"] == reader, "key"].tolist()[:40] == keys
    store.close()


def test_on_a_full_disk_nothing_is_recorded_and_what_was_stands(tmp_path, rng):
    with review(tmp_path / "r", proposed("f", a=1), proposed("g", a=1)) as store:
        first = choose(store, "ann", "f", "a")
        connection = store.database.connection()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        recorded = [first.key]

        def fill():
            while len(recorded) < 1000:
                recorded.append(say(store, "ann", "g", "unsure", note="x" * 2000).key)

        with pytest.raises(ReviewError, match=r"nothing was recorded: .*full\); free space") as caught:
            fill()
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        history = store.decisions(current=False)
        assert history["key"].tolist() == recorded
        assert store.task("ann", "f").decision == first
        connection.execute("PRAGMA max_page_count = 1000000")
        made = draw(store, "ann", "f", 2)
        assert store.decisions(current=False)["key"].tolist() == [*history["key"], made.key]
        assert integrity(store) == "ok"
    with ReviewStore(store.folder) as again:
        assert len(again.decisions(current=False)) == len(history) + 1


def test_a_store_that_is_locked_for_too_long_says_so(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1)) as store, ReviewStore(store.folder) as other:
        store.database.connection().execute("PRAGMA busy_timeout = 50")
        with other.database.write():
            with pytest.raises(ReviewError, match=r"nothing was recorded.*locked.*wait for the other process"):
                say(store, "ann", "f", "unsure")
            assert store.decisions().empty
        say(store, "ann", "f", "unsure")


def test_a_fault_within_a_transaction_takes_all_of_it_back(tmp_path, monkeypatch):
    with review(tmp_path / "r", proposed("f", a=1)) as store:
        restand = writes._restand

        def fails(*place):
            restand(*place)
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(writes, "_restand", fails)
        with pytest.raises(ReviewError, match=r"nothing was recorded: .*disk I/O error"):
            draw(store, "ann", "f", 3)
        monkeypatch.undo()
        assert store.decisions(current=False).empty
        assert store.films(1)["answers"].tolist() == [0]
        made = draw(store, "ann", "f", 3)
        assert store.decisions()["key"].tolist() == [made.key]


@pytest.mark.parametrize("jump", [timedelta(days=-4000), timedelta(days=4000)])
def test_a_clock_that_jumps_changes_neither_order_nor_outcome(tmp_path, monkeypatch, jump):
    with review(tmp_path / "r", proposed("f", a=1), proposed("g", a=1)) as store:
        first = choose(store, "ann", "f", "a")
        monkeypatch.setattr(writes, "utc_now", lambda: datetime.now(UTC) + jump)
        say(store, "ann", "f", "reject")
        other = say(store, "ann", "g", "reject")
        monkeypatch.undo()
        last = say(store, "ann", "f", "unsure")
        assert store.task("ann", "f").decision == last
        of_f = store.decisions(current=False).query("film == 'f'")
        assert of_f["action"].tolist() == ["choose", "reject", "unsure"]
        store.undo("ann", undo_key=key())
        store.undo("ann", undo_key=key())
        assert store.task("ann", "g").decision is None
        assert other.time[:2] == "20"
        store.undo("ann", undo_key=key())
        assert store.task("ann", "f").decision == first


def test_a_thread_that_ended_leaves_its_decisions_and_no_lock(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1)) as store:
        thread = threading.Thread(target=choose, args=(store, "ann", "f", "a"))
        thread.start()
        thread.join()
        say(store, "bob", "f", "reject")
        assert store.decisions()["action"].tolist() == ["choose", "reject"]
