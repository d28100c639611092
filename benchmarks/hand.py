"""What moves under the hand: how often the browser draws it, and how often the server answers.

    python benchmarks/hand.py [--seconds 5] [--methods umtg mean mgda pcgrad]

A real server and a real Chromium (on the path, or named by MTL_CHROMIUM). On Gradient playground a
gradient is dragged to and fro by the mouse: how often the browser draws it, and how often it draws
updates that the server has sent. On Pareto front the toy problem's fronts are played in a loop: how
many frames that differ from the one before the browser draws. All in a second, on a machine that
shares its cores between server and browser; and the processor time of the page's own process for
each, which depends less on what else runs.
"""

import argparse
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from mtl_core.runs import Store

ROOT = Path(__file__).resolve().parents[1]
BUDGETS = {"dragged arrow": 50, "updates from the server": 8, "frames played": 20}
COUNT = """node => {
    window.drawn = 0;
    window.counting?.disconnect();
    window.counting = new MutationObserver(() => { window.drawn += 1; });
    window.counting.observe(
        node, { subtree: true, childList: true, attributeFilter: ["cx", "transform"] }
    );
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--methods", nargs="*", default=["umtg", "mean", "mgda", "pcgrad"])
    options = parser.parse_args()
    chromium = os.environ.get("MTL_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no Chromium; install it, or set MTL_CHROMIUM to its path")
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(f"{url}/gradient_playground?lengths=1+2&methods={'+'.join(options.methods)}")
        cost = Cost(page)
        tell("dragged arrow", *drag(page, ".plane .hands", options.seconds, cost))
        tell("updates from the server", *drag(page, ".plane .updates", options.seconds, cost))
        page.goto(f"{url}/pareto_front")
        tell("frames played", *play(page, options.seconds, cost))
        browser.close()


def tell(what: str, rate: float, cost: float) -> None:
    print(f"{what}: {rate:.0f} a second (budget {BUDGETS[what]}), {1000 * cost:.0f} ms each")


class Cost:
    """Seconds of processor time of a page's process."""

    def __init__(self, page: Any) -> None:
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.send("Performance.enable")

    def __call__(self) -> float:
        metrics = self._devtools.send("Performance.getMetrics")["metrics"]
        return next(float(one["value"]) for one in metrics if one["name"] == "ProcessTime")


def drag(page: Any, what: str, seconds: float, cost: Cost) -> tuple[float, float]:
    """How often a part of the plane changes in a second while a gradient is dragged, and what each
    time costs."""
    hand = page.get_by_role("slider", name="Gradient g₂")
    hand.wait_for()
    page.wait_for_timeout(2_000)  # the page is drawn to its end
    box = hand.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.locator(what).evaluate(COUNT)
    spent, started, passed = cost(), time.perf_counter(), 0.0
    while passed < seconds:
        page.mouse.move(x + 80 * math.sin(2 * passed), y + 40 * math.sin(3 * passed))
        passed = time.perf_counter() - started
    count: int = page.evaluate("window.drawn")
    spent = cost() - spent
    page.mouse.up()
    return count / passed, spent / count


def play(page: Any, seconds: float, cost: Cost) -> tuple[float, float]:
    """Frames in a second, and what each costs."""
    front = page.locator(".st-key-pf_front_loss svg.marks")
    front.wait_for()
    page.wait_for_timeout(2_000)
    page.get_by_label("Loop").check()
    front.evaluate(COUNT)
    page.get_by_role("button", name="Play").click()
    started = time.perf_counter()
    before: int = page.evaluate("window.drawn")
    spent = cost()
    page.wait_for_timeout(1_000 * seconds)
    count: int = page.evaluate("window.drawn") - before
    passed, spent = time.perf_counter() - started, cost() - spent
    page.get_by_role("button", name="Pause").click()
    return count / passed, spent / count


@contextmanager
def served() -> Iterator[str]:
    """The app on an empty store; its address."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        store = Path(folder) / "runs.db"
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]
        command += ["--server.port", str(port), "--server.headless", "true"]
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "MTL_STORE": str(store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://localhost:{port}"
        try:
            wait(url)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=60)
            if store.exists() and (worker := Store(store).worker()):
                os.kill(int(worker["pid"]), 15)
                time.sleep(2)


def wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).read()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the server did not start")


if __name__ == "__main__":
    main()
