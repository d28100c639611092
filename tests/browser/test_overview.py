"""The landing page, as a newcomer finds it."""

import re

import pytest
from playwright.sync_api import expect

HERO = "[data-testid=stVegaLiteChart] svg.marks"


@pytest.mark.parametrize("dark", [False, True])
def test_first_paint_shows_curves(look_at, dark: bool) -> None:
    page = look_at(dark=dark)
    # The hero and, below it, sharpness, Fisher and covariance of the same three runs.
    expect(page.locator(HERO)).to_have_count(4)
    for chart in page.locator(HERO).all():
        lines = chart.locator("g.mark-line path")
        expect(lines.first).to_be_visible()
        assert lines.count() == 3
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        outcome = "can explain|moves the other way|no change found|not enough to tell"
        expect(page.get_by_text(re.compile(f"^.*{factor}: ({outcome})$"))).to_be_visible()
    cards = page.get_by_test_id("stMetricLabel")
    expect(cards).to_have_text(["Alone", "With a related task", "With an unrelated task"])
    # The gaps are marked, each with its size.
    marks = page.locator(HERO).first.locator("g.mark-text.role-mark text")
    expect(marks).to_have_count(2)
    assert [re.sub(r"[0-9]", "0", text) for text in marks.all_text_contents()] == [
        "+0.0 pt",
        "-0.0 pt",
    ]
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_phone_sees_the_answer_first(look_at) -> None:
    page = look_at(width=390)
    expect(page.locator(HERO).first).to_be_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0


def test_every_setting_has_a_figure(look_at) -> None:
    page = look_at()
    expect(page.locator(HERO).first).to_be_visible()
    page.get_by_role("radio", name="Digits").click()
    expect(page.get_by_text("handwritten")).to_be_visible()
    expect(page.get_by_text("clothing images")).to_have_count(0)
    page.reload()
    expect(page.get_by_text("handwritten")).to_be_visible()


def test_try_it_yourself_trains_here_and_now(app, open_page) -> None:
    page = open_page("/")
    page.get_by_test_id("stMain").get_by_role("button", name="Try it yourself").click()
    expect(page).to_have_url(re.compile(r"/what_if\?.*setting=synthetic.*aux=cos100.*seeds=10"))
    # Without another click, curves of both grow.
    expect(page.locator(HERO).first.locator("g.mark-symbol.role-mark path").nth(1)).to_be_visible()
    assert {record.seed for record in app.store.runs()} == {10, 11, 12}
    assert {record.config.auxiliaries for record in app.store.runs()} == {(), ("cos100",)}


def test_the_question_leads_to_what_if(look_at) -> None:
    page = look_at()
    page.get_by_role("link", name="What if both are added at once?").click()
    expect(page).to_have_url(re.compile(r"/what_if\?.*aux=fashion2\+noisy_fashion"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("fashion2 and noisy_fashion")
