"""A browser and a served review, for the tests of the page."""

from __future__ import annotations

import shutil

import pytest
from review_service import FILMS, InThread, make_review, ready


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    sync_api.expect.set_options(timeout=20_000)  # the machine may be busy with other tests
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium")
        try:
            found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no chromium to test the page with ({str(error).splitlines()[0]})")
        yield found
        found.close()


@pytest.fixture
def review(tmp_path):
    """A review of six films by two readers, and its running server."""
    store = make_review(tmp_path, FILMS)
    tokens = {"ann": store.add_reader("ann", adjudicator=True), "bob": store.add_reader("bob")}
    with InThread(store) as service:
        yield service, store, tokens
    store.close()


@pytest.fixture
def opened(browser):
    """Open the page for a reader, in a context of its own; errors of scripts fail the test."""
    contexts, faults = [], []

    def go(service, token, size=(1280, 800), wait=True):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        # A document that was loaded before its first route may send one more request past it; so there is always one.
        context.route("**/never-asked-for", lambda route: route.abort())
        page = context.new_page()
        page.set_default_timeout(15000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{service.base}/#token={token}")
        if wait:
            ready(page)
        return page

    yield go
    for context in contexts:
        context.close()
    assert faults == []
