from __future__ import annotations

import http.client
import socket
import sqlite3

import numpy as np
import pytest
from review_service import (
    HOSTILE,
    MASKS,
    SHAPE,
    SOURCES,
    InThread,
    as_base64,
    film_levels,
    free_port,
    make_review,
    rectangle,
    serving,
)

from patchcxr.errors import ReviewError
from patchcxr.review.blobs import decode_mask
from patchcxr.review.server import accepted_hosts, serve
from patchcxr.review.store import Film, ProposedFilm

pytest.importorskip("fastapi", reason="the review server needs patchcxr[review]")
pytest.importorskip("uvicorn", reason="the review server needs patchcxr[review]")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A running review of two readers, one of them an adjudicator; tests that decide use films of their own."""
    folder = tmp_path_factory.mktemp("served")
    broken = ProposedFilm(
        Film("broken", str(folder / "Doe, J" / "gone.png"), "p", *SHAPE, None, None), {}, 0.0,
        f"mask of network-alpha is 9 x 9 pixels, but {folder}/Doe, J/gone.png has 200 x 240",
    )  # fmt: skip
    vanished = ProposedFilm(Film("vanished", str(folder / "gone.png"), "p", *SHAPE, None, None), {}, 0.0, None)
    films = ["plain", "chosen", "drawn", "again", "undone", "a/b c", HOSTILE, "blind", "a/pixels"]
    store = make_review(folder, films, extra=[broken, vanished])
    tokens = {"ann": store.add_reader("ann", adjudicator=True), "bob": store.add_reader("bob")}
    with InThread(store) as service:
        yield service, store, tokens
    store.close()


@pytest.fixture
def ann(place):
    client = place[0].client(place[2]["ann"])
    yield client
    client.close()


@pytest.fixture
def bob(place):
    client = place[0].client(place[2]["bob"])
    yield client
    client.close()


def current(store, film, reader):
    table = store.decisions()
    return table[(table["film"] == film) & (table["reader"] == reader)]


def test_the_browser_gets_the_very_grey_levels_of_the_file(ann):
    answer, body = ann.send("GET", "/api/pixels/plain")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/octet-stream")
    levels = np.frombuffer(body, "<u2").reshape(int(answer.headers["X-Height"]), int(answer.headers["X-Width"]))
    np.testing.assert_array_equal(levels, film_levels())
    assert [answer.headers[f"X-{name}"] for name in ("Bits", "Inverted", "Factor")] == ["12", "0", "1"]
    low, high = np.percentile(film_levels(), [0.5, 99.5])
    assert float(answer.headers["X-Window-Centre"]) == pytest.approx((low + high) / 2, rel=1e-4)
    assert float(answer.headers["X-Window-Width"]) == pytest.approx(high - low, rel=1e-4)


def test_pixels_are_compressed_for_those_who_can_take_it(ann):
    plain = ann.send("GET", "/api/pixels/plain")[1]
    answer, packed = ann.send("GET", "/api/pixels/plain", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) < len(plain) / 2


def test_masks_are_named_by_their_place_in_the_readers_own_order(place, ann):
    _, store, _ = place
    order = [candidate.source for candidate in store.task("ann", "plain").candidates]
    for position, source in enumerate(order, start=1):
        np.testing.assert_array_equal(ann.mask("plain", position), MASKS[source])
    assert ann.send("GET", "/api/mask/plain/4")[0].status == 404
    assert ann.send("GET", "/api/mask/plain/0")[0].status == 404


def test_a_choice_by_place_is_stored_with_the_candidate_at_that_place(place, ann):
    _, store, _ = place
    second = store.task("ann", "chosen").candidates[1]
    body = {"film": "chosen", "round": 1, "action": "choose", "key": "c1", "position": 2, "note": "n", "seconds": 3.5}
    status, answer = ann.post("/api/decide", body)
    assert (status, answer["stored"]["position"]) == (200, 2)
    row = current(store, "chosen", "ann").iloc[0]
    assert (row["action"], row["source"], row["note"], row["seconds"]) == ("choose", second.source, "n", 3.5)
    assert ann.get("/api/film/chosen")["decision"]["position"] == 2
    assert ann.get("/api/queue")["queue"][1] == {"film": "chosen", "state": "done"}


def test_a_drawn_mask_comes_back_as_it_was_drawn(place, ann):
    _, store, _ = place
    mask = rectangle(3, 5, 77, 101)
    body = {"film": "drawn", "round": 1, "action": "draw", "key": "d1", "mask": as_base64(mask), "start": 1}
    assert ann.post("/api/decide", body)[0] == 200
    row = current(store, "drawn", "ann").iloc[0]
    np.testing.assert_array_equal(store.mask(row["digest"]), mask)
    assert row["start"] == store.task("ann", "drawn").candidates[0].candidate
    np.testing.assert_array_equal(ann.mask("drawn", 0), mask)


def test_a_decision_that_is_sent_again_is_stored_once_and_another_under_its_key_is_refused(place, ann):
    _, store, _ = place
    body = {"film": "again", "round": 1, "action": "reject", "key": "same"}
    first, second = ann.post("/api/decide", body), ann.post("/api/decide", body)
    assert first[1]["stored"] == second[1]["stored"]
    history = store.decisions(current=False)
    assert (history["key"] == "same").sum() == 1
    status, answer = ann.post("/api/decide", body | {"action": "unsure"})
    assert status == 400
    assert "belongs to another decision" in answer["error"]
    assert current(store, "again", "ann")["action"].tolist() == ["reject"]


def test_an_undo_names_the_film_and_leaves_the_history(place, bob):
    _, store, _ = place
    bob.post("/api/decide", {"film": "undone", "round": 1, "action": "unsure", "key": "u1"})
    status, answer = bob.post("/api/undo", {"undo_key": "u2"})
    assert (status, answer["stored"]["film"], answer["stored"]["undoes"]) == (200, "undone", "u1")
    assert current(store, "undone", "bob").empty
    history = store.decisions(current=False)
    assert history[history["film"] == "undone"]["action"].tolist() == ["unsure", "undo"]


def test_nothing_that_a_reader_receives_tells_a_source_a_file_or_a_patient(place, bob):
    _, store, _ = place
    bob.post("/api/decide", {"film": "blind", "round": 1, "action": "choose", "key": "b1", "position": 1})
    received = b""
    paths = ["/api/me", "/api/next", "/api/queue", "/api/film/blind", "/api/film/broken", "/api/pixels/blind"]
    paths += ["/api/pixels/vanished", "/api/status", "/api/mask/blind/9", "/api/film/unknown"]
    paths += [f"/api/mask/blind/{position}" for position in (1, 2, 3)]
    for path in paths:
        answer, body = bob.send("GET", path)
        received += str(answer.headers).encode() + body
    for body in ({"position": 7}, {"position": 1, "action": "draw"}, {"mask": "AAAA", "action": "draw"}):
        whole = {"film": "blind", "round": 1, "action": "choose", "key": "b2"} | body
        received += str(bob.post("/api/decide", whole)[1]).encode()
    refused = {"film": "broken", "round": 1, "action": "unsure", "key": "b3"}
    received += str(bob.post("/api/decide", refused)[1]).encode()
    told = [*SOURCES, "patient-", str(store.folder.parent), "Doe", "gone.png\x00"]
    told += store.candidates()["digest"].unique().tolist()
    assert [text for text in told if text.encode() in received] == []
    assert received.count(b"mask of (hidden) is 9 x 9 pixels, but gone.png has 200 x 240") == 2  # queue and film
    # Ids of candidates follow the order of sources, so none may be sent; nor may the size of a file tell them apart.
    assert sorted(bob.get("/api/film/blind")) == ["candidates", "decision", "film", "kind", "progress", "round"]
    assert bob.get("/api/film/blind")["candidates"] == 3


def test_equal_masks_have_equal_files_whatever_wrote_them(place, ann):
    png = ann.send("GET", "/api/mask/plain/1")[1]
    assert decode_mask(png).sum() == 7000 or decode_mask(png).sum() == 8000
    assert b"tEXt" not in png
    assert png[24:26] == b"\x01\x00"  # one bit, grey: what the page decodes


def test_ids_with_slashes_spaces_and_markup_find_their_film(ann):
    for film in (
        "a%2Fb%20c",
        "%3Cimg%20src%3Dx%20onerror%3D%22window.hacked%3D1%22%3E%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E",
    ):
        answer, body = ann.send("GET", f"/api/pixels/{film}")
        assert (answer.status, len(body)) == (200, 2 * SHAPE[0] * SHAPE[1])
        assert ann.send("GET", f"/api/mask/{film}/3")[0].status == 200


def test_a_film_id_that_ends_like_a_route_is_a_film(ann):
    assert ann.get("/api/film/a%2Fpixels")["film"]["id"] == "a/pixels"
    assert ann.send("GET", "/api/pixels/a%2Fpixels")[0].status == 200
    assert ann.send("GET", "/api/pixels/a")[0].status == 404


def test_no_path_comes_from_the_client(ann):
    for film in ("..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "image0.png"):
        answer, body = ann.send("GET", f"/api/pixels/{film}")
        assert answer.status == 404, body
    for path in ("/page/..%2F..%2Fserver.py", "/page/../server.py", "/page/%2e%2e/routes.py"):
        assert ann.send("GET", path)[0].status == 404


def test_a_film_whose_file_is_gone_is_an_error_in_words_not_a_dead_page(ann):
    answer, body = ann.send("GET", "/api/pixels/vanished")
    assert answer.status == 400
    assert b"gone.png: the film cannot be read" in body


def test_without_a_known_token_there_is_only_the_empty_page(place):
    service, _, tokens = place
    for token in (None, "wrong", tokens["ann"][:-1]):
        client = service.client(token)
        for path in (
            "/api/me",
            "/api/next",
            "/api/film/plain",
            "/api/pixels/plain",
            "/api/mask/plain/1",
            "/status",
        ):
            assert client.send("GET", path)[0].status == 401, path
        assert client.post("/api/decide", {"film": "plain", "round": 1, "action": "reject", "key": "k"})[0] == 401
        assert client.send("GET", "/")[0].status == 200
        client.close()


def test_the_cookie_of_a_login_is_hidden_from_scripts_and_foreign_sites(place):
    service, _, tokens = place
    client = service.client()
    assert client.post("/login", {"token": "wrong"})[0] == 401
    answer, _ = client.send("POST", "/login", {"token": tokens["bob"]})
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    answer, body = client.send("GET", "/api/me", headers={"Cookie": cookie.split(";")[0]})
    assert (answer.status, b'"bob"' in body) == (200, True)
    client.close()


def test_two_reviews_on_one_machine_keep_their_own_sign_in(place, tmp_path):
    service, _, tokens = place
    other = make_review(tmp_path, ["one"])
    token = other.add_reader("cem")
    with InThread(other) as second:
        cookies, clients = [], [service.client(), second.client()]
        for client, given in zip(clients, (tokens["bob"], token), strict=True):
            answer, _ = client.send("POST", "/login", {"token": given})
            cookies.append(answer.headers["Set-Cookie"].split(";")[0])
        both = {"Cookie": "; ".join(cookies)}  # as a browser sends them, whatever the port
        for client, reader in zip(clients, (b'"bob"', b'"cem"'), strict=True):
            answer, body = client.send("GET", "/api/me", headers=both)
            assert (answer.status, reader in body) == (200, True)
            answer, _ = client.send("POST", "/logout", {}, both)
        assert answer.headers["Set-Cookie"].split("=")[0] == cookies[1].split("=")[0]
        for client in clients:
            client.close()
    other.close()


def test_a_foreign_page_a_foreign_name_and_a_form_are_refused(place, ann):
    body = {"film": "plain", "round": 1, "action": "reject", "key": "csrf"}
    assert ann.send("POST", "/api/decide", body, {"Origin": "https://evil.example"})[0].status == 403
    assert ann.send("POST", "/api/decide", body, {"Content-Type": "text/plain"})[0].status == 415
    assert (
        ann.send("POST", "/api/undo", b"undo_key=k", {"Content-Type": "application/x-www-form-urlencoded"})[0].status
        == 415
    )
    assert ann.send("GET", "/api/me", headers={"Host": "evil.example"})[0].status == 400
    assert ann.send("GET", "/api/me", headers={"Host": f"localhost:{place[0].port}"})[0].status == 200
    assert "csrf" not in place[1].decisions(current=False)["key"].tolist()


def test_a_page_of_one_reader_cannot_decide_as_another_who_signed_in_meanwhile(place, bob):
    body = {"reader": "ann", "film": "plain", "round": 1, "action": "reject", "key": "swapped"}
    status, answer = bob.post("/api/decide", body)
    assert (status, "signed in as bob" in answer["error"]) == (401, True)
    assert "swapped" not in place[1].decisions(current=False)["key"].tolist()


def test_half_a_surrogate_pair_is_refused_in_words(ann):
    body = {"reader": "\ud800", "film": "plain", "round": 1, "action": "reject", "key": "half"}
    status, answer = ann.post("/api/decide", body)
    assert (status, "the page is of \\ud800" in answer["error"]) == (401, True)


def test_the_last_decision_of_a_round_is_the_one_that_an_undo_may_take_back(tmp_path):
    store = make_review(tmp_path, ["one", "two"])
    place = Film("three", str(tmp_path / "image0.png"), "patient-2", *SHAPE, None, None)
    store.add_round("round two", "choose", 2, [ProposedFilm(place, {}, 0.0, None)])
    tokens = [store.add_reader(name) for name in ("ann", "bob")]
    store.decide("ann", "two", 1, "unsure", "first")
    store.decide("ann", "one", 1, "reject", "second")
    store.decide("bob", "one", 1, "reject", "of-bob")
    with InThread(store) as service:
        ann, bob = map(service.client, tokens)
        assert ann.get("/api/last?round=1") == {"key": "second"}
        assert ann.get("/api/last?round=2") == {"key": None}
        for _ in range(2):  # the answer is lost, and the page asks again
            assert ann.post("/api/undo", {"undo_key": "u", "key": "second"})[0] == 200
        assert ann.get("/api/last?round=1") == {"key": "first"}
        assert bob.get("/api/last?round=1") == {"key": "of-bob"}
        ann.close()
        bob.close()
    assert sorted(store.decisions()["key"]) == ["first", "of-bob"]
    store.close()


def test_large_and_malformed_bodies_are_refused_in_words(place, ann):
    service = place[0]
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.putrequest("POST", "/api/decide")
    for name, value in (("Content-Type", "application/json"), ("Content-Length", str(21 * 2**20))):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    whole = {"film": "plain", "round": 1, "action": "draw", "key": "bad"}
    for change, status, words in (
        ({"mask": "not base64!"}, 400, "not base64"),
        ({"mask": "AAAA"}, 400, "not a PNG"),
        ({"mask": as_base64(np.ones((5, 5), bool))}, 400, "5 x 5 pixels, but its film has 200 x 240"),
        ({"action": "approve"}, 422, "action"),
        ({"note": "x" * 2001}, 422, "note"),
        ({"seconds": -1}, 422, "seconds"),
        ({"position": 0, "action": "choose"}, 400, "expected 1 to 3"),
        ({"source": "manual"}, 422, "source"),
        ({"key": "has space", "action": "reject"}, 400, "key"),
    ):
        found, answer = ann.post("/api/decide", whole | change)
        assert (found, words in answer["error"]) == (status, True), (change, found, answer)
    answer, _ = ann.send("POST", "/api/decide", b"{", {"Content-Type": "application/json"})
    assert answer.status == 422
    assert "bad" not in place[1].decisions(current=False)["key"].tolist()


def test_every_answer_forbids_foreign_scripts_and_copies_on_disk(ann):
    for path in ("/", "/page/app.js", "/api/me", "/api/nothing"):
        headers = ann.send("GET", path)[0].headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self';"), path
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_status_is_for_adjudicators(ann, bob):
    assert bob.send("GET", "/api/status")[0].status == bob.send("GET", "/status")[0].status == 403
    status = ann.get("/api/status")
    assert [row["reader"] for row in status["progress"]] == ["ann", "bob"]


def test_the_status_tells_an_adjudicator_no_source_and_no_agreement_before_the_own_films_are_done(tmp_path):
    store = make_review(tmp_path, ["one"])
    token = store.add_reader("ann", adjudicator=True)
    store.add_reader("bob")
    store.decide("bob", "one", 1, "reject", "b")
    with InThread(store) as service:
        client = service.client(token)
        before = client.get("/api/status")
        assert before["tables"] == []
        assert "no film left in this round" in before["withheld"]
        store.decide("ann", "one", 1, "reject", "a")
        after = client.get("/api/status")
        client.close()
    assert after["withheld"] is None
    assert [table["title"] for table in after["tables"]] == ["Actions", "Masks", "Size of the mask"]
    assert after["tables"][0]["rows"][0][1:5] == ["ann", "bob", "1", "1.000"]
    assert [source for source in SOURCES if source in str(after)] == []
    store.close()


def test_patients_are_named_only_where_the_server_was_told_so(tmp_path):
    store = make_review(tmp_path, ["one"])
    token = store.add_reader("ann")
    with InThread(store, show_patients=True) as service:
        client = service.client(token)
        assert client.get("/api/film/one")["film"]["patient"] == "patient-0"
        client.close()
    store.close()


def test_a_decision_outlives_the_killed_server(tmp_path):
    store = make_review(tmp_path, ["one"])
    token = store.add_reader("ann")
    body = {"film": "one", "round": 1, "action": "reject", "key": "kept"}
    with serving(store.folder) as service:
        client = service.client(token)
        assert client.post("/api/decide", body)[0] == 200
        service.kill()
        client.close()
        service.start()
        client = service.client(token)
        assert client.post("/api/decide", body)[0] == 200  # the page did not see the answer and asks again
        client.close()
    assert store.decisions(current=False)["key"].tolist() == ["kept"]
    store.close()


def test_a_store_that_cannot_write_is_an_error_that_passes(tmp_path):
    store = make_review(tmp_path, ["one"])
    token = store.add_reader("ann")
    with InThread(store) as service:
        client = service.client(token)
        other = sqlite3.connect(store.path)
        other.execute("CREATE TRIGGER full BEFORE INSERT ON decisions BEGIN SELECT RAISE(FAIL, 'disk full'); END")
        other.commit()
        body = {"film": "one", "round": 1, "action": "reject", "key": "later"}
        status, answer = client.post("/api/decide", body)
        assert (status, "nothing was recorded" in answer["error"]) == (503, True)
        other.execute("DROP TRIGGER full")
        other.commit()
        other.close()
        assert client.post("/api/decide", body)[0] == 200
        client.close()
    store.close()


def test_an_address_for_all_takes_any_name_unless_names_are_given():
    assert accepted_hosts("0.0.0.0") == accepted_hosts("::") == ("*",)
    assert accepted_hosts("::1")[-1] == "[::1]"
    assert accepted_hosts("10.0.0.5") == ("127.0.0.1", "localhost", "10.0.0.5")
    assert {"a.example", "localhost"} <= set(accepted_hosts("0.0.0.0", ["a.example"]))


def test_a_folder_without_a_review_is_refused_in_words(tmp_path):
    with pytest.raises(ReviewError, match="no review here"):
        serve(tmp_path)


def test_a_port_in_use_is_refused_in_words_before_the_address_is_told(tmp_path):
    store = make_review(tmp_path, ["one"])
    store.close()
    told = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ReviewError, match=f"cannot listen on 127.0.0.1 port {port}"):
            serve(store.folder, port=port, listening=lambda: told.append(port))
    assert told == []
    with pytest.raises(ReviewError, match="port 70000"):
        serve(store.folder, port=70000)


def test_the_address_is_told_when_readers_can_connect(tmp_path, monkeypatch):
    import uvicorn

    store = make_review(tmp_path, ["one"])
    store.close()
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: None)
    port, reached = free_port(), []

    def connect():
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            reached.append(port)

    serve(store.folder, port=port, listening=connect)
    assert reached == [port]
