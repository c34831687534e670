"""The page in a real browser: two readers, lost connections, hostile names, problems, screens."""

from __future__ import annotations

import json

import pytest
from review_service import FILMS, HOSTILE, SHAPE, InThread, Service, made, make_review, ready

from patchcxr.review.store import Film, ProposedFilm

pytest.importorskip("fastapi", reason="the review server needs patchcxr[review]")
expect = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright, patchcxr[test]").expect


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
        kept = json.loads(page.evaluate("() => localStorage['patchcxr-review-pending:ann']"))
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
    service, _, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("r")
    ready(page, "film b")
    page.get_by_role("link", name="Status").click()
    expect(page.locator("#progress")).to_contain_text("bob")
    row = page.locator("#progress tr", has_text="ann").locator("td")
    assert row.nth(2).inner_text() == "1"
    assert row.nth(3).inner_text() == "5"
    expect(page.locator("#tables h2")).to_have_text(["Actions", "Masks", "Size of the mask", "Sources"])
