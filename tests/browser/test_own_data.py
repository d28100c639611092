"""A table of one's own: dropped, a target chosen, trained, raced, and a front solved on it."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import owned

CHART = "[data-testid=stVegaLiteChart] svg.marks"


def pick(page: Page, title: str, *options: str) -> None:
    """Choose options of a multiselect."""
    box = page.get_by_role("combobox", name=title)
    for option in options:
        box.fill(option)
        page.get_by_role("option", name=option, exact=True).click()
    box.press("Escape")


def run(page: Page) -> None:
    button = page.get_by_test_id("stMain").get_by_role("button", name="Run", exact=True)
    expect(button).to_be_enabled()
    button.click()


def done(app: Any, page: Page, setting: str, count: int) -> None:
    """Wait until so many runs on a setting, or of fronts on it, are done, and none has failed."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        states = [one.state for one in app.store.runs() if setting in str(one.config.to_dict())]
        assert "failed" not in states
        if states.count("done") >= count:
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{states} of {count} runs")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app's data folder, which is set before it starts."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "own"


def test_a_table_is_dropped_trained_on_raced_and_solved_for(
    data: Path, own_app: Any, open_own: Any, tmp_path: Path
) -> None:
    owned.frame(200).assign(z=lambda t: t["a"] * 2).to_csv(tmp_path / "größe.csv", index=False)
    page = open_own("/what_if")
    page.get_by_role("button", name="Add data").click()
    form = page.get_by_role("dialog")
    # What is no table is refused in one line, and leaves nothing behind.
    (tmp_path / "bad.csv").write_text("a,a\n1,2\n", encoding="utf-8")
    form.locator("input[type=file]").set_input_files(tmp_path / "bad.csv")
    expect(form.get_by_text("bad.csv has two columns 'a'; rename one")).to_be_visible()
    assert not data.exists()
    form.locator("input[type=file]").set_input_files(tmp_path / "größe.csv")
    expect(form.get_by_text("größe.csv: 200 rows, 6 columns.")).to_be_visible()
    pick(page, "Labels", "y", "kind", "z")
    expect(form.get_by_text(re.compile("^kind: 2 classes: (yes|no) "))).to_be_visible()
    form.get_by_role("button", name="Save as a setting").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile("setting=own-[0-9a-f]{10}"))
    (name,) = [file.stem for file in data.glob("*.npz")]

    budget = "&epochs=3&factor_points=1&early_checkpoints=2"
    page.goto(f"{page.url}&seeds=0+1&aux=kind{budget}".replace("&aux=z", ""))
    expect(page.get_by_text("What if y is trained together with kind?")).to_be_visible()
    run(page)
    done(own_app, page, name, 4)
    expect(page.locator(CHART).first).to_be_visible()

    page.goto(f"{own_app.url}/which_auxiliary?setting={name}&target=y&candidates=z&margin=100")
    run(page)
    expect(page.locator(CHART).get_by_text("z", exact=False).first).to_be_visible()
    done(own_app, page, name, 8)

    query = f"problem=csv&problem.file={name}&problem.targets=y,kind&seeds=0&iterations=40"
    page.goto(f"{own_app.url}/pareto_front?{query}&frames=4&method=adaptive")
    run(page)
    done(own_app, page, f"'file': '{name}'", 1)
    expect(page.locator(CHART).first).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)

    # A link to data that is not here any more says so, on every page.
    (data / f"{name}.npz").unlink()
    for path in (f"what_if?setting={name}&target=z", f"pareto_front?{query}&seeds=7"):
        page.goto(f"{own_app.url}/{path}")
        expect(
            page.get_by_text(f"The data of {name}", exact=False)
            .or_(page.get_by_text(f"the data of {name}", exact=False))
            .first
        ).to_be_visible()
