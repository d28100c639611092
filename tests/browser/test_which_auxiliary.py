"""Which auxiliary: a race started, watched, stopped, and resumed from its link elsewhere."""

import re
from typing import Any

from playwright.sync_api import Page, expect

# Three seeds of these two ship; with no margin it takes more, one look after the other, and so many
# that it does not end while it is watched.
RACE = (
    "/which_auxiliary?setting=synthetic&target=cos50_noise50&candidates=cosm100_noise50"
    "&margin=0&most=64"
)
LATER = re.compile(r"Look ([3-9]|\d\d): \d+ of \d+ runs are there")
"""A look may be over before the page has shown it."""


def press(page: Page, name: str) -> None:
    button = page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True)
    expect(button).to_be_enabled()
    button.click()


def test_a_race_is_watched_stopped_and_resumed_in_another_browser(
    app: Any, open_page: Any, browser: Any
) -> None:
    page = open_page(RACE)
    chart = page.locator("[data-testid=stVegaLiteChart] svg.marks")
    expect(chart.get_by_text("in the race · 3 seeds").first).to_be_visible()
    expect(page.get_by_text("2 networks to train for the next look")).to_be_visible()
    press(page, "Run")
    expect(page.get_by_text(re.compile(r"Look 2: \d+ of 8 runs are there"))).to_be_visible()
    # Nobody clicks: the next look's runs are taken up by themselves.
    expect(chart.get_by_text("in the race · 4 seeds").first).to_be_visible()
    expect(page.get_by_text(LATER)).to_be_visible()
    press(page, "Stop")
    main = page.get_by_test_id("stMain")
    expect(main.get_by_role("button", name=re.compile("^(Run|Resume)$"))).to_be_visible()
    assert not [run for run in app.store.runs() if run.state == "queued"]

    context = browser.new_context()
    try:
        other = context.new_page()
        other.goto(page.url)
        elsewhere = other.locator("[data-testid=stVegaLiteChart] svg.marks")
        expect(elsewhere.get_by_text(re.compile(r"in the race · \d seeds")).first).to_be_visible()
        assert not [run for run in app.store.runs() if run.active], "a link starts nothing"
        again = other.get_by_test_id("stMain").get_by_role(
            "button", name=re.compile("^(Run|Resume)$")
        )
        expect(again).to_be_enabled()
        again.click()
        expect(other.get_by_text(LATER)).to_be_visible()
        stop = other.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True)
        expect(stop).to_be_enabled()
        stop.click()
        expect(again).to_be_visible()
    finally:
        context.close()
    assert {run.config.auxiliaries_label for run in app.store.runs()} == {"stl", "cosm100_noise50"}
    assert min(run.seed for run in app.store.runs()) == 3, "and nothing that ships"
