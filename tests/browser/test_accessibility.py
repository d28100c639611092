"""What keeps people out of a page: faint words, names that are missing, what a phone cuts off."""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

CHART = "[data-testid=stVegaLiteChart] svg.marks"
STILL = "[data-testid=stApp][data-test-script-state=notRunning]"

PAGES = {
    "/": CHART,
    "/what_if": CHART,
    "/which_auxiliary": CHART,
    "/which_auxiliary?setting=synthetic&look=pairs": CHART,
    "/pareto_front": CHART,
    "/gradient_playground": ".plane > svg",
    "/lessons": "h3",
    "/lessons?lesson=a_helpful_task": CHART,
    "/evidence": "h3",
    "/generalization_gap": CHART,
    "/factors": CHART,
    "/smtos": CHART,
    "/conflict": CHART,
    "/library": "[data-testid=stDataFrame]",
}
"""Every page of the navigation, with what it shows once it is drawn."""

STREAMLITS = {
    # Faint on purpose, which WCAG 1.4.3 grants inactive parts; axe does not see what it belongs to.
    "color-contrast": "label[data-testid=stWidgetLabel][disabled]",
}
"""Rule to what Streamlit draws itself, so that no page can mend it; all else is ours."""

DARK = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
FAINT = """
() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = luminance(getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor);
  const words = document.querySelectorAll(
    ".plane svg text, svg.marks .role-axis text, svg.marks .role-legend text, svg.marks text[fill^='#8'], svg.marks text[fill^='#7']"
  );
  return [...words].filter((word) => {
    const [low, high] = [luminance(getComputedStyle(word).fill), ground].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05) < 4.5;
  }).map((word) => word.textContent);
}
"""  # noqa: E501


@pytest.mark.parametrize("path", PAGES)
def test_a_page_keeps_nobody_out(look_at: Any, path: str) -> None:
    page = look_at(path)
    expect(page.locator(PAGES[path]).first).to_be_visible()
    page.wait_for_selector(STILL)
    assert _violations(page) == []
    assert page.evaluate(FAINT) == []
    light = page.evaluate(DARK)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.wait_for_function(f"{DARK} !== '{light}'")
    assert _violations(page, only="color-contrast") == []
    assert page.evaluate(FAINT) == []
    # And on a phone nothing sticks out.
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(PAGES[path]).first).to_be_visible()
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    main = "document.querySelector('[data-testid=stMain]')"
    page.wait_for_function(f"{main}.scrollWidth <= {main}.clientWidth")


@pytest.mark.parametrize("path", ["/what_if?seeds=77", "/pareto_front?seeds=77"])
def test_run_is_reached_with_five_tabs(look_at: Any, path: str) -> None:
    page = look_at(path)
    run = page.get_by_test_id("stMain").get_by_role("button", name="Run", exact=True)
    expect(run).to_be_enabled()
    page.wait_for_selector(STILL)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to main content")
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
        if run.evaluate("button => button === document.activeElement"):
            return
    raise AssertionError(f"after five tabs the focus is on {page.locator(':focus').text_content()}")


def test_on_a_phone_the_answer_of_what_if_is_seen_without_scrolling(look_at: Any) -> None:
    page = look_at("/what_if", width=390)
    page.set_viewport_size({"width": 390, "height": 844})
    transfer = page.get_by_test_id("stMetric").filter(has_text="Transfer ΔE")
    expect(transfer).to_be_visible()
    page.wait_for_selector(STILL)
    box = transfer.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 844


def test_charts_say_what_came_out_and_not_their_marks(look_at: Any) -> None:
    page = look_at("/what_if")
    hero = page.locator("[role=graphics-document]").first
    told = re.compile(r"^Test accuracy E of target .*: \+ cos100 ends [\d.]+ points above single")
    expect(hero).to_have_attribute("aria-label", told)
    expect(page.locator(CHART).first).to_be_visible()
    assert page.locator(f"{CHART} [aria-roledescription=point]").count() == 0


def _violations(page: Page, only: str | None = None) -> list[str]:
    """Serious and critical ones, looked for until a page that still changes holds still."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if only:
        options["runOnly"] = {"type": "rule", "values": [only]}
    for _ in range(5):
        found = Axe().run(page, options=options).response["violations"]
        told = [
            f"{one['id']}: {node['target']}, {node['failureSummary']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
            if not _streamlits(page, one["id"], node["target"][0])
        ]
        if not told:
            break
        page.wait_for_timeout(500)
    return told


def _streamlits(page: Page, rule: str, target: str) -> bool:
    known = STREAMLITS.get(rule)
    if known is None:
        return False
    inside = "([target, known]) => !!document.querySelector(target)?.closest(known)"
    return bool(page.evaluate(inside, [target, known]))
