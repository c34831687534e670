"""The page in a real browser: two readers, lost connections, hostile names, problems, screens."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from review_service import FILMS, HOSTILE, SHAPE, InThread, Service, made, make_review, ready

from patchcxr.review.store import Film, ProposedFilm

pytest.importorskip("fastapi", reason="the review server needs patchcxr[review]")
expect = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright, patchcxr[test]").expect


def kept_by(page):
    """Items that the page keeps until they are stored."""
    return [json.loads(text) for text in page.evaluate("() => Object.values(localStorage)")]


CUT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 96000\r\nX-Height: 200\r\nX-Width: 240\r\n"
    b"Connection: close\r\n\r\n{"
)


@contextmanager
def cutting(kind):
    """Address of a server that announces a body of this type and hangs up within it."""

    def answer():
        with suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(CUT % kind)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def portal(route):
    route.fulfill(status=200, content_type="text/html", body="<h1>Welcome to the network</h1>")


def test_two_readers_at_once_are_blind_to_one_another(review, opened):
    service, store, tokens = review
    ann, bob = opened(service, tokens["ann"]), opened(service, tokens["bob"])
    ann.keyboard.press("t")
    ann.keyboard.type("a secret of ann")
    ann.keyboard.press("Escape")
    ann.keyboard.press("1")
    ann.keyboard.press("Enter")
    ready(ann, "film b")
    bob.reload()
    ready(bob, "film a")
    expect(bob.locator("#progress-text")).to_contain_text("0 of 6")
    seen = bob.evaluate("() => document.documentElement.outerHTML + document.getElementById('note').value")
    assert "secret" not in seen
    assert "ann" not in seen
    assert bob.evaluate("() => document.cookie") == ""
    bob.keyboard.press("r")
    ready(bob, "film b")
    assert made(store, "film a", "ann")["action"].tolist() == ["choose"]
    assert made(store, "film a", "bob")["action"].tolist() == ["reject"]


def test_a_killed_server_loses_no_decision_and_stores_it_once(tmp_path, opened):
    store = make_review(tmp_path, FILMS)
    token = store.add_reader("ann")
    service = Service(store.folder).start()
    try:
        page = opened(service, token)
        service.kill()
        page.keyboard.press("r")
        expect(page.locator("#pending")).to_contain_text("Not saved yet")
        expect(page.locator("#saved")).to_have_text("Saving")
        kept = kept_by(page)
        assert [item["body"]["action"] for item in kept] == ["reject"]
        page.keyboard.press("u")  # nothing else is decided meanwhile
        assert store.decisions(current=False).empty
        service.start()
        ready(page, "film b")
        expect(page.locator("#saved")).to_contain_text("Saved")
        expect(page.locator("#pending")).to_be_hidden()
        assert store.decisions(current=False)["key"].tolist() == [kept[0]["body"]["key"]]
        assert page.evaluate("() => localStorage.length") == 0
    finally:
        service.kill()
        store.close()


def test_a_lost_answer_and_a_reload_still_store_the_decision_once(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    lost = []

    def lose(route):
        lost.append(route.fetch().status)  # the server stores it, the page never hears of it
        route.abort()

    page.route("**/api/decide", lose)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator("#pending")).to_contain_text("Not saved yet")
    page.unroute("**/api/decide")
    page.reload()
    ready(page, "film b")
    expect(page.locator("#saved")).to_contain_text("Saved")
    assert lost[0] == 200
    assert store.decisions(current=False)["film"].tolist() == ["film a"]


@pytest.mark.parametrize("what", ["**/api/pixels/**", "**/api/mask/**", "**/api/film/**", "**/api/next*"])
def test_a_page_of_another_network_is_a_lost_connection_not_a_bad_film(review, opened, what):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.route(what, portal)
    page.reload()
    if "film" in what:
        ready(page, "film a")
        page.keyboard.press("n")
    expect(page.locator("#cover-text")).to_contain_text("not from the review")
    expect(page.locator("#cover-more")).to_have_text("Trying again.")
    if "film" not in what:  # else the film before is still open to a decision
        page.keyboard.press("x")
        page.wait_for_timeout(350)
        assert store.decisions(current=False).empty
    page.unroute(what)
    ready(page, "film b" if "film" in what else "film a")


@pytest.mark.parametrize(("path", "kind"), [("pixels/x", b"application/octet-stream"), ("next", b"application/json")])
def test_a_body_that_is_cut_off_is_a_lost_connection(review, opened, path, kind):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    with cutting(kind) as address:
        page.add_init_script(
            """(([path, address]) => { const whole = window.fetch; window.cut = true;
            window.fetch = (asked, options) => whole(
                window.cut && asked.startsWith(path) ? address : asked,
                window.cut && asked.startsWith(path) ? { mode: 'cors', headers: {} } : options); })("""
            + json.dumps([f"/api/{path.split('/')[0]}", address])
            + ")"
        )
        page.reload()
        expect(page.locator("#cover-more")).to_have_text("Trying again.")
        page.evaluate("() => { window.cut = false; }")
        ready(page, "film a")
        assert store.decisions(current=False).empty


@pytest.mark.parametrize("how", ["portal", "nothing stored", "refusal of a proxy"])
def test_a_decision_and_an_undo_whose_answer_is_not_of_the_review_stay_pending(review, opened, how):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    answer = {
        "portal": {"status": 200, "content_type": "text/html", "body": "<h1>Welcome</h1>"},
        "nothing stored": {"status": 200, "content_type": "application/json", "body": "null"},
        "refusal of a proxy": {"status": 403, "content_type": "text/html", "body": "<h1>Forbidden</h1>"},
    }[how]
    asked = []

    def lose(route):
        asked.append(route.request.post_data_json)
        route.fetch()  # the server stores it
        route.fulfill(**answer)

    for press, path, shown in (("r", "**/api/decide", "film b"), ("Control+z", "**/api/undo", "film a")):
        page.route(path, lose)
        page.keyboard.press(press)
        expect(page.locator("#pending")).to_contain_text("Not saved yet")
        expect(page.locator("#message")).to_be_hidden()
        assert [item["body"] for item in kept_by(page)] == [asked[-1]]
        page.unroute(path)
        ready(page, shown)
        assert kept_by(page) == []
    history = store.decisions(current=False)
    assert history["action"].tolist() == ["reject", "undo"]
    assert asked[-1]["key"] == history["key"].iloc[0] == history["undoes"].iloc[1]


def until(page, said, expected, seconds=20):
    """Wait until something is so; a busy machine takes its time."""
    end = time.monotonic() + seconds
    while said() != expected and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert said() == expected


def test_two_tabs_of_one_reader_do_not_remove_each_others_decisions(review, opened):
    service, store, tokens = review
    first = opened(service, tokens["ann"])
    second = first.context.new_page()
    second.goto(service.base)
    ready(second, "film a")
    second.keyboard.press("n")
    ready(second, "film b")
    for page in (first, second):
        page.route("**/api/decide", lambda route: route.abort())
    for page in (first, second):
        page.bring_to_front()  # a tab in the background is slowed down
        page.keyboard.press("r")
        expect(page.locator("#pending")).to_contain_text("Not saved yet")
    until(first, lambda: sorted(item["body"]["film"] for item in kept_by(first)), ["film a", "film b"])
    first.bring_to_front()
    first.unroute("**/api/decide")
    expect(first.locator("#saved")).to_contain_text("Saved")
    until(first, lambda: [item["body"]["film"] for item in kept_by(first)], ["film b"])
    second.close()  # the tab is lost before its decision was stored
    first.reload()
    until(first, lambda: sorted(store.decisions()["film"]), ["film a", "film b"])
    until(first, lambda: kept_by(first), [])
    assert store.decisions(current=False)["action"].tolist() == ["reject", "reject"]


def test_an_undo_stays_within_the_round(tmp_path, opened):
    store = make_review(tmp_path, ["one", "two"])
    place = Film("three", str(tmp_path / "image0.png"), "patient-0", *SHAPE, None, None)
    png = store.mask_png(store.candidates()["digest"].iloc[0])
    store.add_round("round two", "verify", 2, [ProposedFilm(place, {"manual": png}, 0.0, None)])
    token = store.add_reader("ann")
    store.decide("ann", "one", 1, "reject", "early")
    with InThread(store) as service:
        page = opened(service, token, wait=False)
        ready(page, "three")
        page.keyboard.press("Control+z")
        expect(page.locator("#message")).to_have_text("There is nothing to undo in this round.")
        assert store.decisions()["key"].tolist() == ["early"]
        page.locator("#round").select_option("1")
        ready(page, "two")
        page.keyboard.press("Control+z")
        ready(page, "one")
        assert store.decisions().empty
    store.close()


def test_markup_in_names_and_notes_is_only_text(tmp_path, opened):
    problem = ProposedFilm(Film("zz", "/nowhere", "p", *SHAPE, None, None), {}, 0.0, f"cannot be read: {HOSTILE}")
    store = make_review(tmp_path, [HOSTILE], extra=[problem])
    token = store.add_reader("<b>ann</b>")
    store.decide("<b>ann</b>", HOSTILE, 1, "unsure", "k", note=HOSTILE)
    with InThread(store) as service:
        page = opened(service, token, wait=False)
        expect(page.locator("#cover-more")).to_contain_text(HOSTILE)
        page.locator("summary").click()
        page.get_by_role("button", name=HOSTILE).click()
        ready(page, HOSTILE)
        assert page.locator("#note").input_value() == HOSTILE
        assert page.locator("#logout").inner_text() == "Sign out <b>ann</b>"
        assert page.evaluate("() => [window.hacked, document.images.length]") == [None, 0]
    store.close()


def test_a_film_that_cannot_be_read_can_only_be_excluded(tmp_path, opened):
    store = make_review(tmp_path, ["good"])
    token = store.add_reader("ann")
    (tmp_path / "image0.png").write_bytes(b"no image")
    with InThread(store) as service:
        page = opened(service, token, wait=False)
        expect(page.locator("#cover-more")).to_contain_text("image0.png: damaged")
        expect(page.locator("#choosing")).to_have_attribute("data-mode", "problem")
        page.wait_for_timeout(350)
        for key in ("r", "u", "1", "Enter", "a", "d"):
            page.keyboard.press(key)
        assert store.decisions().empty
        expect(page.locator('[data-do="exclude"]')).to_be_enabled()
        page.keyboard.press("x")
        expect(page.locator("#cover-text")).to_contain_text("All films of this round are done")
        assert store.decisions()["action"].tolist() == ["exclude"]
    store.close()


def test_the_status_page_shows_progress_and_tables(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("r")
    ready(page, "film b")
    page.get_by_role("link", name="Status").click()
    expect(page.locator("#progress")).to_contain_text("bob")
    row = page.locator("#progress tr", has_text="ann").locator("td")
    assert row.nth(2).inner_text() == "1"
    assert row.nth(3).inner_text() == "5"
    expect(page.locator("#withheld")).to_contain_text("when you have no film left in this round")
    expect(page.locator("#tables h2")).to_have_count(0)
    for film in FILMS[1:]:
        store.decide("ann", film, 1, "reject", film.replace(" ", "-"))
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#withheld")).to_be_hidden()
    expect(page.locator("#tables h2")).to_have_text(["Actions", "Masks", "Size of the mask"])
