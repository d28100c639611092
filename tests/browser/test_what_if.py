"""What if …?: a run from the first click to the last point, and all that may interrupt it."""

import os
import re
import signal
import time

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from mtl_core import RunConfig
from mtl_core.runs import kinds
from mtl_core.trajectory import METRICS
from tests import stored

HERO = "[data-testid=stVegaLiteChart] svg.marks"
# Two networks that train for some twenty seconds here, and one that trains for a few.
LONG = (
    "/what_if?setting=digits&target=digits1&aux=digits2&preset=quick&epochs=400&seeds=0&look=epochs"
)
KILLED = LONG.replace("epochs=400", "epochs=100")
# One whose factors are measured all along.
FACTORS = LONG.replace("epochs=400", "epochs=120").replace("look=epochs", "factor_points=60")
SHORT = (
    "/what_if?setting=digits&target=digits1&aux=noisy_digits&preset=quick&epochs=12&seeds=0+1"
    "&look=epochs"
)


def config_of(path: str) -> RunConfig:
    from urllib.parse import parse_qsl, urlsplit

    from mtl_core.views.what_if import Question

    question, problems = Question.from_query(dict(parse_qsl(urlsplit(path).query)))
    assert not problems
    return question.config


def press(page: Page, name: str) -> None:
    # Streamlit's toolbar has a Stop of its own while a script runs.
    button = page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True)
    expect(button).to_be_enabled()
    button.click()


def wait_for_rows(app, config: RunConfig, least: int = 1) -> int:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if (rows := len(app.store.table(config, "trajectory"))) >= least:
            return rows
        time.sleep(0.1)
    raise TimeoutError(f"no {least} rows of {config.auxiliaries_label}")


