"""A real server, a real worker and a real Chromium.

They are started once: a test finds the store empty and leaves runs, which are then taken out. One
that ends a process, or needs another environment, has a server of its own.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import sound
from tests.browser.running import App, Visitor


def _chromium() -> str | None:
    named = os.environ.get("MTL_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if _chromium() is None:
                reason = "no Chromium: apt-get install chromium, or set MTL_CHROMIUM to its path"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def own_app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    """An app for one test; ``parametrize("own_app", [{...}], indirect=True)`` sets its environment.

    Its first worker has to start.
    """
    sound.lend(request.config, tmp_path)
    running = App(tmp_path, getattr(request, "param", {}))
    try:
        yield running
    finally:
        running.stop()
        running.end_worker()


@pytest.fixture(scope="session")
def shared_app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """One app for all other tests; its store is empty for those that only look."""
    folder = tmp_path_factory.mktemp("shared")
    sound.lend(request.config, folder)
    running = App(folder, {})
    try:
        yield running
    finally:
        running.stop()
        running.end_worker()


@pytest.fixture
def app(shared_app: App) -> Iterator[App]:
    """The same, for a test that leaves runs."""
    yield shared_app
    shared_app.empty()


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=180_000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=_chromium(),
            args=["--no-sandbox", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser: Any, shared_app: App) -> Iterator[Any]:
    """One for all tests of the shared app, so that Streamlit's files are fetched once."""
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture
def open_page(browser: Any, context: Any, app: App) -> Iterator[Visitor]:
    """Opens a path of the app; fails on any error in the console."""
    visitor = Visitor(browser, app, context)
    yield visitor
    visitor.leave()


@pytest.fixture
def open_own(browser: Any, own_app: App) -> Iterator[Visitor]:
    """Opens a path of the test's own app."""
    visitor = Visitor(browser, own_app)
    yield visitor
    visitor.leave()


@pytest.fixture
def look_at(browser: Any, context: Any, shared_app: App) -> Iterator[Visitor]:
    """Opens a path of the shared app, for a test that only looks."""
    visitor = Visitor(browser, shared_app, context)
    yield visitor
    visitor.leave()


@pytest.fixture
def navigate() -> Callable[[Any, str, str], None]:
    """Goes to a page by the navigation: opens a group and clicks a title in it."""

    def go(page: Any, group: str, title: str) -> None:
        page.get_by_test_id("stTopNavSection").filter(has_text=group).click()
        page.get_by_test_id("stTopNavDropdownLink").filter(has_text=title).click()

    return go
