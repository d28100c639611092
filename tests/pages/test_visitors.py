"""Visitors: how a browser is known, and what it has to say first."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

from mtl_core.runs import Store
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
