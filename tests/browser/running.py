"""A running server with its store and worker, and a browser's visits to it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from mtl_core.runs import Store
from mtl_core.runs.queue.launch import log_path

__all__ = ["App", "Visitor"]

ROOT = Path(__file__).resolve().parents[2]
CONNECTED = "[data-testid=stApp][data-test-connection-state=CONNECTED]"


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
        self._server.wait(timeout=60)

    def empty(self) -> None:
        """Stop all runs and take them out of the store; the worker stays."""
        shutil.rmtree(self.store_path.parent / "imported", ignore_errors=True)
        deadline = time.monotonic() + 60
        while records := self.store.runs():
            for record in records:
                if record.active:
                    self.store.cancel(record.config.id, [record.seed])
                else:
                    self.store.remove(record.config.id, [record.seed])
            if time.monotonic() > deadline:
                raise TimeoutError("the runs of a test did not stop")
            time.sleep(0.05)

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


class Visitor:
    """Opens paths of an app, each in a tab or a browser context of its own.

    Args:
        context: the tabs' context, which keeps Streamlit's own files from page to page; no server
            ends as long as one is connected to it. Without it every page has a context of its own.
    """

    def __init__(self, browser: Any, app: App, context: Any = None) -> None:
        self._browser, self._app, self._context = browser, app, context
        self._opened: list[Any] = []
        self.errors: list[str] = []

    def __call__(
        self, path: str = "/", *, width: int = 1280, dark: bool = False, elsewhere: bool = False
    ) -> Any:
        """``elsewhere``: in a context that was never here."""
        if elsewhere or self._context is None:
            context = self._browser.new_context()
            page = context.new_page()
            self._opened.append(context)
        else:
            page = self._context.new_page()
            self._opened.append(page)
        page.set_default_timeout(180_000)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: _collect(message, self.errors))
        page.goto(self._app.url + path)
        page.wait_for_selector(CONNECTED)
        return page

    def leave(self) -> None:
        for opened in self._opened:
            opened.close()
        assert not self.errors


def _collect(message: Any, errors: list[str]) -> None:
    # On a page below the root Streamlit looks for its own endpoints beside it first.
    probing = "/_stcore/" in message.location.get("url", "")
    if message.type == "error" and not probing:
        errors.append(f"{message.text} ({message.location.get('url')})")
