"""Add data on the pages: who is offered it, and settings whose data is absent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core import RunConfig
from mtl_core.data import stored
from tests import owned

PAGES = ("what_if", "which_auxiliary", "library")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where own data is stored."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(stored, "_carried", {})
    return tmp_path / "data" / "own"


@pytest.mark.parametrize("page", PAGES)
def test_it_is_offered_where_files_are_taken(
    open_page: Any, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Add data" in [button.label for button in open_page(page).button]
    monkeypatch.setenv("MTL_SHARED", "1")
    assert "Add data" not in [button.label for button in open_page(page).button]


def test_own_data_is_offered_as_a_setting_and_in_a_link(open_page: Any) -> None:
    name = owned.store(title="Größen")
    app = open_page("what_if", setting=name, target="kind", aux="y", preset="quick")
    assert not app.warning
    setting = next(box for box in app.selectbox if box.label == "Setting")
    assert setting.value == name
    assert "Größen" in setting.options
    assert app.title[0].value == "What if kind is trained together with y?"


def test_no_page_breaks_where_the_data_of_runs_is_absent(
    open_page: Any, folder: Path, finish: Callable[..., RunConfig]
) -> None:
    name = owned.store()
    for others in ((), ("kind",)):
        finish(RunConfig.from_preset(name, "quick", auxiliaries=others, seeds=(0, 1, 2)))
    (folder / f"{name}.npz").unlink()
    for page in ("what_if", "which_auxiliary", "smtos", "library", "overview"):
        query = {} if page in ("library", "overview") else {"setting": name, "target": "y"}
        open_page(page, **query)
    app = open_page("pareto_front", **{"problem": "csv", "problem.file": name})
    assert not app.exception
    (folder / f"{name}.json").unlink()
    app = open_page("what_if", setting=name)
    assert any("nothing is known here of the own data" in one.value for one in app.warning)
    for page in ("library", "which_auxiliary", "smtos"):
        open_page(page)


def test_a_front_takes_own_data_and_its_first_tasks(open_page: Any) -> None:
    name = owned.store(title="Größen")
    app = open_page("pareto_front", problem="csv")
    file = next(box for box in app.selectbox if box.label == "File")
    assert file.options == ["Größen"]
    file.set_value(name).run()
    assert not app.exception
    assert next(box for box in app.text_input if box.label == "Targets").value == "y,kind"
    assert name in app.query_params["problem.file"]
    assert "Run" in [button.label for button in app.button]


def test_what_is_stored_is_removed_in_the_dialog_by_the_owner_alone(
    open_page: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = owned.store(title="Sizes")
    app = open_page("library")
    next(one for one in app.button if one.label == "Add data").click().run()
    chosen = next(box for box in app.selectbox if box.label == "Stored on this machine")
    assert [option.split(",")[0] for option in chosen.options] == ["Sizes"]
    assert next(one for one in app.button if one.label == "Remove").disabled
    chosen.set_value(name)
    # A whole run of the script closes the dialog, which in a browser is a fragment.
    next(one for one in app.button if one.label == "Add data").click().run()
    next(one for one in app.button if one.label == "Remove").click().run()
    assert not app.exception
    assert list(folder.iterdir()) == []

    owned.store(title="Sizes")
    monkeypatch.setenv("MTL_SHARED", "1")
    monkeypatch.setenv("MTL_UPLOADS", "1")
    app = open_page("library")
    next(one for one in app.button if one.label == "Add data").click().run()
    assert "Stored on this machine" not in [box.label for box in app.selectbox]
