"""The pages on the paper's figures: claim, figure and verdict, and links that are wrong."""

import re

import pytest
from playwright.sync_api import Page, expect

CHART = "[data-testid=stVegaLiteChart] svg.marks"
VERDICT = re.compile("the runs here (agree|disagree|cannot tell)", re.I)


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_evidence_lists_claims_and_leads_to_their_pages(look_at) -> None:
    page = look_at("/evidence?paper=M24", width=390, dark=True)
    expect(page.get_by_role("heading", level=1)).to_contain_text("What do the papers claim")
    expect(page.get_by_role("heading", name="Mueller, Dredze & Andrews 2024")).to_be_visible()
    assert fits(page)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="FashionMTL").first.click()
    expect(opened.value).to_have_url(re.compile(r"/generalization_gap\?setting=fashion&budget="))
    expect(opened.value.get_by_text(VERDICT).first).to_be_visible()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_generalization_gap_has_claim_figure_and_verdict(look_at, width, dark) -> None:
    page = look_at(
        "/generalization_gap?setting=fashion&budget=standard", width=width, dark=dark
    )  # fmt: skip
    expect(page.get_by_role("heading", level=1)).to_contain_text("Does transfer show early")
    expect(page.get_by_text("comparable training loss, and is maintained")).to_be_visible()
    expect(page.get_by_text(VERDICT).first).to_be_visible()
    expect(page.locator(CHART)).to_have_count(1)
    expect(page.locator(CHART).locator("g.mark-line path")).to_have_count(3)
    expect(page.get_by_text("20 of 100 epochs")).to_be_visible()
    assert fits(page)
    page.get_by_role("link", name="Open fashion1 on What if").click()
    expect(page).to_have_url(re.compile(r"/what_if\?.*aux=fashion2&preset=standard"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("together with fashion2")


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_factors_rebuilds_table_1_beside_the_published_one(look_at, width, dark) -> None:
    page = look_at("/factors?setting=fashion&budget=standard&rows=all", width=width, dark=dark)
    expect(page.locator(CHART)).to_have_count(3)
    for chart in page.locator(CHART).all():
        expect(chart.locator("g.mark-line path")).to_have_count(3)
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        outcome = "can explain|moves the other way|no change found|not enough to tell"
        expect(page.get_by_text(re.compile(f"^.*{factor}: ({outcome})$"))).to_be_visible()
    expect(page.get_by_role("cell", name="fashion1 + noisy fashion")).to_be_visible()
    expect(page.get_by_text("CIFAR-100, 7 tasks")).to_be_visible()
    page.get_by_text("Cityscapes, 2 tasks").click()
    expect(page.get_by_role("cell", name="Depth Estimation")).to_be_visible()
    assert fits(page)
    page.get_by_text("How this was computed").click()
    expect(page.get_by_text("20 geometrically spaced bins")).to_be_visible()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_conflict_draws_a_point_per_auxiliary_set(look_at, width, dark) -> None:
    page = look_at("/conflict?setting=digits&budget=quick", width=width, dark=dark)
    expect(page.locator(CHART)).to_have_count(4)
    # Fisher trace: sharpness was not measured near enough to the end by all of them.
    points = page.locator(CHART).nth(1).locator("g.mark-symbol.role-mark").last.locator("path")
    expect(points).to_have_count(3)
    points.first.hover()
    expect(page.locator("#vg-tooltip-element")).to_contain_text("digits2")
    expect(page.get_by_text("Worsens optimization: the runs here cannot tell")).to_be_visible()
    assert fits(page)


def test_what_a_link_gets_wrong_is_said_and_the_page_stands(look_at) -> None:
    page = look_at("/factors?setting=celebs&aggregate=median", width=390)
    expect(page.get_by_text("unknown setting 'celebs'")).to_be_visible()
    expect(page.get_by_text("unknown aggregate 'median'")).to_be_visible()
    expect(page.locator(CHART)).to_have_count(3)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_navigation_has_groups_that_lead_there(look_at, navigate) -> None:
    page = look_at()
    navigate(page, "The papers", "Conflict")
    expect(page).to_have_url(re.compile("/conflict"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("gradient conflict")
