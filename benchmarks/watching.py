"""What watching costs: twelve curves train on What if, with a browser that looks on and without.

    python benchmarks/watching.py [--repeats 3] [--epochs 60]

A real server, a real worker and a real Chromium, all on this machine. One question of twelve curves
(a single task, and one auxiliary under eleven optimizers) is trained again and again, by turns with
nobody looking and with its page open. Printed are, in medians: seconds from Run to the first points
of both curves; how often a second the hero figure was drawn anew; how much longer training took
while it was watched; the computing time of browser and server for each second of it; and seconds
from a toggle to its new chart and from one page to another. Times are those of this machine; both
sides of the ratio are measured by turns in one run. The computing time holds, about, also where
other work runs beside it.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from load import Server
from playwright.sync_api import Browser, Page, sync_playwright

from mtl_core import optimizers
from mtl_core.runs import Store
from mtl_core.views.what_if import BASELINE, Question

CURVES = 12
HERO = "[data-testid=stVegaLiteChart] svg.marks"
COUNT = """() => {
    // Twelve curves that grow are drawn on a canvas: a drawing begins by clearing it.
    window.drawn = []; window.fills = {};
    const own = CanvasRenderingContext2D.prototype, {clearRect, fill} = own;
    const hero = (context) => context.canvas.matches?.('.st-key-wi_hero canvas');
    own.clearRect = function (...box) {
        if (hero(this)) {
            const now = performance.now(), last = window.drawn.at(-1) ?? -Infinity;
            if (now - last > 150) window.drawn.push(now);  // one update may be drawn twice
            window.fills = {};
        }
        return clearRect.apply(this, box);
    };
    own.fill = function (...path) {
        if (hero(this)) window.fills[this.fillStyle] = (window.fills[this.fillStyle] ?? 0) + 1;
        return fill.apply(this, path);
    };
}"""
POINTS = """() => Object.values(window.fills).filter(count => count > 1).length >= 2"""
"""Whether points of two curves are drawn; the legend has one mark of each colour."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "runs.db")
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        try:
            _visit(browser, server, "/what_if").context.close()  # the worker starts and gets warm
            time.sleep(20)
            _pages(browser, server)
            alone, watched, first, ticks, browsers, servers = [], [], [], [], [], []
            for repeat in range(options.repeats):
                alone.append(_train(server, _question(2 * repeat, options.epochs)))
                asked = _question(2 * repeat + 1, options.epochs)
                begun, drawn, took, (of_browser, of_server) = _watch(browser, server, asked)
                browsers.append(of_browser)
                servers.append(of_server)
                first.append(begun)
                ticks.append(drawn)
                watched.append(took)
            ratio = statistics.median(b / a for a, b in zip(alone, watched, strict=True))
            print(f"from Run to points of both curves: {statistics.median(first):.1f} s")
            print(
                f"{CURVES} curves: drawn {statistics.median(ticks):.2f} times a second (budget 1); "
                f"training takes {ratio:.2f} × as long while it is watched (budget 1.10)"
            )
            print(
                f"computing time of a watched second: browser {statistics.median(browsers):.2f} s, "
                f"server {statistics.median(servers):.2f} s"
            )
        finally:
            browser.close()
            server.stop()


def _question(seed: int, epochs: int) -> Question:
    chosen = [name for name in optimizers.names() if name != BASELINE][: CURVES - 2]
    return replace(
        Question.default("synthetic"),
        auxiliaries=("cos100",),
        optimizers=tuple(chosen),
        seeds=(100 + seed,),
        overrides={"epochs": epochs},
    )


def _train(server: Server, question: Question) -> float:
    """Seconds that the question takes with nobody looking."""
    store = Store(server.store_path)
    configs = [question.configs[0].baseline, *question.configs]
    assert len(configs) == CURVES, len(configs)
    store.submit(*configs)
    return _ended(store, configs)


