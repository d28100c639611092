"""Library: a run comes from another machine, is looked at and taken out, and is deleted."""

import re
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from mtl_core import RunConfig
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.trajectory import COLUMNS
from tests import stored

CHART = "[data-testid=stVegaLiteChart] svg.marks"


@pytest.fixture(scope="module")
def config() -> RunConfig:
    """An experiment that trains in a moment, and that nobody ships."""
    small = {"epochs": 1, "samples": 64, "batch_size": 32, "held_out": 50, "width": 4}
    tasks = {"auxiliaries": ("digits2",), "optimizer": "mgda"}
    return RunConfig.from_preset("digits", "quick", factors=(), seeds=(0, 1), **small, **tasks)


@pytest.fixture(scope="module")
def parcel(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> Path:
    """The zip file that another machine exports."""
    folder = tmp_path_factory.mktemp("elsewhere")
    made = artifacts.provenance(config, "cpu") | {"created": "2026-01-02T03:04:05Z"}
    content = artifacts.collected(config, stored.solved(config), made, 1.5)
    there = Answers(None, {config.id: artifacts.read(artifacts.write(folder / "run", content))})
    (folder / "theirs.zip").write_bytes(exchange.pack([there.find(config)], there))
    return folder / "theirs.zip"


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def bring(page: Page, file: Path) -> None:
    page.get_by_role("button", name="Import").click()
    page.locator("input[type=file]").set_input_files(file)
    form = page.get_by_role("dialog", name="Import")
    expect(form.get_by_text(file.name)).to_be_visible()
    form.get_by_role("button", name="Import", exact=True).click()


def test_a_run_comes_is_taken_out_and_is_deleted(
    app, open_page, config: RunConfig, parcel: Path, tmp_path: Path
) -> None:
    folder = app.store_path.parent / "imported"
    page = open_page("/library")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Which experiments are there")
    # What must not happen: a file that is not sound leaves something behind, or breaks the page.
    (tmp_path / "bad.zip").write_bytes(parcel.read_bytes()[:-100])
    bring(page, tmp_path / "bad.zip")
    expect(page.get_by_text("bad.zip: it is not a sound zip file")).to_be_visible()
    assert list(folder.iterdir()) == []

    page.reload()
    bring(page, parcel)
    expect(
        page.get_by_text(f"theirs.zip: imported 2 runs of experiment {config.id}.")
    ).to_be_visible()
    assert [path.name for path in folder.iterdir()] == [config.id]
    expect(page).to_have_url(re.compile(rf"/library\?run={config.id}$"))
    expect(page.get_by_text(re.compile("^1 imported|, 1 imported|: 1 imported"))).to_be_visible()
    expect(page.locator(CHART)).to_be_visible()
    expect(page.get_by_text(f"{config.id}, imported, done")).to_be_visible()

    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_test_id("stPopoverBody").get_by_role("button", name="CSV").click()
    rows = pd.read_csv(download.value.path())
    assert list(rows.columns) == ["experiment", *COLUMNS]
    assert set(rows["experiment"]) == {config.id}
    expected = artifacts.read(folder / config.id).table("trajectory")
    assert rows["test_metric"].tolist() == pytest.approx(expected["test_metric"].tolist())
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG").click()
    assert "<svg" in Path(download.value.path()).read_text()[:500]

    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(config.id)
    assert (folder / config.id).exists()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Deleted 1 experiment.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert list(folder.iterdir()) == []
    expect(page).to_have_url(re.compile(r"/library$"))
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_rows_are_chosen_by_a_click_and_by_a_link(look_at) -> None:
    page = look_at("/library?setting=digits&optimizer=umtg", width=390, dark=True)
    table = page.get_by_test_id("stDataFrame").first
    expect(table.locator("canvas").first).to_be_visible()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + 35 + 17)
    expect(page).to_have_url(re.compile(r"&run=[0-9a-f]{16}$"))
    expect(page.get_by_role("heading", name="1 chosen experiment")).to_be_visible()
    expect(page.get_by_test_id("stTable").last).to_contain_text("UTC")
    assert fits(page)
    page.mouse.click(box["x"] + 16, box["y"] + 2 * 35 + 17)
    expect(page.get_by_role("heading", name="2 chosen experiments")).to_be_visible()
    expect(page.locator(CHART)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="2 chosen experiments")).to_be_visible()
    expect(page.get_by_text("Where they differ")).to_be_visible()
    # What ships with the app has no way out.
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    assert fits(page)
