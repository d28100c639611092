"""The Pareto front page in a real browser: a run is watched, paused, stepped and picked from."""

import re

import pytest
from playwright.sync_api import Page, expect

FRONT = ".st-key-pf_front_loss [data-testid=stVegaLiteChart] svg.marks"
PLACES = (
    f"[...document.querySelectorAll('{FRONT} g.mark-symbol.role-mark path')]"
    ".map(path => path.getAttribute('transform'))"
)
CHARTS = "[data-testid=stVegaLiteChart] svg.marks"
LINK = (
    "/pareto_front?problem=toy&method=decay&seeds=0+1&solutions=8"
    "&iterations=10000&frames=50&lr=0.002"
)


def iteration(page: Page) -> int:
    shown = page.get_by_test_id("stMetric").filter(has_text=re.compile("^Iteration"))
    value = shown.get_by_test_id("stMetricValue")
    expect(value).to_have_count(1)  # while it is drawn anew, the one before may still be there
    return int(value.last.inner_text().replace(",", ""))


def held(page: Page) -> int:
    """The iteration shown, once it has stayed the same while a run's page drew itself anew.

    A step that was under way when the button was pressed may still come, on a busy machine late.
    """
    shown = iteration(page)
    for _ in range(20):
        page.wait_for_timeout(2_500)
        before, shown = shown, iteration(page)
        if before == shown:
            return shown
    raise AssertionError(f"after Pause the iteration went on, to {shown}")


def places(page: Page) -> list[str]:
    """Where the solutions are, as the browser has drawn them."""
    return page.evaluate(PLACES)


@pytest.mark.parametrize("dark", [False, True])
def test_a_front_is_watched_paused_stepped_and_picked_from(open_page, dark: bool) -> None:
    page = open_page(LINK, dark=dark)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(FRONT)).to_be_visible()
    page.locator(FRONT).evaluate("node => { node.untouched = true }")

    # It moves by itself, and the chart stays the same node.
    page.wait_for_function(
        """() => [...document.querySelectorAll('[data-testid=stMetric]')].some(metric =>
            metric.innerText.startsWith('Iteration') && 400 <
            metric.querySelector('[data-testid=stMetricValue]').innerText.replace(',', ''))"""
    )
    assert page.locator(FRONT).evaluate("node => node.untouched === true")

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    stopped, before = held(page), places(page)
    assert stopped < 10_000
    page.wait_for_timeout(1_500)
    assert iteration(page) == stopped

    page.get_by_role("button", name="Step back").click()
    value = page.get_by_test_id("stMetricValue")
    expect(value.filter(has_text=re.compile(f"^{stopped - 200:,}$"))).to_be_visible()
    page.wait_for_function(f"before => String({PLACES}) !== String(before)", arg=before)
    page.get_by_role("button", name="Step", exact=True).click()
    expect(value.filter(has_text=re.compile(f"^{stopped:,}$"))).to_be_visible()

    # A preference picks another model off the front.
    loss = page.get_by_test_id("stMetric").filter(has_text="First peak: loss")
    first = loss.get_by_test_id("stMetricValue").inner_text()
    slider = page.get_by_role("slider", name=re.compile("^Preference among"))
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"pick=6"))
    expect(loss.get_by_test_id("stMetricValue")).not_to_have_text(first)

    # All that it takes to come back here is in the address.
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    page.get_by_role("radio", name="Transfer", exact=True).click()
    expect(page.locator(CHARTS)).to_have_count(3)  # the front and two heat maps
    expect(page).to_have_url(re.compile("look=transfer"))
    link = page.url[page.url.index("/pareto_front") :]
    again = open_page(link, dark=dark, elsewhere=True)
    expect(again.locator(CHARTS)).to_have_count(3)
    expect(again.get_by_test_id("stException")).to_have_count(0)


def test_play_is_drawn_in_the_browser_and_the_numbers_follow(look_at) -> None:
    page = look_at("/pareto_front")
    front = page.locator(FRONT)
    expect(front).to_be_visible()
    front.evaluate("node => { node.untouched = true }")
    # How many fronts the browser has drawn that differ from each other.
    page.evaluate(
        f"""front => {{
            window.drawn = new Set();
            new MutationObserver(() => window.drawn.add(String({PLACES}))).observe(
                document.querySelector(front), {{ subtree: true, attributeFilter: ["transform"] }}
            );
        }}""",
        FRONT,
    )
    page.get_by_label("Loop").check()
    page.get_by_label("Speed").select_option("½×")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("window.drawn.size >= 20")
    page.get_by_role("button", name="Pause").click()
    slider = page.get_by_role("slider", name="Iteration")
    shown = int((slider.get_attribute("aria-valuetext") or "").removeprefix("Iteration "))
    value = page.get_by_test_id("stMetricValue")
    expect(value.filter(has_text=re.compile(f"^{shown}$"))).to_be_visible()

    # Sliding moves the front at once, here and then there.
    before = places(page)
    slider.focus()
    slider.press("Home")
    page.wait_for_function(f"before => String({PLACES}) !== String(before)", arg=before)
    expect(value.filter(has_text=re.compile("^0$"))).to_be_visible()
    assert front.evaluate("node => node.untouched === true")


def test_the_toy_is_solved_for_while_a_slider_is_held(look_at) -> None:
    page = look_at("/pareto_front?look=toy")
    said = page.get_by_text(re.compile("^Hypervolume: Independent"))
    expect(said).to_be_visible()
    before = said.inner_text()
    slider = page.get_by_role("slider", name="Iterations")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^1[45]\d$"))
    expect(said).not_to_have_text(before)
    page.mouse.up()


def test_a_phone_sees_shipped_fronts_and_nothing_sticks_out(look_at) -> None:
    page = look_at("/pareto_front?problem=multimnist&preset=standard", width=390)
    expect(page.locator(FRONT)).to_be_visible()
    expect(page.locator(".st-key-pf_front_metric svg.marks")).to_be_visible()
    expect(page.get_by_text("these fronts ship with the app")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    box = page.locator(FRONT).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # at the end
