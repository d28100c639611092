"""The gradient playground in a real browser: a link, a preset, a phone."""

import re

import pytest
from playwright.sync_api import Page, expect

PLOT = "[data-testid=stVegaLiteChart] svg.marks"
LINK = "/gradient_playground?angles=0+120&lengths=1+2&methods=umtg+mean+pcgrad"


def heads(page: Page) -> list[str]:
    """Where the task gradients end, as the browser has drawn it."""
    shapes = page.locator(f"{PLOT} g.mark-symbol").first.locator("path")
    return [shape.get_attribute("transform") or "" for shape in shapes.all()]


@pytest.mark.parametrize("dark", [False, True])
def test_a_link_opens_and_a_preset_moves_the_arrows(look_at, dark: bool) -> None:
    page = look_at(LINK, dark=dark)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("What does each optimizer make of these gradients?")
    plot = page.locator(PLOT)
    expect(plot).to_have_count(1)
    labels = plot.locator("g.role-legend-label text")
    expect(labels).to_have_text(["UMTG (sum)", "Mean", "PCGrad"])
    before = heads(page)
    assert len(before) == 2
    plot.evaluate("node => { node.untouched = true }")

    page.get_by_role("button", name="opposite").click()
    expect(page).to_have_url(re.compile(r"angles=0\+180"))
    expect(page.get_by_text("the gradients cancel each other")).to_be_visible()
    second = plot.locator("g.mark-symbol").first.locator("path").nth(1)
    expect(second).not_to_have_attribute("transform", before[1])
    # The chart is the same node with other numbers.
    assert plot.evaluate("node => node.untouched === true")

    page.get_by_role("button", name="three in conflict").click()
    expect(page).to_have_url(re.compile(r"third=true"))
    expect(plot.locator("g.mark-symbol").first.locator("path")).to_have_count(3)
    assert "methods=umtg+mean+pcgrad" in page.url
    expect(page.get_by_test_id("stException")).to_have_count(0)

    # Its address says everything.
    link = page.url[page.url.index("/gradient_playground") :]
    again = look_at(link, dark=dark, elsewhere=True)
    expect(again.locator(f"{PLOT} g.mark-symbol").first.locator("path")).to_have_count(3)
    assert heads(again) == heads(page)


def test_a_phone_sees_the_arrows_and_nothing_sticks_out(look_at) -> None:
    page = look_at(LINK, width=390)
    expect(page.locator(PLOT)).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0
    box = page.locator(PLOT).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_the_page_is_in_the_navigation_and_keeps_its_state(look_at, navigate) -> None:
    page = look_at(LINK)
    expect(page.locator(PLOT)).to_be_visible()
    navigate(page, "Explore", "Overview")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Does learning a second task")
    navigate(page, "Explore", "Gradient playground")
    expect(page).to_have_url(re.compile(r"/gradient_playground\?angles=0\+120"))
