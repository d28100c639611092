"""The gradient playground in a real browser: a link, a preset, a hand, a phone."""

import math
import re

import pytest
from playwright.sync_api import Page, expect

PLOT = ".plane > svg"
HEADS = f"{PLOT} .arrows path"
LINK = "/gradient_playground?angles=0+120&lengths=1+2&methods=umtg+mean+pcgrad"


def heads(page: Page) -> list[str]:
    """Where the task gradients end, as the browser has drawn it."""
    return [shape.get_attribute("transform") or "" for shape in page.locator(HEADS).all()]


@pytest.mark.parametrize("dark", [False, True])
def test_a_link_opens_and_a_preset_moves_the_arrows(look_at, dark: bool) -> None:
    page = look_at(LINK, dark=dark)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("What does each optimizer make of these gradients?")
    plot = page.locator(PLOT)
    expect(plot).to_have_count(1)
    expect(page.locator(".plane .legend button")).to_have_text(["UMTG (sum)", "Mean", "PCGrad"])
    # What is at most 90° from 0° and from 120°.
    sector = page.locator(f"{PLOT} .sector path")
    assert [sector.get_attribute(f"data-{end}") for end in ("low", "high")] == ["30", "90"]
    before = heads(page)
    assert len(before) == 2
    plot.evaluate("node => { node.untouched = true }")

    page.get_by_role("button", name="opposite").click()
    expect(page).to_have_url(re.compile(r"angles=0\+180"))
    expect(page.get_by_text("the gradients cancel each other")).to_be_visible()
    expect(page.locator(HEADS).nth(1)).not_to_have_attribute("transform", before[1])
    expect(sector).to_have_count(0)
    # The plot is the same node with other numbers.
    assert plot.evaluate("node => node.untouched === true")

    page.get_by_role("button", name="three in conflict").click()
    expect(page).to_have_url(re.compile(r"third=true"))
    expect(page.locator(HEADS)).to_have_count(3)
    assert "methods=umtg+mean+pcgrad" in page.url
    expect(page.get_by_test_id("stException")).to_have_count(0)

    # Its address says everything.
    link = page.url[page.url.index("/gradient_playground") :]
    again = look_at(link, dark=dark, elsewhere=True)
    expect(again.locator(HEADS)).to_have_count(3)
    assert heads(again) == heads(page)


def test_an_arrow_is_dragged_and_turned_by_keys(look_at) -> None:
    page = look_at(LINK)
    hand = page.get_by_role("slider", name="Gradient g₂")
    expect(hand).to_have_attribute("aria-valuetext", "120 degrees, length 2")
    expect(page.get_by_text("g₁ and g₂ conflict, at 120°")).to_be_visible()
    hand.evaluate(
        """node => {
            window.angles = [];
            const seen = () => window.angles.push(Number(node.getAttribute("aria-valuenow")));
            new MutationObserver(seen).observe(node, { attributeFilter: ["aria-valuenow"] });
        }"""
    )
    url, update = page.url, page.locator(f"{PLOT} .updates [data-method=PCGrad] line")
    before = update.get_attribute("x2")

    # Round the origin from 120° to 60°, at the length that it has.
    box, plot = hand.bounding_box(), page.locator(PLOT).bounding_box()
    assert box is not None
    assert plot is not None
    x, y = (box[p] + box[size] / 2 for p, size in (("x", "width"), ("y", "height")))
    middle = plot["x"] + plot["width"] / 2, plot["y"] + plot["height"] / 2
    reach = (x - middle[0]) / math.cos(math.radians(120)) + 0.075 / 2 * 190 / 1.2  # the tip
    page.mouse.move(x, y)
    page.mouse.down()
    for angle in range(119, 59, -1):
        turns = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        start = math.cos(math.radians(120)), math.sin(math.radians(120))
        across, up = (reach * (turn - first) for turn, first in zip(turns, start, strict=True))
        page.mouse.move(x + across, y - up)
    # In the browser at once, from the server while it is held, in the address when it is let go.
    expect(hand).to_have_attribute("aria-valuetext", "60 degrees, length 2")
    expect(page.get_by_text("No two gradients conflict.")).to_be_visible()
    expect(update).not_to_have_attribute("x2", before or "")
    assert page.url == url
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"angles=0\+60\+-100&lengths=1\+2\+1"))
    expect(page.get_by_test_id("stSlider").get_by_text("60°", exact=True)).to_be_visible()
    angles = page.evaluate("window.angles")
    assert angles == sorted(angles, reverse=True), "it went back under the hand"

    hand.focus()
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowRight", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(hand).to_have_attribute("aria-valuetext", "52 degrees, length 1.6")
    expect(page).to_have_url(re.compile(r"angles=0\+52\+-100&lengths=1\+1.6\+1"))
    expect(hand).to_be_focused()


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
