"""A real server, a real worker and a real Chromium, each test with a store of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtl_core.runs import Store
from mtl_core.runs.queue.launch import log_path

ROOT = Path(__file__).resolve().parents[2]
CONNECTED = "[data-testid=stApp][data-test-connection-state=CONNECTED]"


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


class App:
    """A running server with its store."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.store_path = folder / "runs.db"
        self._environment = {**os.environ, **environment, "MTL_STORE": str(self.store_path)}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._log = (folder / "server.log").open("wb")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]
        command += ["--server.port", str(self.port), "--server.headless", "true"]
        self._server = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("the server did not start")

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait(timeout=20)

    @property
    def store(self) -> Store:
        return Store(self.store_path)

    def worker_pid(self) -> int:
        """The worker's process id, once there is one."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.store_path.exists() and (worker := self.store.worker()):
                return int(worker["pid"])
            time.sleep(0.2)
        raise TimeoutError("no worker")

    def end_worker(self) -> None:
        """End the worker, if one was started and lives."""
        deadline = time.monotonic() + 10
        while log_path(self.store_path).exists() and time.monotonic() < deadline:
            if worker := self.store.worker():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(worker["pid"]), signal.SIGTERM)
                return
            time.sleep(0.1)


@pytest.fixture
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    """The app; ``@pytest.mark.parametrize("app", [{...}], indirect=True)`` sets its environment."""
    running = App(tmp_path, getattr(request, "param", {}))
    try:
        yield running
    finally:
        running.stop()
        running.end_worker()


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for all tests that only look."""
    running = App(tmp_path_factory.mktemp("shared"), {})
    try:
        yield running
    finally:
        running.stop()
        running.end_worker()


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


class Visitor:
    """Opens paths of an app, each in a browser context of its own."""

    def __init__(self, browser: Any, app: App) -> None:
        self._browser, self._app = browser, app
        self._contexts: list[Any] = []
        self.errors: list[str] = []

    def __call__(self, path: str = "/", *, width: int = 1280, dark: bool = False) -> Any:
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(180_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: _collect(message, self.errors))
        page.goto(self._app.url + path)
        page.wait_for_selector(CONNECTED)
        return page

    def leave(self) -> None:
        for context in self._contexts:
            context.close()
        assert not self.errors


@pytest.fixture
def open_page(browser: Any, app: App) -> Iterator[Visitor]:
    """Opens a path of the test's own app; fails on any error in the console."""
    visitor = Visitor(browser, app)
    yield visitor
    visitor.leave()


@pytest.fixture
def look_at(browser: Any, shared_app: App) -> Iterator[Visitor]:
    """Opens a path of the shared app; fails on any error in the console."""
    visitor = Visitor(browser, shared_app)
    yield visitor
    visitor.leave()


@pytest.fixture
def navigate() -> Callable[[Any, str, str], None]:
    """Goes to a page by the navigation: opens a group and clicks a title in it."""

    def go(page: Any, group: str, title: str) -> None:
        page.get_by_test_id("stTopNavSection").filter(has_text=group).click()
        page.get_by_test_id("stTopNavDropdownLink").filter(has_text=title).click()

    return go


def _collect(message: Any, errors: list[str]) -> None:
    # On a page below the root Streamlit looks for its own endpoints beside it first.
    probing = "/_stcore/" in message.location.get("url", "")
    if message.type == "error" and not probing:
        errors.append(f"{message.text} ({message.location.get('url')})")
