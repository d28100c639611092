"""Visitors: how a browser is known, and what it has to say first."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

from mtl_core import RunConfig
from mtl_core.runs import Store
from mtl_core.views.what_if import Question
from pages.parts import visitors

TOKEN = bytes(range(16))


def test_a_browser_is_known_however_its_cookie_is_masked() -> None:
    cookies = {generate_xsrf_token_string(TOKEN, 1) for _ in range(20)}
    assert len(cookies) == 20
    assert {visitors._token(cookie) for cookie in cookies} == {TOKEN}
    assert visitors._token(generate_xsrf_token_string(TOKEN[::-1], 1)) == TOKEN[::-1]


@pytest.mark.parametrize(
    "cookie",
    ["", "2", "2||", "2|zz|00|1", f"2||{'00' * 16}|1", f"3|00|{'00' * 16}|1", "2|00|00|1"],
)
def test_no_cookie_of_ours_is_nobody(cookie: str) -> None:
    assert visitors._token(cookie) == b""


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_SHARED", "1")
    monkeypatch.setenv("MTL_PASSWORD", "open sesame")
    monkeypatch.setattr(visitors, "PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("page", ["overview", "what_if", "library"])
def test_nothing_is_seen_before_the_password(open_page: Any, page: str) -> None:
    app = open_page(page)
    assert [title.value for title in app.title] == ["Multi-task transfer"]
    assert len(app.text_input) == len(app.button) == 1
    assert not app.metric
    assert not app.selectbox


def gate() -> None:
    import streamlit as st

    from pages.parts import visitors

    if visitors.admitted():
        st.header("inside")


@pytest.mark.usefixtures("guarded")
def test_who_says_the_password_stays() -> None:
    app = AppTest.from_function(gate).run()
    app.text_input[0].set_value("open barley")
    app.button[0].click().run()
    assert [error.value for error in app.error] == [
        "That is not the password; whoever runs this server knows it."
    ]
    assert not app.header
    app.text_input[0].set_value("open sesame")
    app.button[0].click().run()
    assert [header.value for header in app.header] == ["inside"]
    assert not app.text_input
    assert [header.value for header in app.run().header] == ["inside"]
    assert not AppTest.from_function(gate).run().header, "a browser without a cookie is no other"


def test_alone_there_is_none(open_page: Any, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setenv("MTL_PASSWORD", "open sesame")
    assert [title.value for title in open_page("library").title] != ["Multi-task transfer"]


# What a stranger may do.

OTHER = "somebody else"


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_SHARED", "1")


def labels(app: Any) -> list[str]:
    return [button.label for button in app.button]


def a_run(store: Store, visitor: str) -> RunConfig:
    """With its baseline, all that ``QUESTION`` asks for."""
    (config,) = Question.from_query(QUESTION)[0].configs
    store.submit(config.baseline, config, visitor=visitor)
    return config


QUESTION = {"setting": "digits", "lr": "0.02", "seeds": "0"}


@pytest.mark.usefixtures("shared")
def test_only_who_started_a_run_stops_it(open_page: Any, store: Store) -> None:
    config = a_run(store, OTHER)
    app = open_page("what_if", **QUESTION)
    (stop,) = [button for button in app.button if button.label == "Stop"]
    assert stop.disabled
    assert stop.help == "Another visitor started these runs."
    for one in (config, config.baseline):
        store.cancel(one.id, [0])
    app.run()
    (resume,) = [button for button in app.button if button.label == "Resume"]
    resume.click().run()
    assert store.get(config.id, 0).state == "queued"
    (stop,) = [button for button in app.button if button.label == "Stop"]
    assert not stop.disabled, "who resumes a run has started it"
    stop.click().run()
    assert store.get(config.id, 0).state == "cancelled"


def test_alone_every_run_is_ones_own(open_page: Any, store: Store) -> None:
    config = a_run(store, OTHER)
    app = open_page("what_if", **QUESTION)
    next(button for button in app.button if button.label == "Stop").click().run()
    assert store.get(config.id, 0).state == "cancelled"


@pytest.mark.usefixtures("shared")
def test_nothing_of_others_is_deleted_and_nothing_is_brought(open_page: Any, store: Store) -> None:
    config = a_run(store, OTHER)
    store.cancel(config.id, [0])
    app = open_page("library", run=f"own:{config.id}")
    assert "Delete" not in labels(app)
    assert "Import" not in labels(app)
    store.submit(config, visitor=app.session_state[visitors._TAB].hex())
    app = open_page("pareto_front", problem="csv")
    assert any("Uploads are switched off" in caption.value for caption in app.caption)


def test_alone_what_is_not_shipped_can_be_deleted(open_page: Any, store: Store) -> None:
    config = a_run(store, OTHER)
    store.cancel(config.id, [0])
    assert "Delete" in labels(open_page("library", run=f"own:{config.id}"))


@pytest.mark.usefixtures("shared")
def test_a_visitor_has_a_share_of_the_queue(open_page: Any, store: Store) -> None:
    app = open_page("what_if", setting="digits", lr="0.02", seeds=" ".join(map(str, range(64))))
    next(button for button in app.button if button.label == "Run").click().run()
    assert len(store.runs()) == 128
    app.text_input(key="wi_seeds").set_value(" ".join(map(str, range(100, 164)))).run()
    next(button for button in app.button if button.label == "Run").click().run()
    assert len(store.runs()) == 128
    (warning,) = [one.value for one in app.warning if "in the queue" in one.value]
    assert warning.startswith("You have 128 runs in the queue and ask for 128 more; 200 is the")


@pytest.mark.usefixtures("shared")
def test_a_stranger_cannot_insist(open_page: Any, store: Store) -> None:
    app = open_page("what_if", setting="digits", width="512", seeds="0 1")
    next(button for button in app.button if button.label == "Run").click().run()
    assert any("in the store (limit 256 MB)" in one.value for one in app.warning)
    assert "Run anyway" not in labels(app)
    assert store.runs() == []


def test_alone_one_can_insist(open_page: Any, store: Store) -> None:
    app = open_page("what_if", setting="digits", width="512", seeds="0 1 2")
    next(button for button in app.button if button.label == "Run").click().run()
    assert any("in the store (limit 2,048 MB)" in one.value for one in app.warning)
    assert store.runs() == []
    next(button for button in app.button if button.label == "Run anyway").click().run()
    assert len(store.runs()) == 6


def test_strangers_learn_of_a_broken_store_and_not_where_it_lies(
    open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secret place"
    folder.mkdir()
    monkeypatch.setenv("MTL_STORE", str(folder / "runs.db"))
    (folder / "runs.db").mkdir()
    for shared in ("0", "1"):
        monkeypatch.setenv("MTL_SHARED", shared)
        app = open_page("what_if")
        told = " ".join(one.value for one in [*app.error, *app.warning])
        assert "runs.db" in told
        assert ("secret place" in told) is (shared == "0")
