"""Lessons in a real browser: from prediction to outcome, and a class of three browsers."""

import re

from playwright.sync_api import expect

HERO = "[data-testid=stVegaLiteChart] svg.marks"


def test_a_lesson_from_prediction_to_outcome(app, open_page) -> None:
    # A step whose networks do not ship, and are small.
    page = open_page("/lessons?lesson=noise_and_data&step=5")
    expect(page.get_by_role("heading", level=1)).to_have_text("When examples are scarce")
    main = page.get_by_test_id("stMain")
    run = main.get_by_role("button", name="Run", exact=True)
    expect(run).to_be_disabled()
    page.get_by_test_id("stRadio").get_by_text("Better.").click()
    expect(page).to_have_url(re.compile(r"guesses=-\+-\+-\+-\+better"))
    expect(page.get_by_text("10 networks to train")).to_be_visible()
    expect(run).to_be_enabled()
    run.click()
    expect(page.get_by_text(re.compile(r"Training: \d+%"))).to_be_visible()
    # Both curves grow, and then the guess is held against them.
    expect(page.locator(f"{HERO} g.mark-line path").nth(1)).to_be_visible()
    expect(page.get_by_text("Your guess was right.")).to_be_visible()
    expect(page.get_by_text(re.compile(r"at the same training loss: \+\d"))).to_be_visible()
    expect(page.get_by_text("What this shows")).to_be_visible()
    expect(main.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    assert len(app.store.runs()) == 10
    # The address keeps it all.
    page.reload()
    expect(page.get_by_text("Your guess was right.")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_two_browsers_in_one_class_and_the_histogram_in_a_third(look_at) -> None:
    presenter = look_at("/lessons?lesson=a_helpful_task", elsewhere=True)
    presenter.get_by_text("With a class").click()
    presenter.get_by_role("button", name="Open a class").click()
    link = presenter.get_by_test_id("stCode").inner_text().strip()
    assert re.search(r"/lessons\?lesson=a_helpful_task&class=[A-Z]{8}$", link)
    expect(presenter.get_by_text("0 answers here; 0 browsers take part")).to_be_visible()
    path = link[link.index("/lessons") :]
    one, two = look_at(path, elsewhere=True), look_at(path, elsewhere=True)
    for page, answer in ((one, "Better."), (two, "Worse.")):
        expect(page.get_by_text("Your guesses go to whoever presents")).to_be_visible()
        page.get_by_test_id("stRadio").get_by_text(answer).click()
    # It follows without a touch.
    expect(presenter.get_by_text("2 answers here; 2 browsers take part")).to_be_visible()
    numbers = presenter.locator(HERO).first.locator("g.mark-text.role-mark text")
    expect(numbers).to_have_text(["1", "1", "0"])
    expect(one.get_by_text("answers here")).to_have_count(0)
    two.get_by_test_id("stRadio").get_by_text("Better.").click()
    expect(numbers).to_have_text(["2", "0", "0"])
    presenter.get_by_role("button", name="End the class").click()
    one.reload()
    expect(one.get_by_text("There is no class of this code, or it has ended")).to_be_visible()


def test_a_phone_shows_all_of_a_step(look_at) -> None:
    page = look_at("/lessons?lesson=a_harmful_task&guesses=-9&shown=1", width=390)
    expect(page.get_by_text("inside the interval")).to_be_visible()
    expect(page.locator(HERO).nth(1)).to_be_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0


def test_a_curve_is_drawn_with_the_mouse_and_moved_with_keys(look_at) -> None:
    page = look_at("/lessons?lesson=a_harmful_task&step=2")
    plot = page.locator(".sketch svg")
    expect(plot.locator("polyline")).to_have_count(1)  # the single task's
    box = plot.bounding_box()
    assert box is not None
    left, width, middle = box["x"] + 50, box["width"] - 62, box["y"] + 118
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(left + width, middle, steps=4)
    page.mouse.up()
    # Half of the height is 50 %, at all nine places.
    expect(page).to_have_url(re.compile(r"guesses=-\+50(\.50){8}"), timeout=20_000)
    expect(plot.locator("polyline")).to_have_count(2)
    last = plot.get_by_role("slider").last
    for _ in range(3):
        last.press("ArrowUp")
    expect(page).to_have_url(re.compile(r"guesses=-\+50(\.50){7}\.53"))
    expect(last).to_have_attribute("aria-valuenow", "53")
    page.get_by_role("button", name="Show what came out").click()
    expect(page.get_by_text("from the other one, on the right side.")).to_be_visible()
    expect(plot.locator("polyline")).to_have_count(3)
    page.reload()
    expect(plot.get_by_role("slider").last).to_have_attribute("aria-valuenow", "53")