def _ended(store: Store, configs: list) -> float:  # type: ignore[type-arg]
    """Seconds from the first run's claim to the last one's end."""
    while True:
        records = [store.get(config.id, seed) for config in configs for seed in config.seeds]
        if all(record is not None and record.state == "done" for record in records):
            return max(r.finished_at for r in records) - min(r.started_at for r in records)
        assert not any(record is not None and record.state == "failed" for record in records)
        time.sleep(0.2)


def _watch(
    browser: Browser, server: Server, question: Question
) -> tuple[float, float, float, tuple[float, float]]:
    """Seconds to the first points of two curves, drawings a second, and seconds of training.

    And the computing time of browser and server in each second of it.
    """
    page = _visit(browser, server, "/what_if?" + urlencode(question.to_query()))
    run = page.get_by_test_id("stMain").get_by_role("button", name="Run", exact=True)
    page.evaluate(COUNT)
    before = _computed()
    run.click()
    pressed = time.perf_counter()
    page.wait_for_function(POINTS)
    begun = time.perf_counter() - pressed
    store = Store(server.store_path)
    configs = [question.configs[0].baseline, *question.configs]
    took = _ended(store, configs)
    passed = time.perf_counter() - pressed
    spent = [(now - then) / passed for now, then in zip(_computed(), before, strict=True)]
    drawn = page.evaluate("window.drawn")
    page.context.close()
    every = (len(drawn) - 1) / ((drawn[-1] - drawn[0]) / 1000)
    return begun, every, took, (spent[0], spent[1])


def _computed() -> tuple[float, float]:
    """Seconds of computing so far: of all of Chromium's processes, and of the server."""
    found = {"chromium": 0.0, "streamlit": 0.0}
    parents, mine = {}, {os.getpid()}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            words = (folder / "cmdline").read_text()
        except OSError:
            continue  # it has ended
        spent = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
        parents[int(folder.name)] = (int(fields[1]), words, spent)
    while more := {pid for pid, (parent, *_) in parents.items() if parent in mine} - mine:
        mine |= more
    for pid in mine - {os.getpid()}:
        for name in found:
            if name in parents[pid][1].split("\0user-data")[0]:
                found[name] += parents[pid][2]
                break
    return found["chromium"], found["streamlit"]


def _pages(browser: Browser, server: Server) -> None:
    """Prints what nothing trains for: a toggle and a page switch."""
    page = _visit(browser, server, "/what_if?setting=digits&aux=digits2")
    toggles, switches = [], []
    for _ in range(5):
        before = page.locator(HERO).first.inner_html()
        started = time.perf_counter()
        page.get_by_text("noisy_digits", exact=True).first.click()
        page.wait_for_function(
            f"before => document.querySelector('{HERO}')?.innerHTML !== before", arg=before
        )
        toggles.append(time.perf_counter() - started)
        page.wait_for_timeout(1_500)
    for title in ("Generalization gap", "Factors", "Generalization gap", "Factors"):
        page.get_by_test_id("stTopNavSection").filter(has_text="The papers").click()
        link = page.get_by_test_id("stTopNavDropdownLink").filter(has_text=title)
        started = time.perf_counter()
        link.click()
        page.wait_for_function(
            "() => document.querySelectorAll('[data-testid=stVegaLiteChart] svg.marks').length > 0"
            " && document.querySelector('[data-testid=stApp]').dataset.testScriptState"
            " === 'notRunning'"
        )
        switches.append(time.perf_counter() - started)
        page.wait_for_timeout(1_500)
    page.context.close()
    print(f"toggle to new chart: {statistics.median(toggles):.2f} s")
    print(f"page switch, papers: {statistics.median(switches):.2f} s")


def _visit(browser: Browser, server: Server, path: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"http://127.0.0.1:{server.port}{path}")
    page.wait_for_selector(HERO, timeout=120_000)
    page.wait_for_timeout(2_000)
    return page


if __name__ == "__main__":
    main()
