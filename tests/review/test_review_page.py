"""The page in a real browser: choosing, keys, and the view of the film."""

from __future__ import annotations

import pytest
from review_service import grey_at, made, name_of, ready, screen_of

pytest.importorskip("fastapi", reason="the review server needs patchcxr[review]")
expect = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright, patchcxr[test]").expect


def test_a_choice_by_number_and_enter_is_stored_and_the_next_film_comes(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    assert name_of(page) == "film a"
    assert store.decisions().empty
    page.keyboard.press("2")
    expect(page.locator('.candidate[data-position="2"]')).to_have_attribute("aria-pressed", "true")
    assert store.decisions().empty  # selecting is not deciding
    page.keyboard.press("Enter")
    ready(page, "film b")
    expect(page.locator("#saved")).to_contain_text("Saved")
    expect(page.locator("#progress-text")).to_contain_text("1 of 6 films")
    row = made(store, "film a").iloc[0]
    assert row["candidate"] == store.task("ann", "film a").candidates[1].candidate
    assert 0.3 < row["seconds"] < 60
    page.keyboard.press("3")
    page.keyboard.press("3")  # the same number again accepts
    ready(page, "film c")
    assert made(store, "film b").iloc[0]["candidate"] == store.task("ann", "film b").candidates[2].candidate


def test_a_key_meant_for_the_film_before_does_not_decide_the_next(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.evaluate(
        """() => { for (let i = 0; i < 40; i++) setTimeout(() => document.dispatchEvent(
            new KeyboardEvent('keydown', { key: 'r', bubbles: true, repeat: i > 0 })), i * 25); }"""
    )
    ready(page, "film b")
    page.wait_for_timeout(900)
    assert store.decisions(current=False)["film"].tolist() == ["film a"]


def test_reject_unsure_exclude_and_a_note_by_keyboard_alone(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("t")
    page.keyboard.type("r u x 1 2 d: too dark")
    assert store.decisions().empty  # keys do not fire while typing
    page.keyboard.press("Escape")
    for key, film in (("r", "film b"), ("u", "film c"), ("x", "film d")):
        page.keyboard.press(key)
        ready(page, film)
    assert store.decisions()["action"].tolist() == ["reject", "unsure", "exclude"]
    assert store.decisions()["note"].tolist() == ["r u x 1 2 d: too dark", "", ""]


def test_a_second_press_at_the_moment_that_a_film_comes_does_not_decide_it(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.evaluate(
        """() => {
            const box = document.getElementById('choosing');
            const press = () => document.dispatchEvent(new KeyboardEvent('keydown', { key: 'r', bubbles: true }));
            new MutationObserver(() => box.dataset.mode === 'choosing' && press()).observe(box, { attributes: true });
            press();
        }"""
    )
    ready(page, "film b")
    page.wait_for_timeout(300)
    assert store.decisions(current=False)["film"].tolist() == ["film a"]


def test_every_control_is_reached_by_tab_with_a_visible_focus_and_has_a_name(review, opened):
    service, _, tokens = review
    page = opened(service, tokens["ann"])
    seen = set()
    for _ in range(45):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => { const at = document.activeElement; const style = getComputedStyle(at);
            return [at.id || at.dataset.do || at.dataset.position || at.tagName,
                    style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1]; }"""
        )
        if found[0] != "BODY":
            assert found[1], found
        seen.add(found[0])
    wanted = {"film", "note", "help-button", "logout", "level", "contrast", "opacity", "1", "2", "3", "SUMMARY"}
    assert wanted | {"draw", "reject", "unsure", "exclude", "next", "back", "undo", "fit", "invert"} <= seen
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, canvas[tabindex]')].filter((one) =>
            one.offsetParent && !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_an_undo_takes_the_decision_back_and_returns_to_the_film(review, opened):
    service, store, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("r")
    ready(page, "film b")
    page.keyboard.press("Control+z")
    ready(page, "film a")
    expect(page.locator("#saved")).to_contain_text("Undone")
    assert store.decisions().empty
    assert store.decisions(current=False)["action"].tolist() == ["reject", "undo"]
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    ready(page, "film b")
    assert made(store, "film a")["action"].tolist() == ["choose"]


def test_the_window_changes_the_grey_and_the_inverse_turns_it(review, opened):
    service, _, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("h")  # no mask over the pixels
    page.wait_for_timeout(100)
    level, width = page.evaluate("() => document.getElementById('window').textContent.match(/\\d+/g).map(Number)")
    stored = 100 + 100 * 5 + 120 * 7  # of the ramp at (row 100, column 120)
    expected = round(255 * (stored - (level - width / 2)) / width)
    assert grey_at(page, (120.5, 100.5)) == pytest.approx(expected, abs=3)
    page.keyboard.press("i")
    page.wait_for_timeout(100)
    assert grey_at(page, (120.5, 100.5)) == pytest.approx(255 - expected, abs=3)
    page.keyboard.press("i")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowUp")
    page.wait_for_timeout(100)
    assert grey_at(page, (120.5, 100.5)) == pytest.approx(min(255, expected + 0.2 * 255), abs=4)
    x, y = screen_of(page, (120, 100))
    page.keyboard.press("w")
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x, y - 80, steps=4)  # up: brighter by a fifth of the window
    page.mouse.up(button="right")
    page.wait_for_timeout(100)
    assert grey_at(page, (120.5, 100.5)) == pytest.approx(min(255, expected + 0.2 * 255), abs=4)
    page.keyboard.press("w")
    page.wait_for_timeout(100)
    assert grey_at(page, (120.5, 100.5)) == pytest.approx(expected, abs=3)


def test_the_wheel_zooms_about_the_pointer(review, opened):
    service, _, tokens = review
    page = opened(service, tokens["ann"])
    page.keyboard.press("h")
    x, y = screen_of(page, (15.0, 15.0))  # the bright square
    page.mouse.move(x, y)
    for _ in range(6):
        page.mouse.wheel(0, -200)
    page.wait_for_timeout(150)
    box = page.locator("#film").bounding_box()
    reds = "([x, y]) => document.getElementById('film').getContext('2d').getImageData(x, y, 1, 1).data[0]"
    assert page.evaluate(reds, [round(x - box["x"]), round(y - box["y"])]) == 255
    assert int(page.locator("#zoom").inner_text().rstrip("%")) > 1500
    page.keyboard.press("f")
    page.wait_for_timeout(100)
    assert grey_at(page, (15, 15)) == 255
    assert grey_at(page, (30, 15)) < 100


@pytest.mark.parametrize("size", [(1280, 800), (1024, 768), (1920, 1080), (390, 844)])
def test_the_page_fits_its_screen_and_its_text_has_contrast(review, opened, size):
    service, _, tokens = review
    page = opened(service, tokens["ann"], size)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    outside = page.evaluate(
        """() => [...document.querySelectorAll('aside button, header button')].filter((one) => one.offsetParent
            && (one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > window.innerWidth))
            .map((one) => one.textContent)"""
    )
    assert outside == []
    contrasts = page.evaluate(
        """() => {
            const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
            const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
                return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
            const ground = (one) => { for (; one; one = one.parentElement) {
                const c = parts(getComputedStyle(one).backgroundColor); if (c.length < 4 || c[3] > 0.8) return c; }
                return [0, 0, 0]; };
            return [...document.querySelectorAll('body *')].filter((one) => one.offsetParent
                && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
                .map((one) => {
                    const [a, b] = [parts(getComputedStyle(one).color), ground(one)].map((c) => light(c.slice(0, 3)));
                    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML]; });
        }"""
    )
    assert len(contrasts) > 15
    assert [entry for entry in contrasts if entry[0] < 4.5] == []
