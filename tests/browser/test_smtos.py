"""Optimizers: a shared link to a comparison, and what there is to do where there is none."""

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from mtl_core import RunConfig
from tests import sound, stored
from tests.browser.running import App, Visitor

CHART = "[data-testid=stVegaLiteChart] svg.marks"
ALICE = "1-alice"
QUESTION = "When an optimizer makes a task generalize better"


def small(optimizer: str) -> RunConfig:
    """A run of two seeds that trains in a second, and is measured at every checkpoint."""
    return RunConfig.from_preset(
        "digits",
        "quick",
        auxiliaries=("digits2",),
        optimizer=optimizer,
        epochs=2,
        samples=128,  # what sharpness needs
        batch_size=32,
        held_out=50,
        width=4,
        early_checkpoints=0,
        factor_points=20,
        similarity_batches=2,
        seeds=(0, 1),
    )


@pytest.fixture(scope="module")
def compared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """An app whose store has two optimizers' runs, trained here before it has a worker."""
    folder = tmp_path_factory.mktemp("compared")
    sound.lend(request.config, folder)
    running = App(folder, {})
    try:
        for optimizer in ("umtg", "mean"):
            config = small(optimizer)
            stored.put(running.store, config, stored.solved(config))
        yield running
    finally:
        running.stop()
        running.end_worker()


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_link_shows_a_point_per_task_and_what_is_missing(
    browser, compared: App, width: int, dark: bool
) -> None:
    budget = small("umtg").baseline.id
    query = {"setting": "digits", "target": "digits1", "budget": budget, "aux": "digits2"}
    visitor = Visitor(browser, compared)
    page = visitor(f"/smtos?{urlencode(query)}", width=width, dark=dark)
    expect(page.get_by_role("heading", level=1)).to_contain_text(QUESTION)
    # One legend for all, and four panels: both tasks have a loss, only the target has factors.
    expect(page.locator(CHART)).to_have_count(5)
    legend, *panels = page.locator(CHART).all()
    expect(legend.locator("g.role-legend-label text")).to_have_text(["Mean"])
    for panel, points in zip(panels, (2, 1, 1, 1), strict=True):
        expect(panel.locator("g.mark-symbol.role-mark path")).to_have_count(points)
        expect(panel.get_by_text("both better")).to_be_visible()
        expect(panel.locator("g.role-legend")).to_have_count(0)
    panels[0].locator("g.mark-symbol.role-mark path").last.hover()
    expect(page.locator("#vg-tooltip-element")).to_contain_text(small("mean").id)
    assert fits(page)
    page.get_by_text("not here yet").click()
    # By its key: what is above the link may still be moving, and a mouse would miss it.
    page.get_by_role("link", name="on What if, with digits2").press("Enter")
    expect(page).to_have_url(re.compile(r"/what_if\?.*aux=digits2.*epochs=2"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("together with digits2")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    visitor.leave()


def test_without_runs_the_page_says_what_it_takes(look_at) -> None:
    page = look_at("/smtos?setting=fashion&target=noisy_fashion&optimizer=adam", width=390)
    expect(page.get_by_role("heading", level=1)).to_contain_text(QUESTION)
    expect(page.get_by_text("There is no comparison yet for noisy_fashion")).to_be_visible()
    expect(page.get_by_text("unknown optimizer 'adam'")).to_be_visible()
    expect(page.get_by_role("link", name="on What if, with fashion1")).to_be_visible()
    expect(page.locator(CHART)).to_have_count(0)
    assert fits(page)
