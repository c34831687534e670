"""The page in a real browser: masks that readers draw."""

from __future__ import annotations

import re
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pytest
from review_service import MASKS, SHAPE, InThread, made, make_review, ready, rectangle, screen_of

from patchcxr.measure.overlap import dice
from patchcxr.review.pixels import film_pixels
from patchcxr.review.store import Film, ProposedFilm

pytest.importorskip("fastapi", reason="the review server needs patchcxr[review]")
expect = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright, patchcxr[test]").expect


def test_a_polygon_is_stored_where_it_was_drawn(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("d")
    corners = [(40, 30), (180, 50), (150, 160), (60, 120)]
    for corner in corners:
        page.mouse.click(*screen_of(page, corner))
    page.keyboard.press("Enter")  # closes
    assert store.decisions().empty
    page.keyboard.press("Enter")  # saves
    ready(page, "film b")
    row = made(store, "film a").iloc[0]
    assert row["action"] == "draw"
    assert pd.isna(row["start"])
    mask = store.mask(row["digest"])
    assert mask.shape == SHAPE
    drawn = np.zeros(SHAPE, np.uint8)
    cv2.fillPoly(drawn, [np.array(corners)], 1)  # includes its border, and is otherwise the same
    kernel = np.ones((3, 3), np.uint8)
    assert not (mask & (cv2.dilate(drawn, kernel) == 0)).any()
    assert not ((cv2.erode(drawn, kernel, iterations=2) > 0) & ~mask).any()


def test_a_drawing_begins_from_a_candidate_and_the_brush_adds_erases_and_undoes(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    first = store.mask(store.task("ann", "film a").candidates[0].digest)
    page.keyboard.press("1")
    page.keyboard.press("d")
    page.keyboard.press("b")
    for _ in range(3):
        page.keyboard.press("]")
    radius = int(re.search(r"(\d+) px", page.locator("#radius").inner_text())[1]) / 2
    page.mouse.move(*screen_of(page, (20, 185)))
    page.mouse.down()
    page.mouse.move(*screen_of(page, (220, 185)), steps=8)
    page.mouse.up()
    page.keyboard.press("e")
    page.mouse.click(*screen_of(page, (120, 100)))
    page.mouse.click(*screen_of(page, (70, 60)))
    page.keyboard.press("Backspace")  # the last dab is taken back
    page.keyboard.press("Enter")
    ready(page, "film b")
    row = made(store, "film a").iloc[0]
    assert row["start"] == store.task("ann", "film a").candidates[0].candidate
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    along = np.clip(columns, 20, 220)
    expected = first | (np.hypot(rows - 185, columns - along) <= radius)
    expected &= np.hypot(rows - 100, columns - 120) > radius
    found = store.mask(row["digest"])
    border = cv2.morphologyEx(expected.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert not ((found != expected) & ~border).any()
    assert dice(found, expected) > 0.98


def test_a_drawing_can_be_made_by_keyboard_alone_and_an_empty_one_is_asked_twice(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("d")
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("there is no infection here")
    assert store.decisions().empty
    page.keyboard.press("Enter")
    ready(page, "film b")
    assert store.mask(made(store, "film a").iloc[0]["digest"]).sum() == 0
    page.keyboard.press("d")
    page.keyboard.press(" ")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        for _ in range(4):
            page.keyboard.press(f"Shift+{key}")
        page.keyboard.press(" ")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    ready(page, "film c")
    mask = store.mask(made(store, "film b").iloc[0]["digest"])
    box = page.locator("#film").bounding_box()
    side = 100 / min((box["width"] - 16) / SHAPE[1], (box["height"] - 16) / SHAPE[0])
    assert mask.sum() == pytest.approx(side**2, rel=0.1)
    assert mask[102:110, 122:130].all()


def test_leaving_a_drawing_with_strokes_asks_first(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("d")
    page.keyboard.press("b")
    page.mouse.click(*screen_of(page, (120, 100)))
    page.keyboard.press("Escape")
    expect(page.locator("#message")).to_contain_text("The drawing is not saved")
    expect(page.locator("#drawing")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#choosing")).to_be_visible()
    assert store.decisions().empty


def test_changing_the_round_with_strokes_asks_first(tmp_path, opened):
    store = make_review(tmp_path, ["one"])
    place = Film("two", str(tmp_path / "image0.png"), "patient-0", *SHAPE, None, None)
    store.add_round("round two", "choose", 2, [ProposedFilm(place, {}, 0.0, None)])
    token = store.add_reader("ann")
    with InThread(store) as service:
        page = opened(service, token)
        page.keyboard.press("d")
        page.keyboard.press("b")
        page.mouse.click(*screen_of(page, (120, 100)))
        page.locator("#round").select_option("1")
        expect(page.locator("#message")).to_contain_text("The drawing is not saved")
        expect(page.locator("#round")).to_have_value("2")
        expect(page.locator("#film-name")).to_have_text("two")
        expect(page.locator("#drawing")).to_be_visible()
        page.locator("#round").select_option("1")
        ready(page, "one")
        assert store.decisions(current=False).empty
    store.close()


def test_the_masks_that_the_browser_decodes_and_encodes_are_exact(review, opened):
    service, _, tokens = review
    page = opened(service, tokens["ann"])
    found = page.evaluate(
        """async () => {
            const { decodeMask, encodeMask } = await import('/page/png.js');
            const { fillPolygon, outlines } = await import('/page/masks.js');
            const [width, height] = [301, 203];
            const mask = new Uint8Array(width * height).map(() => Math.random() < 0.3);
            const back = await decodeMask(await encodeMask(mask, width, height));
            // The outlines go through the middles of edges: every pixel centre is on the side where its pixel belongs.
            const filled = new Uint8Array(width * height);
            for (const loop of outlines(mask, width, height)) {
                const one = new Uint8Array(width * height);
                fillPolygon(one, width, height, loop, 1);
                for (let i = 0; i < one.length; i++) filled[i] ^= one[i];
            }
            const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
            const answer = await fetch('/api/mask/film%20a/1');
            const sent = await decodeMask(new Uint8Array(await answer.arrayBuffer()));
            return [same(back.mask, mask), back.width, back.height, same(filled, mask),
                    sent.mask.reduce((sum, value) => sum + value, 0)];
        }"""
    )
    assert found[:4] == [True, 301, 203, True]
    assert found[4] in {int(mask.sum()) for mask in MASKS.values()}


def test_on_a_film_that_is_shown_reduced_a_drawing_still_has_the_full_size(review, opened, monkeypatch):
    service, store, tokens = review
    monkeypatch.setattr("patchcxr.review.pixels.film_pixels", partial(film_pixels, largest=100))
    page = opened(service, tokens["ann"])
    expect(page.locator("#film-facts")).to_contain_text("240 × 200 · 12 bit · shown at 1/3 of its size")
    page.keyboard.press("d")
    for corner in ((50, 40), (200, 40), (200, 160), (50, 160)):
        page.mouse.click(*screen_of(page, corner))
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    ready(page, "film b")
    mask = store.mask(made(store, "film a").iloc[0]["digest"])
    assert mask.shape == SHAPE
    assert dice(mask, rectangle(40, 50, 160, 200)) > 0.99