def test_toggle_and_run_grow_a_curve(app, open_page) -> None:
    page = open_page("/what_if?setting=digits")
    # The first paint is an answer, from the artifacts.
    expect(page.locator(f"{HERO} g.mark-line path").first).to_be_visible()
    expect(page.get_by_text("Answered already")).to_be_visible()
    page.get_by_text("noisy_digits", exact=True).click()
    expect(page).to_have_url(re.compile(r"aux=digits2\+noisy_digits"))
    # What ships answers at once; other seeds do not.
    expect(page.get_by_text("Answered already")).to_be_visible()
    seeds = page.get_by_role("textbox", name="Seeds")
    seeds.fill("27")
    seeds.press("Enter")
    expect(page.get_by_text("2 networks to train")).to_be_visible()
    press(page, "Run")
    expect(page.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()
    # Two networks with all their factors: a quarter of a minute on two free cores.
    expect(page.get_by_text("these runs are in the store")).to_be_visible(timeout=240_000)
    labels = page.locator(HERO).first.locator("g.role-legend-label text")
    assert labels.all_text_contents() == ["single task", "+ digits2 + noisy_digits"]
    main = page.get_by_test_id("stMain")
    expect(main.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    runs = {record.config.auxiliaries_label: record.config.seeds for record in app.store.runs()}
    assert runs == {"stl": (27,), "digits2+noisy_digits": (27,)}, "and nothing that ships"


def test_single_task_and_multi_task_curves_grow_side_by_side(app, open_page) -> None:
    page = open_page(LONG.replace("seeds=0", "seeds=0+1"))
    press(page, "Run")
    hero = page.locator(HERO).first
    # Points of both curves, within the first tenth of the run.
    expect(hero.locator("g.mark-symbol.role-mark path").nth(1)).to_be_visible()
    records = app.store.runs()
    assert len(records) == 4
    assert all(record.step >= 0 for record in records), "every seed of both has points"
    assert max(record.share for record in records) < 0.1
    # They stay side by side: no run is ever further ahead of another than a slice or two.
    for _ in range(10):
        shares = [record.share for record in app.store.runs()]
        assert max(shares) - min(shares) < 0.15
        time.sleep(0.5)


def test_added_seeds_are_the_only_ones_that_are_trained(app, open_page) -> None:
    page = open_page(SHORT.replace("seeds=0+1", "seeds=0+1+2"))
    press(page, "Run")
    expect(page.get_by_text("these runs are in the store")).to_be_visible()
    before = {record.key: record.finished_at for record in app.store.runs()}
    assert len(before) == 6
    press(page, "Add seeds")
    expect(page).to_have_url(re.compile(r"seeds=0\+1\+2\+3\+4\+5"))
    expect(page.get_by_text("It goes on when this tab is closed")).to_be_visible()
    expect(page.get_by_text("these runs are in the store")).to_be_visible()
    after = {record.key: record for record in app.store.runs()}
    assert {key: after[key].finished_at for key in before} == before, "what was known stays"
    assert sorted(key.seed for key in set(after) - set(before)) == [3, 3, 4, 4, 5, 5]
    assert {record.state for record in after.values()} == {"done"}


def test_two_questions_move_at_once_before_five_visitors(app, open_page) -> None:
    first = open_page(LONG)
    second = open_page(LONG.replace("aux=digits2", "aux=noisy_digits&lr=0.002"))
    for page in (first, second):
        press(page, "Run")
    # Three look on: at the first question from its link, at one that ships, at another page.
    third, fourth, fifth = map(open_page, (LONG, "/what_if?setting=digits&aux=digits2", "/"))
    expect(fifth.locator(f"{HERO} g.mark-line path").first).to_be_visible()
    fourth.get_by_text("Over epochs", exact=True).click()
    expect(fourth.locator(HERO)).to_have_count(4)  # the hero, its strip, loss and metric
    for page in (first, second, third):
        going = page.get_by_text(re.compile(r"Training, \d+%"))
        seen = set()
        while len(seen) < 4:
            seen.add(re.sub(r"%.*", "%", going.first.text_content()))
            time.sleep(0.2)
    assert {record.state for record in app.store.runs()} == {"running"}
    assert len({record.question for record in app.store.runs()}) == 2


def test_a_deep_link_to_a_fresh_server_has_the_navigation(open_own) -> None:
    page = open_own("/what_if?setting=digits&aux=noisy_digits")
    expect(page.get_by_role("heading", level=1)).to_contain_text("noisy_digits")
    page.get_by_test_id("stTopNavSection").filter(has_text="Explore").click()
    # Their text begins with the name of an icon.
    titles = ("Overview", "What if", "Which auxiliary", "Pareto front", "Gradient playground")
    links = [re.compile(f"{title}$") for title in titles]
    expect(page.get_by_test_id("stTopNavDropdownLink")).to_have_text(links)
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(0)


def test_stop_keeps_the_points(app, open_page) -> None:
    page = open_page(LONG)
    press(page, "Run")
    config = config_of(LONG)
    wait_for_rows(app, config.baseline, 5)
    press(page, "Stop")
    # Both end at the end of their slices.
    expect(page.get_by_text(re.compile(r"was stopped at \d+%"))).to_have_count(2)
    kept = len(app.store.table(config.baseline, "trajectory"))
    assert kept >= 5
    expect(page.locator(f"{HERO} g.mark-line path").first).to_be_visible()
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_enabled()
    assert {record.state for record in app.store.runs()} == {"cancelled"}
    time.sleep(1)  # two slices
    assert len(app.store.table(config.baseline, "trajectory")) == kept


def test_reload_second_browser_and_live_chart(app, open_page) -> None:
    page = open_page(LONG)
    press(page, "Run")
    wait_for_rows(app, config_of(LONG).baseline, 5)
    marks = page.locator(HERO).first
    expect(marks).to_be_visible()
    expect(page.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()

    # The chart keeps its node while the worker adds points.
    marks.evaluate("node => { node.untouched = true }")
    seen = set()
    while len(seen) < 6:
        seen.add(page.get_by_text(re.compile(r"Training, \d+%")).first.text_content())
        time.sleep(0.2)
    assert marks.evaluate("node => node.untouched === true")

    # Closing and coming back changes nothing for the run.
    page.reload()
    expect(page.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()
    assert len(app.store.runs()) == 2

    # Its address says everything, in any browser.
    other = open_page(page.url.removeprefix(app.url), elsewhere=True)
    expect(other.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()
    heading = page.get_by_role("heading", level=1).text_content()
    expect(other.get_by_role("heading", level=1)).to_have_text(heading)
    assert other.url == page.url
    press(other, "Stop")
    expect(page.get_by_text("was stopped").first).to_be_visible()


def test_axes_stand_still_while_curves_grow(app, open_page) -> None:
    page = open_page(LONG)
    press(page, "Run")
    hero = page.locator(HERO).first
    ticks = hero.locator("g.role-axis-label text")
    seen = []
    # Three moments, each with more points than the one before.
    for least in (3, 12, 24):
        wait_for_rows(app, config_of(LONG), least)
        expect(hero.locator("g.mark-symbol.role-mark path").nth(least)).to_be_attached()
        seen.append(ticks.all_text_contents())
    assert seen[0] == seen[1] == seen[2]
    assert {"1", "0.001"} <= {*seen[0]}, "from chance to where such runs end"
    press(page, "Stop")
    expect(page.get_by_text("was stopped").first).to_be_visible()


def test_factors_grow_live_in_charts_that_stay(app, open_page) -> None:
    page = open_page(FACTORS)
    press(page, "Run")
    expect(page.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()
    charts = page.locator(HERO)
    expect(charts).to_have_count(6)  # the hero, its strip and four factors
    for chart in range(6):
        charts.nth(chart).evaluate("node => { node.untouched = true }")
    path = charts.nth(2).locator("g.mark-line path").first
    expect(path).to_have_attribute("d", re.compile("L"))  # two points make a line
    before = path.get_attribute("d")
    expect(page.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()
    expect(path).not_to_have_attribute("d", before)
    for chart in range(6):
        assert charts.nth(chart).evaluate("node => node.untouched === true")
    press(page, "Stop")
    expect(page.get_by_text("was stopped").first).to_be_visible()


def test_the_correlation_panel_grows_live_and_a_click_pins(app, open_page) -> None:
    page = open_page(FACTORS)
    expect(page.locator(HERO).first).to_be_visible()
    # A click on a control of the live part shows another view, and the address says so.
    page.get_by_role("radio", name="Correlation").click()
    expect(
        page.get_by_text("0 auxiliary sets with a finished run are fewer than 20")
    ).to_be_visible()
    expect(page).to_have_url(re.compile("look=correlation"))
    press(page, "Run")
    # The run's point is there while it still trains; only finished runs count.
    points = page.locator(HERO).nth(2).locator("g.mark-symbol path[aria-roledescription=point]")
    expect(points.first).to_be_attached(timeout=120_000)
    expect(page.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()
    before = points.first.get_attribute("aria-label")
    expect(points.first).not_to_have_attribute("aria-label", before)
    press(page, "Stop")
    expect(page.get_by_text("was stopped").first).to_be_visible()
    points.first.click(force=True)
    expect(page).to_have_url(re.compile(f"pins={config_of(FACTORS).id}"))


def test_optimizers_are_chosen_run_and_looked_into(app, open_page) -> None:
    page = open_page(SHORT.replace("seeds=0+1", "seeds=0"))
    chooser = page.get_by_role("combobox", name="Multi-task optimizers beside UMTG")
    chooser.fill("MGDA")
    page.get_by_role("option", name="MGDA").click()
    chooser.press("Escape")
    expect(page).to_have_url(re.compile(r"optimizer=umtg\+mgda"))
    page.get_by_text("Their options").click()
    page.get_by_role("radio", name="l2").click()
    expect(page).to_have_url(re.compile(r"mgda\.normalization=l2"))
    expect(page.get_by_text("3 networks to train")).to_be_visible()
    press(page, "Run")
    expect(page.get_by_text("these runs are in the store")).to_be_visible(timeout=240_000)
    labels = page.locator(HERO).first.locator("g.role-legend-label text")
    assert labels.all_text_contents() == [
        "single task",
        "+ noisy_digits",
        "+ noisy_digits · MGDA · normalization l2",
    ]
    page.get_by_role("radio", name="Optimizers", exact=True).click()
    expect(page).to_have_url(re.compile("look=optimizers"))
    # The weights of both tasks, the cosine they met, and both optimizers' updates.
    for chart, lines in ((2, 2), (3, 1), (4, 2), (5, 2)):
        expect(page.locator(HERO).nth(chart).locator("g.mark-line path")).to_have_count(lines)
    (told,) = {
        record.config
        for record in app.store.runs()
        if record.config.optimizer == "mgda" and len(app.store.table(record.config, "updates"))
    }
    rows = app.store.table(told, "updates")
    assert rows.groupby("step")["weight"].sum().round(5).eq(1).all(), "a convex combination"


def test_two_tabs_that_ask_the_same_train_once(app, open_page) -> None:
    first, second = open_page(SHORT), open_page(SHORT)
    log = app.store_path.parent / "runs.db.worker.log"
    before = log.read_text().count(" starts") if log.exists() else 0
    for page in (first, second):
        button = page.get_by_role("button", name="Run", exact=True)
        expect(button).to_be_enabled()
    first.get_by_role("button", name="Run", exact=True).click(no_wait_after=True)
    second.get_by_role("button", name="Run", exact=True).click(no_wait_after=True)
    for page in (first, second):
        expect(page.get_by_text("these runs are in the store")).to_be_visible()
    records = app.store.runs()
    labels = sorted(record.config.auxiliaries_label for record in records)
    assert labels == ["noisy_digits", "noisy_digits", "stl", "stl"]
    assert log.read_text().count(" starts") - before == 4


def test_a_killed_worker_fails_the_run_and_resume_completes_it(own_app, open_own) -> None:
    app, page = own_app, open_own(KILLED)
    press(page, "Run")
    config = config_of(KILLED).baseline
    before = wait_for_rows(app, config, 8)
    os.kill(app.worker_pid(), signal.SIGKILL)
    expect(page.get_by_text("the worker died while training").first).to_be_visible()
    records = app.store.runs(config.id)
    assert {record.state for record in records} == {"failed"}
    kept = app.store.table(config, "trajectory")
    assert len(kept) >= before

    # There is a new worker; dead runs are resumed by hand and complete.
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_enabled(timeout=120_000)
    press(page, "Resume")
    expect(page.get_by_text("these runs are in the store")).to_be_visible(timeout=120_000)
    undisturbed = kinds.get("training").frames(stored.solved(config))["trajectory"]
    resumed = app.store.table(config, "trajectory")
    pd.testing.assert_frame_equal(
        resumed[["seed", "step", "task", *METRICS]],
        undisturbed[["seed", "step", "task", *METRICS]],
        check_exact=True,
    )


def test_the_run_outlives_the_server(own_app, open_own) -> None:
    app, page = own_app, open_own(LONG)
    press(page, "Run")
    config = config_of(LONG).baseline
    rows = wait_for_rows(app, config, 3)
    worker = app.worker_pid()
    page.context.close()
    app.stop()
    wait_for_rows(app, config, rows + 3)
    app.start()
    again = open_own(LONG)
    expect(again.get_by_text(re.compile(r"Training, \d+%")).first).to_be_visible()
    assert app.worker_pid() == worker
    press(again, "Stop")
    expect(again.get_by_text("was stopped").first).to_be_visible()


def test_pins_stay_on_the_chart(shared_app, look_at) -> None:
    page = look_at("/what_if?setting=digits&aux=digits2")
    labels = page.locator(HERO).first.locator("g.role-legend-label text")
    expect(labels).to_have_text(["single task", "+ digits2"])
    press(page, "Pin")
    page.get_by_text("digits2", exact=True).first.click()
    page.get_by_text("noisy_digits", exact=True).click()
    # A pin has all seeds that there are, of which the question asks for three.
    pinned = "+ digits2 · seeds 0–19"
    expect(labels).to_have_text(["single task", "+ noisy_digits", pinned])
    other = look_at(page.url.removeprefix(shared_app.url), elsewhere=True)
    others = other.locator(HERO).first.locator("g.role-legend-label text")
    expect(others).to_have_text(["single task", "+ noisy_digits", pinned])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("setting=cifar", "unknown setting 'cifar'; one of: digits, fashion, mnists, cifar100, "),
        ("target=nobody", "unknown task of digits 'nobody'"),
        ("lr=-1", "learning rate -1.0 must be a finite number above 0"),
        ("seeds=x", "seed 'x' is not a whole number"),
        ("pins=../../etc", "is not a run's id"),
        ("what=ever", "unknown parameter 'what'"),
        ("batch_size=100000", "batch size 100000 is larger than the 250 training examples"),
    ],
)
def test_nonsense_in_the_url_is_named(look_at, query: str, words: str) -> None:
    page = look_at(f"/what_if?setting=digits&{query}")
    expect(page.get_by_text(words)).to_be_visible()
    # And the page works all the same.
    expect(page.locator(f"{HERO} g.mark-line path").first).to_be_visible()
    assert "Traceback" not in page.content()


@pytest.mark.parametrize(
    "own_app",
    [{"MTL_DATA_DIR": "no-data-here", "HTTPS_PROXY": "http://127.0.0.1:9"}],
    indirect=True,
)
def test_missing_data_is_explained_and_the_rest_works(open_own) -> None:
    # This question's runs do not ship; those without the noisy task do.
    page = open_own("/what_if?setting=fashion&preset=standard&aux=fashion2+noisy_fashion")
    expect(page.get_by_text("FashionMNIST is not in no-data-here")).to_be_visible()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    press(page, "Download FashionMNIST")
    expect(page.get_by_text("FashionMNIST could not be downloaded")).to_be_visible()
    # What needs no data is there: the shipped runs, and the other setting.
    page.get_by_text("noisy_fashion", exact=True).click()
    expect(page.get_by_text("Answered already")).to_be_visible()
    expect(page.locator(f"{HERO} g.mark-line path").first).to_be_visible()
    # Nor does the Overview need any.
    overview = open_own()
    expect(overview.locator(f"{HERO} g.mark-line path").first).to_be_visible()


def test_the_page_fits_a_phone(look_at) -> None:
    page = look_at("/what_if", width=390)
    expect(page.locator(HERO).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_changing_the_budget_asks_another_question(look_at) -> None:
    page = look_at("/what_if?setting=digits&aux=digits2&lr=0.02")
    expect(page.get_by_text("Hyperparameters (1 changed)")).to_be_visible()
    page.get_by_role("radio", name="standard").click()
    expect(page).to_have_url(re.compile("preset=standard"))
    assert "lr=" not in page.url
    expect(page.get_by_text("6 networks to train")).to_be_visible()
